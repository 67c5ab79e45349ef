"""A form of files, taken apart. Ten thousand parts take a second or more, so that the API leaves it to others."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from lm.errors import TuningForkError
from service.safety.prepare import UploadedFile

MAX_FIELDS = 20
FILES = "files"
_PART_BYTES = 64 * 1024


class FormError(TuningForkError):
    """A body that is no form, or not one that brings files."""

    title = "Invalid request"


@dataclass(frozen=True, slots=True)
class SentForm:
    """What a form holds.

    Attributes:
        fields: The texts, by name in the order in which they were sent.
        files: Of the field `files`.
    """

    fields: Mapping[str, tuple[str, ...]]
    files: tuple[UploadedFile, ...]


def read_form(body: Path, content_type: str, folder: Path, *, max_files: int) -> SentForm:
    """Take a body of `multipart/form-data` apart.

    Args:
        folder: Empty; the files are written there, under names of ours.
    Raises:
        FormError: it is none, has more parts than are allowed, no file, or one outside `files`.
    """
    return asyncio.run(_read(body, content_type, folder, max_files))


async def _read(body: Path, content_type: str, folder: Path, max_files: int) -> SentForm:
    headers = Headers({"content-type": content_type})
    parser = MultiPartParser(headers, _parts(body), max_files=max_files, max_fields=MAX_FIELDS)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise FormError(f"the body cannot be read as a form: {error.message}") from error
    fields: dict[str, tuple[str, ...]] = {}
    files: list[UploadedFile] = []
    try:
        for name, value in form.multi_items():
            if isinstance(value, str):
                fields[name] = (*fields.get(name, ()), value)
            elif name == FILES:
                files.append(UploadedFile(value.filename or "", _kept(value, folder / str(len(files)))))
            else:
                raise FormError(f"the form field {ascii(name)} holds a file; send files as `files`, texts as texts")
    finally:
        await form.close()
    if not files or FILES in fields:
        raise FormError("no file was sent as `files`; send one or more as form fields of that name")
    return SentForm(fields, tuple(files))


def _kept(sent: UploadFile, path: Path) -> Path:
    with path.open("wb") as copy:
        shutil.copyfileobj(sent.file, copy)
    return path


async def _parts(body: Path) -> AsyncGenerator[bytes, None]:
    with body.open("rb") as file:
        while part := file.read(_PART_BYTES):
            yield part
