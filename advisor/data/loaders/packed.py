"""Office files and books are zip archives of XML: opened here, after a look at what they would unpack to."""

import io
import zipfile

from advisor.data.loaders.plain import UnreadableFileError

MAX_PARTS = 20_000
MAX_PART_BYTES = 128 * 2**20
MAX_BYTES = 512 * 2**20
MAX_RATIO = 500
FREE_BYTES = 4 * 2**20
"""Parts up to this size may be packed as well as they can be."""

_ENCRYPTED = 0x1
_ENCRYPTED_OFFICE = "EncryptedPackage".encode("utf-16-le")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def open_package(data: bytes, part: str) -> zipfile.ZipFile:
    """The archive, if it is one that can be unpacked safely.

    Args:
        part: A part that it must have, to be of the format its ending says.

    Raises:
        UnreadableFileError: it is encrypted, broken, of another format, or would unpack to too much.
    """
    if data.startswith(_OLE):
        if _ENCRYPTED_OFFICE in data:
            raise UnreadableFileError("it is encrypted; save it without a password")
        raise UnreadableFileError("a file of an old Office program; save it in today's format")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError) as error:
        raise UnreadableFileError(f"broken or cut off ({error}); save it again from its program") from error
    if part not in archive.namelist():
        raise UnreadableFileError(f"it has no part {part}, so it is not what its name says; save it again")
    if len(parts) > MAX_PARTS:
        raise UnreadableFileError(f"it holds {len(parts):,} parts, over the limit of {MAX_PARTS:,}; divide it")
    if sum(info.file_size for info in parts) > MAX_BYTES:
        raise UnreadableFileError(f"it unpacks to over {MAX_BYTES // 2**20} MiB; divide it")
    for info in parts:
        if info.flag_bits & _ENCRYPTED:
            raise UnreadableFileError("it is encrypted; save it without a password")
        if info.file_size > MAX_PART_BYTES:
            raise UnreadableFileError(
                f"its part {info.filename!r} unpacks to over {MAX_PART_BYTES // 2**20} MiB; divide it"
            )
        if info.file_size > FREE_BYTES and info.file_size > MAX_RATIO * max(1, info.compress_size):
            raise UnreadableFileError(
                f"its part {info.filename!r} unpacks to over {MAX_RATIO} times its size, as attacks do; save it again"
            )
        if info.filename.endswith((".xml", ".rels")) and b"<!DOCTYPE" in read_part(archive, info.filename)[:4096]:
            raise UnreadableFileError(f"its part {info.filename!r} declares a document type, as attacks do")
    return archive


def read_part(archive: zipfile.ZipFile, name: str) -> bytes:
    """One part, unpacked.

    Raises:
        UnreadableFileError: it is missing or broken.
    """
    try:
        return archive.read(name)
    except KeyError as error:
        raise UnreadableFileError(f"its part {name!r} is missing; save it again from its program") from error
    except Exception as error:
        # zlib, bz2, lzma and zipfile each have their own.
        raise UnreadableFileError(f"its part {name!r} is broken ({error}); save it again from its program") from error
