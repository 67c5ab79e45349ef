"""Archives and datasets as bytes."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from service.safety.limits import UploadLimits
from service.safety.prepare import PreparedDataset, UploadedFile, prepare_upload

DOCUMENT = json.dumps({"id": "d", "title": "Warranty", "text": "The warranty lasts two years."}) + "\n"
QUESTIONS = "".join(
    json.dumps(
        {"id": f"q{i}", "question": f"How long is warranty {i}?", "answers": ["two years"], "document_ids": ["d"]}
    )
    + "\n"
    for i in range(10)
)
GOOD = {"documents.jsonl": DOCUMENT.encode(), "questions.jsonl": QUESTIONS.encode()}
SMALL = UploadLimits(max_files=50, max_bytes=4 * 2**20, free_bytes=2**16)

Prepare = Callable[..., PreparedDataset]


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            # As hostile as it is given: the constructor cuts and fixes names.
            info.filename = name
            info.compress_type = method
            archive.writestr(info, content)
    return buffer.getvalue()


def sent(folder: Path, files: Mapping[str, bytes]) -> list[UploadedFile]:
    """Files as a form brought them."""
    uploads = []
    for number, (name, content) in enumerate(files.items()):
        (folder / str(number)).write_bytes(content)
        uploads.append(UploadedFile(name, folder / str(number)))
    return uploads


@pytest.fixture
def prepare(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepare:
    """Prepare files by name; nothing may be left over or written elsewhere."""

    def call(files: Mapping[str, bytes], limits: UploadLimits = SMALL, **options: object) -> PreparedDataset:
        uploads = sent(tmp_path_factory.mktemp("sent"), files)
        try:
            return prepare_upload(
                uploads, tmp_path / "incoming", limits=limits, **{"name": None, "task": None, **options}
            )
        finally:
            assert [path.name for path in tmp_path.rglob("*")] == ["incoming"]

    return call
