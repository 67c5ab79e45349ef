"""What a disk may hold after a loss of power, from a log that `recording_disk.c` wrote.

Stricter than the file systems in use: a sync of a file makes its content durable and not its name; a sync of a folder
makes the names in it durable, and not its own. Of what was not synced nothing, all, a beginning or any part is there,
writes torn at sectors. A rename is one change, and none is there without the earlier ones of the same names.
"""

import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

SECTOR_BYTES = 512
_HEAD = struct.Struct("=QQQQ")


@dataclass(frozen=True)
class Record:
    """One operation; `at` is an offset, a size, a checksum or a mark's number, by kind."""

    kind: str
    inode: int
    at: int
    data: bytes


def read_log(path: Path) -> list[Record]:
    log, records, place = path.read_bytes(), [], 0
    while place < len(log):
        kind, inode, at, n = _HEAD.unpack_from(log, place)
        place += _HEAD.size + n
        records.append(Record(chr(kind), inode, at, log[place - n : place]))
    return records


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    now: bytearray = field(default_factory=bytearray)
    # Writes, as (offset, bytes), and sizes cut to.
    pending: list[tuple[int, bytes] | int] = field(default_factory=list)

    def change(self, change: tuple[int, bytes] | int) -> None:
        _apply(self.now, change)
        self.pending.append(change)

    def sync(self) -> None:
        self.durable, self.pending = bytearray(self.now), []

    def after_loss(self, lot: random.Random) -> bytes:
        kept = bytearray(self.durable)
        how = lot.choice(["none", "all", "first", "any"])
        n_kept = {"none": 0, "first": lot.randint(0, len(self.pending))}.get(how, len(self.pending))
        for i, change in enumerate(self.pending[:n_kept]):
            is_last = how == "first" and i == n_kept - 1
            if how == "any" and lot.random() < 0.5:
                continue
            if not isinstance(change, int) and (is_last or how == "any"):
                for part in _torn(change, lot, is_any=how == "any"):
                    _apply(kept, part)
            else:
                _apply(kept, change)
        return bytes(kept)


@dataclass
class _Folder:
    durable: dict[str, "_File | _Folder"] = field(default_factory=dict)
    now: dict[str, "_File | _Folder"] = field(default_factory=dict)


# What names in folders then stand for, None for nothing; all of it or nothing.
_Change = list[tuple[_Folder, str, "_File | _Folder | None"]]


