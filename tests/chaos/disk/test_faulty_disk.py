"""A disk that fails at one operation: it ends in another attempt or a message, and the answers are equal."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.workplace import ROOT

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]

SOURCE = Path(__file__).with_name("faulty_disk.c")
COMPILER = shutil.which("cc")


@pytest.mark.skipif(COMPILER is None, reason="the layer between program and disk is compiled, and there is no cc")
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_whatever_operation_fails_nothing_is_lost_and_no_traceback_is_told(tmp_path: Path, error: int) -> None:
    layer = tmp_path / "layer.so"
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-O1", "-o", layer, SOURCE, "-ldl"], check=True)
    command = [
        sys.executable,
        "-m",
        "tests.chaos.disk.faulty_disk_process",
        tmp_path / "run",
        str(error),
        "1",
        "7",
        "100000",
    ]
    environment = os.environ | {"LD_PRELOAD": str(layer), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row for row in rows if row.get("defect", "died") or not row["same"]] == []
    # The last run did nothing as late as what was to fail.
    assert rows[-1]["of"] < rows[-1]["at"]
