"""Nothing reports home, whichever way the program is started."""

import json
import os
import subprocess
import sys

import pytest

from service.telemetry import _OFF

TELL = "import json, os; print(json.dumps({name: os.environ.get(name) for name in names}))"
COMMAND = """
from service.cli.app import main
try:
    main(["--help"])
except SystemExit:
    pass
"""
SERVICE = """
from pathlib import Path
from tempfile import TemporaryDirectory
from service.store.data_directory import DataDirectory
from service.server.serve import opened
with TemporaryDirectory() as folder, opened(DataDirectory(Path(folder))):
    pass
"""


@pytest.mark.parametrize("start", [COMMAND, SERVICE], ids=["command", "service"])
def test_telemetry_is_off_in_this_process_and_those_it_starts(start: str) -> None:
    ours = {name: value for name, value in os.environ.items() if name not in {*_OFF, "TUNING_FORK_DATABASE_URL"}}
    program = f"names = {list(_OFF)!r}\n{start}\n{TELL}"
    done = subprocess.run([sys.executable, "-c", program], env=ours, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == _OFF
