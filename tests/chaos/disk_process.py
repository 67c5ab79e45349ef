"""Runs a program whose data directory is on a small disk, and gives the disk a little room whenever it is full.

Meant for a mount namespace of its own: `unshare --mount python disk_process.py FOLDER KIB STEP_KIB COMMAND…`. The
folder is on the small disk meanwhile and holds at the end what the disk did. Prints how often it was full.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

FULL_BYTES = 4096


def main() -> int:
    folder, size_kib, step_kib = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    disk = folder.with_name(f"{folder.name}.disk")
    disk.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", disk)
    shutil.copytree(folder, disk, dirs_exist_ok=True)
    mount("--bind", disk, folder)
    n_full = 0
    with subprocess.Popen(sys.argv[4:]) as process:
        while process.poll() is None:
            time.sleep(0.2)
            state = os.statvfs(folder)
            if state.f_bavail * state.f_frsize < FULL_BYTES:
                # Full for as long as it takes that somebody writes and fails.
                time.sleep(1)
                n_full += 1
                size_kib += step_kib
                mount("-o", f"remount,size={size_kib}k", folder)
    subprocess.run(["umount", folder], check=True)
    shutil.rmtree(folder)
    shutil.copytree(disk, folder)
    sys.stdout.write(f"{n_full}\n")
    return process.returncode


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
