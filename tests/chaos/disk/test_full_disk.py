"""A disk that is full again and again: what was acknowledged stays, and the comparison goes on when there is room."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.disk.small_disk_process import TRANSACTION_KIB
from tests.chaos.workplace import ROOT, OpenWorkplace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

DISK = Path(__file__).with_name("small_disk_process.py")
FIRST_KIB = 2048


def may_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    )
    return tried.returncode == 0


@pytest.mark.skipif(not may_mount(), reason="mounting a small disk needs root and a mount namespace of one's own")
@pytest.mark.chaos
# The report is one transaction: in steps smaller than these it is given up, after 60 interruptions that bring nothing.
@pytest.mark.parametrize("step_kib", [512, 2 * TRANSACTION_KIB])
def test_a_full_disk_delays_a_comparison_and_damages_nothing(
    open_workplace: OpenWorkplace, tmp_path: Path, step_kib: int
) -> None:
    whole = open_workplace(tmp_path / "whole")
    assert whole.start().wait() == 0
    workplace = open_workplace(tmp_path / "small")
    workplace.engine.dispose()
    service = workplace.command(workplace.home, block_s=0.05)
    command = ["unshare", "--mount", sys.executable, str(DISK), str(workplace.home), str(FIRST_KIB), str(step_kib)]
    done = subprocess.run(
        [*command, *service], env=workplace.environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    n_full = int(done.stdout.splitlines()[-1])
    assert n_full >= 1
    assert workplace.n_repeated() <= n_full
    workplace.check_finished(whole)
