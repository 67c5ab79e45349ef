"""Taking files out of a zip archive that may have been made to do harm."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO

from advisor.data.files import Problem
from service.safety.file_name import is_passed_over
from service.safety.limits import UploadLimits

MAX_DIRECTORY_BYTES = 4 * 2**20
_END = struct.Struct("<4s4H2LH")
_ZIP64_LOCATOR = b"PK\x06\x07"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
CHUNK_BYTES = 1 << 16


def read_archive(
    name: str, file: BinaryIO, limits: UploadLimits, problems: list[Problem]
) -> Iterator[tuple[str, IO[bytes]]]:
    """Each file of an archive with its name as stored, unchecked; the directory is checked before anything is unpacked.

    What is wrong goes to `problems`, and nothing is given out then. Reading a file may raise `zipfile.BadZipFile`,
    `zlib.error` or `EOFError`; it never gives more bytes than the directory announced.
    """
    problem = _directory_problem(file, limits)
    if problem:
        problems.append(Problem(name, None, problem))
        return
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error) as error:
        problems.append(Problem(name, None, f"not a readable zip archive ({error}); create it again"))
        return
    with archive:
        entries = [info for info in archive.infolist() if not is_passed_over(info.orig_filename)]
        found = [Problem(name, None, text) for text in _entry_problems(entries, limits)]
        if found:
            problems += found
            return
        for info in entries:
            if _is_folder(info):
                # Its own name is never used; what lies in it is checked by its whole path.
                continue
            try:
                opened = archive.open(info)
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, struct.error) as error:
                problems.append(
                    Problem(shown(info.orig_filename), None, f"cannot be unpacked ({error}); create it again")
                )
                continue
            with opened:
                yield info.orig_filename, opened


UNPACKING_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


def shown(name: str) -> str:
    """A name as far as a message can show it."""
    return ascii(name)[1:-1][:200] if not name.isprintable() else name[:200]


def _directory_problem(file: BinaryIO, limits: UploadLimits) -> str:
    """Look at the end record alone: the directory itself could be made to fill the memory."""
    size = file.seek(0, 2)
    tail_start = max(0, size - (_END.size + 0xFFFF))
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        return "not a zip archive; upload a .zip, or the files themselves"
    _, disk, first_disk, n_here, n_entries, directory_bytes, directory_at, _ = _END.unpack_from(tail, at)
    if _ZIP64_LOCATOR in tail[max(0, at - 20) : at] or 0xFFFF in (n_here, n_entries) or directory_bytes == 0xFFFFFFFF:
        return "a zip64 archive, which is not supported; create a plain zip"
    if disk or first_disk or n_here != n_entries:
        return "a part of a divided archive; make one zip of all"
    if n_entries > 2 * limits.max_files:
        return f"the archive has {n_entries} entries; {limits.max_files} files are allowed"
    if directory_bytes > MAX_DIRECTORY_BYTES or directory_bytes + directory_at > size:
        return "the directory of the archive is damaged or too large; create it again with shorter names"
    return ""


def _is_folder(info: zipfile.ZipInfo) -> bool:
    # The library's own test fails on an empty name.
    return info.orig_filename.endswith("/")


def _entry_problems(entries: list[zipfile.ZipInfo], limits: UploadLimits) -> Iterator[str]:
    files = [info for info in entries if not _is_folder(info)]
    if len(files) > limits.max_files:
        yield f"the archive has {len(files)} files; {limits.max_files} are allowed"
        return
    n_bytes = sum(info.file_size for info in files)
    if n_bytes > limits.max_bytes:
        yield f"the archive unpacks to {n_bytes} bytes; {limits.max_bytes} are allowed"
        return
    for info in entries:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind and kind not in (stat.S_IFREG, stat.S_IFDIR):
            yield f"{shown(info.orig_filename)} is a link or device, not a file; leave it out"
        elif info.flag_bits & _ENCRYPTED:
            yield f"{shown(info.orig_filename)} is encrypted; make the archive without a password"
        elif info.compress_type not in _METHODS:
            yield f"{shown(info.orig_filename)} is compressed in a rare way; make a plain zip (deflate)"
        elif info.file_size > limits.free_bytes and info.file_size > limits.max_ratio * max(1, info.compress_size):
            yield f"{shown(info.orig_filename)} unpacks to over {limits.max_ratio} times its size; upload it unpacked"
    taken = sorted((info.header_offset, info.header_offset + info.compress_size) for info in files)
    if any(start < end for (_, end), (start, _) in zip(taken, taken[1:], strict=False)):
        yield "entries of the archive overlap; create it again"
