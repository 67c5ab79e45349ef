"""Uploads in a process of its own."""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from service.safety.limits import UploadLimits
from service.safety.prepare import PreparedDataset, UnfitUploadError, prepare_upload
from service.safety.prepare_process import PreparingProcess
from tests.service.api.conftest import FILES
from tests.service.safety.conftest import sent

LIMITS = UploadLimits(100, 2**28)


@pytest.fixture
def process() -> Iterator[PreparingProcess]:
    made = PreparingProcess()
    yield made
    made.end()


def prepare(process: PreparingProcess, folder: Path, files: dict[str, bytes] = FILES) -> PreparedDataset:
    with tempfile.TemporaryDirectory() as elsewhere:
        uploads = sent(Path(elsewhere), files)
        return process.run(partial(prepare_upload, uploads, folder, name="d", task=None, limits=LIMITS))


def test_one_process_checks_one_upload_after_the_other(process: PreparingProcess, tmp_path: Path) -> None:
    assert sum(prepare(process, tmp_path).split_sizes.values()) == 10
    with pytest.raises(UnfitUploadError, match="questions.jsonl:1"):
        prepare(process, tmp_path, {**FILES, "questions.jsonl": b"{}\n"})
    assert prepare(process, tmp_path).files["documents.jsonl"] == FILES["documents.jsonl"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limits", [{"prepare_s": 0.0}, {"memory_bytes": 2**24}])
def test_what_takes_too_much_is_told_and_leaves_nothing(limits: dict[str, float], tmp_path: Path) -> None:
    process = PreparingProcess(**limits)  # type: ignore[arg-type]
    with pytest.raises(UnfitUploadError, match="checking it took more than"):
        prepare(process, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_work_that_is_ended_from_outside_stops(process: PreparingProcess, tmp_path: Path) -> None:
    prepare(process, tmp_path)
    assert process._process is not None
    # A process that does not answer, as one that compares a million questions.
    process._process.send_signal(19)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            prepare(process, tmp_path)
        except UnfitUploadError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    process.end()
    thread.join(60)
    assert not thread.is_alive()
    # Also work that had not begun when its caller went away.
    with pytest.raises(UnfitUploadError):
        prepare(process, tmp_path)
    assert process._process is None


def test_a_process_that_is_at_work_ends_with_the_service() -> None:
    code = """
import threading
from service.safety.prepare_process import _end_with_service
threading.Thread(target=_end_with_service).start()
while True:
    pass
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 1
