"""Uploads made to run something, to write elsewhere, or to use up the machine. None names a real payload."""

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.service.safety.conftest import GOOD, QUESTIONS, zipped

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Artifact:
    """An upload.

    Attributes:
        make: From a file that must never appear to the files to upload.
        is_taken: Whether it is harmless data in the end; all others must be refused.
    """

    name: str
    make: Callable[[Path], Files]
    is_taken: bool = False


class _Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.marker,)


def _pickled(marker: Path) -> bytes:
    return pickle.dumps(_Bomb(marker))


def _yaml(marker: Path) -> bytes:
    return f"!!python/object/apply:os.system ['touch {marker}']".encode()


def _python(marker: Path) -> bytes:
    return f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n".encode()


def _entries(*entries: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for info, content in entries:
            archive.writestr(info, content)
    return buffer.getvalue()


def _special(name: str, mode: int, content: bytes) -> bytes:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    good = [(zipfile.ZipInfo(good_name), good_content) for good_name, good_content in GOOD.items()]
    return _entries(*good, (info, content))


def _bomb(n_bytes: int) -> bytes:
    return zipped({**GOOD, "big.md": b"0" * n_bytes})


def _nested() -> bytes:
    inner = _bomb(2**20)
    for _ in range(4):
        inner = zipped({"inner.zip": inner})
    return inner


def _overlapping(n_files: int) -> bytes:
    """Many entries of a directory that share one packed file (after Fifield 2019, "A better zip bomb")."""
    content = b"0" * 60_000
    packed = zlib.compress(content, 9)[2:-4]
    name = b"a.md"
    common = (0, 8, 0, 0, zlib.crc32(content), len(packed), len(content), len(name), 0)
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, *common) + name + packed
    directory = b""
    for i in range(n_files):
        entry_name = f"{i:04d}.md".encode()
        row = (20, 20, *common[:-2], len(entry_name), 0, 0, 0, 0, 0, 0)
        directory += struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *row) + entry_name
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, n_files, n_files, len(directory), len(local), 0)
    return local + directory + end


def _lying_size() -> bytes:
    """The directory says 10 bytes, the packed data holds far more."""
    data = bytearray(zipped({**GOOD, "a.md": b"0" * 1_000_000}))
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"a.md"))
    data[at + 24 : at + 28] = struct.pack("<L", 10)
    return bytes(data)


def _other_local_name() -> bytes:
    data = bytearray(zipped({**GOOD, "aaaa.md": b"x"}))
    at = data.index(b"aaaa.md")
    data[at : at + 7] = b"../x.md"
    return bytes(data)


def _directory_without_end() -> bytes:
    """An end record that announces a directory of gigabytes."""
    return b"PK\x03\x04" + b"\0" * 60 + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 60_000, 60_000, 2**31, 0, 0)


def _large_directory() -> bytes:
    return zipped({f"{'x' * 150}{i:05d}.md": b"" for i in range(21_000)}, zipfile.ZIP_STORED)


def _zip64() -> bytes:
    data = zipped(GOOD)
    at = data.rindex(b"PK\x05\x06")
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2**40, 2**40, 2**40, 0)
    return data[:at] + record + locator + data[at:]


def _corrupt() -> bytes:
    data = bytearray(zipped({**GOOD, "a.md": bytes(range(256)) * 40}))
    at = data.index(b"a.md") + 40
    data[at : at + 20] = b"\xff" * 20
    return bytes(data)


def _encrypted() -> bytes:
    data = bytearray(zipped(GOOD))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(signature) + offset
        data[at] |= 1
    return bytes(data)


def _card(**values: object) -> bytes:
    card = {"name": "x", "task": "question-answering", "language": "en", "licence": "x", "description": "x", **values}
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in card.items()).encode()


def _documents(**values: object) -> bytes:
    return json.dumps({"id": "d", "title": "t", "text": "two years", **values}).encode() + b"\n"


def _with_schema(schema: object) -> Files:
    card = _card(task="extraction", schema="schema.json", metrics=["json_exact"])
    return {**GOOD, "dataset.toml": card, "schema.json": json.dumps(schema).encode()}


