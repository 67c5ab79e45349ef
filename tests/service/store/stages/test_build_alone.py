import subprocess
import sys
from pathlib import Path

import pytest

from service.store.data_directory import DataDirectory
from service.store.stages.build_alone import build_alone

HOLD = """
import sys
from pathlib import Path
from service.store.stages.build_alone import build_alone
from service.store.data_directory import DataDirectory
with build_alone(DataDirectory(Path(sys.argv[1])), Path(sys.argv[2]), lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_who_comes_later_waits_until_the_first_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.store.stages.build_alone.WAIT_S", 0.0)
    folder = tmp_path / "stages" / "key"
    first = build_alone(DataDirectory(tmp_path), folder, lambda: None)
    first.__enter__()
    n_waits = 0

    def wait() -> None:
        nonlocal n_waits
        n_waits += 1
        if n_waits == 3:
            first.__exit__(None, None, None)

    with build_alone(DataDirectory(tmp_path), folder, wait):
        assert n_waits == 3


def test_what_ends_the_waiting_is_passed_on(tmp_path: Path) -> None:
    class Stopped(Exception):  # noqa: N818
        pass

    def stop() -> None:
        raise Stopped

    with (
        build_alone(DataDirectory(tmp_path), tmp_path / "key", lambda: None),
        pytest.raises(Stopped),
        build_alone(DataDirectory(tmp_path), tmp_path / "key", stop),
    ):
        pass


def test_other_folders_are_free(tmp_path: Path) -> None:
    def never() -> None:
        raise AssertionError("waited")

    with (
        build_alone(DataDirectory(tmp_path), tmp_path / "a", never),
        build_alone(DataDirectory(tmp_path), tmp_path / "b", never),
    ):
        pass


def test_a_killed_builder_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.store.stages.build_alone.WAIT_S", 0.01)
    command = [sys.executable, "-c", HOLD, str(tmp_path), str(tmp_path / "key")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        killed = False

        def kill() -> None:
            nonlocal killed
            killed = True
            process.kill()

        with build_alone(DataDirectory(tmp_path), tmp_path / "key", kill):
            assert killed
