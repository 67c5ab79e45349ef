import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from advisor.report.formats import REPORT_FILES
from lm.errors import ConfigError
from lm.files import write_whole
from service.store.data_directory import REPORT_FILE, DataDirectory


def test_the_report_file_is_the_json_report() -> None:
    assert REPORT_FILES["json"] == REPORT_FILE


def test_home_is_the_option_then_the_environment_then_var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNING_FORK_HOME", str(tmp_path / "env"))
    assert DataDirectory.from_environment(tmp_path / "option").root == tmp_path / "option"
    assert DataDirectory.from_environment().root == tmp_path / "env"
    monkeypatch.delenv("TUNING_FORK_HOME")
    assert DataDirectory.from_environment().root == tmp_path / "var"


def test_a_second_process_is_refused_by_name(tmp_path: Path) -> None:
    hold = (
        "import sys; from pathlib import Path; from service.store.data_directory import DataDirectory\n"
        "with DataDirectory(Path(sys.argv[1])).lock():\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        message = rf"another tuningfork process \(process {holder.pid}\) works in {tmp_path}"
        with pytest.raises(ConfigError, match=message), DataDirectory(tmp_path).lock():
            pass
        holder.communicate()
    with DataDirectory(tmp_path).lock():
        pass


def test_the_lock_of_an_unnamed_holder_is_refused_too(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with (
            pytest.raises(ConfigError, match=r"another tuningfork process \(unknown\)"),
            DataDirectory(tmp_path).lock(),
        ):
            pass


def test_a_place_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    directory = DataDirectory(tmp_path / "file" / "home")
    with pytest.raises(ConfigError, match="cannot be written: Not a directory"), directory.lock():
        pass
    with pytest.raises(ConfigError, match="cannot be written"):
        directory.stage("answers", "x")


def test_writing_replaces_whole_files_and_leaves_nothing_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    write_whole(path, "new \u2028 မင်္ဂလာပါ")
    assert path.read_text(encoding="utf-8") == "new \u2028 မင်္ဂလာပါ"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_half_characters_do_not_cost_the_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "file.txt", "a\ud83db")
    assert (tmp_path / "file.txt").read_text() == "a\\ud83db"


@pytest.mark.parametrize("path", ["..", "../x", "stages/../../x", "/etc/passwd"])
def test_a_noted_path_that_leaves_the_directory_is_refused(tmp_path: Path, path: str) -> None:
    directory = DataDirectory(tmp_path)
    with pytest.raises(ConfigError, match="leaves the data directory"):
        directory.below(path)
    assert directory.below("stages/indexes/x") == tmp_path / "stages" / "indexes" / "x"
    with pytest.raises(ConfigError, match="leaves the data directory"):
        directory.comparison("../../x")