class RecordedDisk:
    """A folder as it is, and what of it is durable, moved on record by record."""

    def __init__(self, records: list[Record]) -> None:
        first, *self._records = records
        assert first.kind == "R"
        self._root = PurePath(first.data.decode())
        self._top = _Folder()
        self._inodes: dict[int, _File | _Folder] = {first.inode: self._top}
        self._names: list[_Change] = []
        self.mark = -1

    def __len__(self) -> int:
        return len(self._records)

    @property
    def after_marks(self) -> list[int]:
        """How many records there are up to each mark."""
        return [i + 1 for i, record in enumerate(self._records) if record.kind == "k"]

    def play(self, first: int, last: int) -> None:
        for record in self._records[first:last]:
            self._play(record)

    def lose_power(self, folder: Path, lot: random.Random) -> None:
        """Write what may be left into a new folder."""
        how = lot.choice(["none", "all", "first", "any"])
        n_kept = {"none": 0, "first": lot.randint(0, len(self._names))}.get(how, len(self._names))
        chosen = [i for i in range(n_kept) if how != "any" or lot.random() < 0.5]
        left: dict[int, dict[str, _File | _Folder]] = {}

        def entries(of: _Folder) -> dict[str, _File | _Folder]:
            return left.setdefault(id(of), dict(of.durable))

        for i in sorted(self._with_what_they_stand_on(chosen)):
            for of, name, what in self._names[i]:
                _set(entries(of), name, what)

        def write(of: _Folder, path: Path) -> None:
            path.mkdir()
            for name, what in entries(of).items():
                if isinstance(what, _Folder):
                    write(what, path / name)
                else:
                    (path / name).write_bytes(what.after_loss(lot))

        write(self._top, folder)

    def unlike(self, folder: Path) -> list[str]:
        """Files of a folder that differ from what all records made: then something was not recorded."""
        ours = dict(_files(self._top, PurePath()))
        theirs = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
        return sorted(
            str(name)
            for name in {*ours, *theirs}
            # SQLite writes this one through memory, and makes it anew when it opens a database after a crash.
            if not name.name.endswith("-shm")
            and (name not in ours or name not in theirs or theirs[name].read_bytes() != ours[name].now)
        )

    def _play(self, record: Record) -> None:
        match record.kind:
            case "k":
                self.mark = record.at
            case "c":
                self._inodes[record.inode] = made = _File()
                self._rename(_Change([(*self._place(record.data), made)]))
            case "m":
                self._inodes[record.inode] = folder = _Folder()
                self._rename(_Change([(*self._place(record.data), folder)]))
            case "u" | "d":
                self._rename(_Change([(*self._place(record.data), None)]))
            case "n":
                (source, name), target = map(self._place, record.data.split(b"\0"))
                self._rename(_Change([(source, name, None), (*target, source.now[name])]))
            case "s":
                if isinstance(file := self._inodes[record.inode], _File):
                    self._see_renamed(file, record.data)
                self._sync(self._inodes[record.inode], record.at)
            case "w":
                self._file(record).change((record.at, record.data))
            case "t":
                self._file(record).change(record.at)
            case "W":
                file = self._file(record)
                if file.now != record.data:
                    file.change(0)
                    file.change((0, record.data))
            case _:
                raise AssertionError(f"an operation that is not known: {record.data!r}")

    def _see_renamed(self, file: _File, path: bytes) -> None:
        """safetensors renames by a system call of its own: that shows at the next sync, which is later, so stricter."""
        folder, name = self._place(path.removesuffix(b" (deleted)"))
        for other, what in list(folder.now.items()):
            if what is file and other != name:
                self._rename(_Change([(folder, other, None), (folder, name, file)]))

    def _file(self, record: Record) -> _File:
        file = self._inodes[record.inode]
        assert isinstance(file, _File)
        return file

    def _sync(self, what: "_File | _Folder", checksum: int) -> None:
        if isinstance(what, _File):
            assert zlib.adler32(what.now) == checksum, "something was written that is not in the log"
            what.sync()
            return
        touching = [i for i, change in enumerate(self._names) if any(of is what for of, _, _ in change)]
        durable = self._with_what_they_stand_on(touching)
        for i in sorted(durable):
            for of, name, entry in self._names[i]:
                _set(of.durable, name, entry)
        self._names = [change for i, change in enumerate(self._names) if i not in durable]

    def _rename(self, change: _Change) -> None:
        for of, name, what in change:
            _set(of.now, name, what)
        self._names.append(change)

    def _with_what_they_stand_on(self, chosen: list[int]) -> set[int]:
        """These changes of names, and the earlier ones of the same names."""
        needed: set[tuple[int, str]] = set()
        found = set()
        for i in range(max(chosen, default=-1), -1, -1):
            places = {(id(of), name) for of, name, _ in self._names[i]}
            if i in chosen or places & needed:
                found.add(i)
                needed |= places
        return found

    def _place(self, path: bytes) -> tuple[_Folder, str]:
        *folders, name = PurePath(path.decode()).relative_to(self._root).parts
        of = self._top
        for part in folders:
            within = of.now[part]
            assert isinstance(within, _Folder)
            of = within
        return of, name


def _set(entries: "dict[str, _File | _Folder]", name: str, what: "_File | _Folder | None") -> None:
    if what is None:
        entries.pop(name, None)
    else:
        entries[name] = what


def _apply(content: bytearray, change: tuple[int, bytes] | int) -> None:
    size = change if isinstance(change, int) else change[0]
    content.extend(bytes(max(0, size - len(content))))
    if isinstance(change, int):
        del content[size:]
    else:
        content[size : size + len(change[1])] = change[1]


def _torn(write: tuple[int, bytes], lot: random.Random, *, is_any: bool) -> Iterator[tuple[int, bytes]]:
    """The sectors of a write that arrive: any, or those before one of them."""
    at, data = write
    edges = [0, *range(SECTOR_BYTES - at % SECTOR_BYTES, len(data), SECTOR_BYTES), len(data)]
    sectors = [(at + start, data[start:end]) for start, end in zip(edges, edges[1:], strict=False)]
    if is_any:
        return (sector for sector in sectors if lot.random() < 0.5)
    return iter(sectors[: lot.randint(0, len(sectors))])


def _files(of: _Folder, path: PurePath) -> Iterator[tuple[PurePath, _File]]:
    for name, what in of.now.items():
        if isinstance(what, _File):
            yield path / name, what
        else:
            yield from _files(what, path / name)