ARTIFACTS = [
    # Things that run when they are loaded.
    *(
        Artifact(f"pickle as {name}", lambda marker, name=name: {**GOOD, name: _pickled(marker)})
        for name in (
            "model.pkl",
            "model.pickle",
            "model.pt",
            "pytorch_model.bin",
            "model.joblib",
            "a.npy",
            "model.ckpt",
        )
    ),
    *(
        Artifact(f"pickle as {name}", lambda marker, name=name: {**GOOD, name: _pickled(marker)})
        for name in ("documents.jsonl", "questions.jsonl", "dataset.toml")
    ),
    Artifact("pickle as text", lambda marker: {"a.txt": _pickled(marker), "q.csv": b"question,answer\na,b\n"}),
    Artifact("pickle in an archive", lambda marker: {"x.zip": zipped({**GOOD, "data.pkl": _pickled(marker)})}),
    Artifact("weights", lambda _: {**GOOD, "adapter.safetensors": b"\x08\0\0\0\0\0\0\0{}      "}),
    *(
        Artifact(f"code as {name}", lambda marker, name=name: {**GOOD, name: _python(marker)})
        for name in ("dataset.py", "setup.py", "conftest.py", "sitecustomize.py", "x.pth", "x.so", "x.sh", "Makefile")
    ),
    Artifact("code as text", lambda marker: {**GOOD, "README.md": _python(marker)}, is_taken=True),
    Artifact("code as documents", lambda marker: {**GOOD, "documents.jsonl": _python(marker)}),
    Artifact("configuration with tags", lambda marker: {**GOOD, "x.yaml": _yaml(marker)}, is_taken=True),
    Artifact("rows with tags", lambda marker: {"x.yaml": _yaml(marker)}),
    Artifact("XML with entities", lambda _: {**GOOD, "x.xml": b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'}),
    Artifact("web page", lambda _: {**GOOD, "x.html": b"<script>alert(1)</script>"}, True),
    Artifact("PDF with an action", lambda _: {**GOOD, "x.pdf": b"%PDF-1.7\n1 0 obj<</OpenAction<</S/Launch>>>>"}, True),
    Artifact("Word file", lambda _: {**GOOD, "x.docx": zipped({"word/document.xml": b"<x/>"})}, True),
    Artifact("sheet with macros", lambda _: {**GOOD, "x.xlsm": b"PK"}),
    # Text that something might take for an instruction.
    Artifact("formula in a table", lambda _: {"a.md": b"A", "q.csv": b"question,answer\n=HYPERLINK(1),a\nb,c\n"}, True),
    Artifact(
        "template in the card", lambda _: {**GOOD, "dataset.toml": _card(instruction="{{7*7}} {0.__class__}")}, True
    ),
    Artifact(
        "script in a document", lambda _: {**GOOD, "documents.jsonl": _documents(text="<script>x</script>")}, True
    ),
    Artifact(
        "prototype in metadata", lambda _: {**GOOD, "documents.jsonl": _documents(metadata={"__proto__": {}})}, True
    ),
    Artifact("hostile card name", lambda _: {**GOOD, "dataset.toml": _card(name="../../../tmp/x")}),
    Artifact("schema from elsewhere", lambda _: _with_schema({"$ref": "http://169.254.169.254/latest"})),
    Artifact("schema from a file", lambda _: _with_schema({"properties": {"a": {"$ref": "file:///etc/passwd"}}})),
    Artifact("schema by path", lambda _: {**GOOD, "dataset.toml": _card(schema="../../etc/passwd")}),
    # Archives that write elsewhere.
    Artifact("link to a file", lambda _: {"x.zip": _special("a.md", 0o120777, b"/etc/passwd")}),
    Artifact("link to a folder", lambda _: {"x.zip": _special("handbook.md", 0o120777, b"..")}),
    Artifact("device", lambda _: {"x.zip": _special("a.md", 0o020666, b"")}),
    Artifact("pipe", lambda _: {"x.zip": _special("a.md", 0o010666, b"")}),
    Artifact("other name inside", lambda _: {"x.zip": _other_local_name()}),
    Artifact("file twice", lambda _: {"x.zip": zipped({**GOOD, "a.md": b"1", "A.md": b"2"})}),
    # Archives that use up the machine.
    Artifact("ratio", lambda _: {"x.zip": _bomb(3 * 2**20)}),
    Artifact("size", lambda _: {"x.zip": _bomb(20 * 2**20)}),
    Artifact("archives in archives", lambda _: {"x.zip": _nested()}),
    Artifact("overlapping files", lambda _: {"x.zip": _overlapping(40)}),
    Artifact("many overlapping files", lambda _: {"x.zip": _overlapping(5000)}),
    Artifact("size that lies", lambda _: {"x.zip": _lying_size()}),
    Artifact("directory without end", lambda _: {"x.zip": _directory_without_end()}),
    Artifact("large directory", lambda _: {"x.zip": _large_directory()}),
    Artifact("zip64", lambda _: {"x.zip": _zip64()}),
    Artifact("lzma", lambda _: {"x.zip": zipped(GOOD, zipfile.ZIP_LZMA)}),
    Artifact("bzip2", lambda _: {"x.zip": zipped(GOOD, zipfile.ZIP_BZIP2)}),
    Artifact("encrypted", lambda _: {"x.zip": _encrypted()}),
    Artifact("corrupt", lambda _: {"x.zip": _corrupt()}),
    Artifact("cut off", lambda _: {"x.zip": zipped(GOOD)[:-30]}),
    Artifact("no archive", lambda _: {"x.zip": b"Rar!\x1a\x07\x01\0"}),
    Artifact("archive beside files", lambda _: {**GOOD, "x.zip": zipped(GOOD)}),
    Artifact("many files", lambda _: {"x.zip": zipped({f"{i}.md": b"x" for i in range(60)})}),
    # Data that use up the machine.
    Artifact("deep documents", lambda _: {**GOOD, "documents.jsonl": b'{"id":"d","metadata":' + b"[" * 100_000}),
    Artifact("deep schema", lambda _: {**GOOD, "schema.json": b"[" * 100_000}),
    Artifact("deep card", lambda _: {**GOOD, "dataset.toml": b"a = " + b"[" * 5_000}),
    Artifact("long card", lambda _: {**GOOD, "dataset.toml": b"#" * 100_000}),
    Artifact(
        "long number", lambda _: {**GOOD, "documents.jsonl": _documents()[:-2] + b', "n": ' + b"9" * 100_000 + b"}"}
    ),
    Artifact("NUL in a text", lambda _: {**GOOD, "documents.jsonl": _documents(text="a\0b")}),
    Artifact("half a character", lambda _: {**GOOD, "documents.jsonl": _documents(text="\ud800")}),
    Artifact("broken UTF-8", lambda _: {"documents.jsonl": b"\xff\xfe\n", "questions.jsonl": QUESTIONS.encode()}),
    Artifact("endless cell", lambda _: {"a.md": b"A", "q.csv": b'question,answer\n"' + b"x" * 500_000}),
]
