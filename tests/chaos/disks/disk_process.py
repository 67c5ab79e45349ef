"""Runs a program whose data directory is on a small disk, and gives the disk a little room whenever it is full.

Meant for a mount namespace of its own: `unshare --mount python disk_process.py FOLDER KIB STEP_KIB COMMAND…`. The
folder is on the small disk meanwhile and holds at the end what the disk did. Prints how often it was full.

Full is a disk with less room than one transaction may need: SQLite takes 32 KiB at once for the index of its
write-ahead log, or nothing at all, and a block of answers takes some pages of 4 KiB. A disk with a little less would
otherwise be neither full nor of any use, and the program would try for ever. For the same reason no step is smaller. A
larger transaction fails too, but leaves what it wrote in the log, which is written over next time: each step counts.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

TRANSACTION_KIB = 64


def main() -> int:
    folder, size_kib, step_kib = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if step_kib < TRANSACTION_KIB:
        raise ValueError(f"a step of {step_kib} KiB has no room for one transaction; take {TRANSACTION_KIB} or more")
    disk = folder.with_name(f"{folder.name}.disk")
    disk.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", disk)
    shutil.copytree(folder, disk, dirs_exist_ok=True)
    mount("--bind", disk, folder)
    n_full = 0
    with subprocess.Popen(sys.argv[4:]) as process:
        while process.poll() is None:
            time.sleep(0.2)
            before = free_kib(folder)
            if before < TRANSACTION_KIB:
                # Full for as long as it takes that somebody writes and fails; what still fits may still be written.
                time.sleep(1)
                if free_kib(folder) < before:
                    continue
                n_full += 1
                size_kib += step_kib
                mount("-o", f"remount,size={size_kib}k", folder)
    subprocess.run(["umount", folder], check=True)
    shutil.rmtree(folder)
    shutil.copytree(disk, folder)
    sys.stdout.write(f"{n_full}\n")
    return process.returncode


def free_kib(folder: Path) -> int:
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize // 1024


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
