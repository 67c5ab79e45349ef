"""From uploaded files to a checked dataset: nothing of them is run, and nothing is written outside one folder."""

import json
import os
import shutil
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

from advisor.audit.dataset.audit import audit_dataset
from advisor.data.dataset import Dataset, DatasetCard, Task, split_sizes
from advisor.data.files import (
    CARD_FILE,
    DOCUMENTS_FILE,
    HUMAN_LABELS_FILE,
    QUESTIONS_FILE,
    Problem,
    read_dataset,
    write_rows,
)
from advisor.data.folder_import import Fate, FileOutcome, card_text, read_documents_alone
from advisor.data.formats.reading import read_data
from advisor.data.formats.rows import READERS
from advisor.data.formats.table import is_foreign
from advisor.data.revision import EDITION_FILES, REVISION_FOLDER
from advisor.errors import DatasetError
from advisor.evidence.human_labels import load_human_labels
from advisor.metrics.registry import metrics_for
from advisor.results.comparison import AuditFinding, Severity
from lm.errors import TuningForkError
from service.safety.archive import CHUNK_BYTES, UNPACKING_ERRORS, read_archive, shown
from service.safety.file_name import ending_problem, is_passed_over, name_problem, same_name
from service.safety.json_depth import MAX_JSON_DEPTH, count_containers, is_too_deep
from service.safety.limits import UploadLimits

MAX_PROBLEMS = 200
_MAX_ITEMS = 10
_MAX_CARD_NAME_BYTES = 150
DATA_FILES = (CARD_FILE, DOCUMENTS_FILE, QUESTIONS_FILE)
EDITIONS = tuple(f"{REVISION_FOLDER}/{name}" for name in EDITION_FILES)
"""Kept with a dataset, and read when its arms are asked again."""


class UnfitUploadError(DatasetError):
    """The files cannot be used; `problems` says why, each with file and line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems[:MAX_PROBLEMS])
        first = "; ".join(str(problem) for problem in problems[:3])
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        super().__init__(f"the upload cannot be used, {len(problems)} problem(s): {first}{more}")

    def __reduce__(self) -> tuple[type["UnfitUploadError"], tuple[Sequence[Problem]]]:
        # It comes out of another process.
        return UnfitUploadError, (self.problems,)


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """One file of a request: what it was called there, and where it is kept, under a name of ours."""

    name: str
    path: Path


@dataclass(frozen=True)
class PreparedDataset:
    """A dataset fit to be stored. What was read of its files is not kept: it takes many times as much memory.

    Attributes:
        files: Content by name: what the dataset folder will hold.
        split_sizes: Questions by split.
        outcomes: What became of every file that was sent.
        read_as: In a sentence, what was recognised; "" for a dataset folder.
    """

    files: Mapping[str, bytes]
    card: DatasetCard
    n_documents: int
    split_sizes: Mapping[str, int]
    findings: tuple[AuditFinding, ...]
    outcomes: tuple[FileOutcome, ...] = ()
    read_as: str = ""

    @classmethod
    def of(cls, files: Mapping[str, bytes], dataset: Dataset) -> "PreparedDataset":
        """That of files which hold a dataset, audited."""
        findings = tuple(audit_dataset(dataset))
        return cls(files, dataset.card, len(dataset.documents), split_sizes(dataset), findings)


@dataclass(frozen=True)
class PreparedDocuments:
    """Documents fit to have questions written from them.

    Attributes:
        content: As documents.jsonl holds them.
        outcomes: What became of every file that was sent; empty for a documents.jsonl.
    """

    content: bytes
    outcomes: tuple[FileOutcome, ...]


def prepare_documents(uploads: Sequence[UploadedFile], workplace: Path, *, limits: UploadLimits) -> PreparedDocuments:
    """The documents among uploaded files; questions that are there are left aside.

    Raises:
        UnfitUploadError: with every problem found.
    """
    problems: list[Problem] = []
    workplace.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="upload-", dir=workplace) as folder:
        received = Path(folder) / "received"
        received.mkdir()
        source, names = _without_shared_folder(received, _receive(uploads, received, limits, problems))
        _stop_at(problems)
        _check_json([source / part for part in names if part.endswith((".json", ".jsonl"))], limits, problems)
        _check_workbooks([source / part for part in names if part.endswith(".xlsx")], limits, problems)
        _stop_at(problems, received)
        documents, outcomes = read_documents_alone(source, problems)
        _stop_at(problems, received)
        rows = [{"id": one.id, "title": one.title, "text": one.text} for one in documents]
        write_rows(received / "read.jsonl", rows)
        return PreparedDocuments((received / "read.jsonl").read_bytes(), tuple(outcomes))


def prepare_upload(
    uploads: Sequence[UploadedFile],
    workplace: Path,
    *,
    name: str | None,
    task: Task | None,
    limits: UploadLimits,
    columns: Mapping[str, str] | None = None,
) -> PreparedDataset:
    """Check uploaded files: a zip archive, the files of a dataset folder, or data that can be imported.

    Args:
        workplace: A folder of ours in which files are unpacked and deleted again.
        name: For files without a card; a card's own name wins, and so does its task.
        columns: Names of columns or fields in the files, by the names that are read.

    Raises:
        UnfitUploadError: with every problem found.
    """
    problems: list[Problem] = []
    workplace.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="upload-", dir=workplace) as folder:
        received, ready = Path(folder) / "received", Path(folder) / "ready"
        received.mkdir()
        ready.mkdir()
        names = _receive(uploads, received, limits, problems)
        _stop_at(problems)
        name = name or _name_of(uploads)
        outcomes, notes, read_as = _arrange(received, names, ready, name, task, limits, problems, columns or {})
        _stop_at(problems, received, ready)
        dataset = read_dataset(ready, problems, task=task)
        if dataset is not None:
            _check_card(dataset, problems)
            _check_labels(ready, dataset, problems)
        _stop_at(problems, received, ready)
        if dataset is None:
            raise UnfitUploadError([Problem(QUESTIONS_FILE, None, "no usable question was found; add some")])
        kept = sorted(path for path in ready.rglob("*") if path.is_file())
        files = {path.relative_to(ready).as_posix(): path.read_bytes() for path in kept}
        prepared = PreparedDataset.of(files, dataset)
        findings = (*prepared.findings, *_import_findings(outcomes, notes))
        return replace(prepared, findings=findings, outcomes=tuple(outcomes), read_as=read_as)


def _import_findings(outcomes: Sequence[FileOutcome], notes: Sequence[str]) -> Iterator[AuditFinding]:
    left_out = [file.name for file in outcomes if file.fate is Fate.LEFT_OUT]
    if left_out:
        message = f"Files that are no part of a dataset were left out: {len(left_out)}."
        remedy = "Nothing, unless they were meant as documents: those belong into documents.jsonl."
        yield AuditFinding("left out", Severity.NOTE, message, remedy, tuple(left_out[:_MAX_ITEMS]))
    failed = [str(file) for file in outcomes if file.fate is Fate.FAILED]
    if failed:
        message = f"Documents that could not be read: {len(failed)}. No arm sees what they say."
        remedy = "Do for each file what stands after its name, and upload all again."
        yield AuditFinding("not read", Severity.WARN, message, remedy, tuple(failed[:_MAX_ITEMS]))
    told = [str(file) for file in outcomes if file.fate is Fate.DOCUMENT and file.detail]
    if told or notes:
        message = f"Rows and files left out or read otherwise than they stand there: {len(told) + len(notes)}."
        remedy = "Write \\| for a | that belongs to an answer; pictures are not read."
        items = tuple([*notes, *told][:_MAX_ITEMS])
        yield AuditFinding("import", Severity.NOTE, message, remedy, items)


def _stop_at(problems: Sequence[Problem], *folders: Path) -> None:
    """Raise if there are problems; where we keep the files is no business of those who sent them."""
    if not problems:
        return
    told = []
    for problem in problems:
        file, message = problem.file, problem.message
        for folder in folders:
            file, message = file.replace(str(folder), "upload"), message.replace(str(folder), "the upload")
        told.append(Problem(file, problem.line, message))
    raise UnfitUploadError(told)


def _name_of(uploads: Sequence[UploadedFile]) -> str:
    stem = PurePosixPath(uploads[0].name).stem if len(uploads) == 1 else ""
    return stem if stem and not name_problem(stem) else "uploaded"


def _receive(uploads: Sequence[UploadedFile], folder: Path, limits: UploadLimits, problems: list[Problem]) -> list[str]:
    """Write every file below the folder; the names written, without a folder that all of them share."""
    if not uploads:
        problems.append(Problem("upload", None, "no file was sent; send one .zip, or the files of the dataset"))
        return []
    if len(uploads) > limits.max_files:
        problems.append(Problem("upload", None, f"{len(uploads)} files were sent; {limits.max_files} are allowed"))
        return []
    receiver = _Receiver(folder, limits, problems)
    only = uploads[0]
    if len(uploads) == 1 and only.name.lower().endswith(".zip") and not name_problem(only.name):
        with only.path.open("rb") as packed:
            for name, opened in read_archive(only.name, packed, limits, problems):
                receiver.take(name, opened)
    else:
        for upload in uploads:
            if not is_passed_over(upload.name):
                with upload.path.open("rb") as file:
                    receiver.take(upload.name, file)
    if not receiver.names and not problems:
        problems.append(Problem("upload", None, "there is no file in it; add the documents and questions"))
    return receiver.names


class _Receiver:
    """Writes files whose names are fit, counts their bytes, and notes what is wrong."""

    def __init__(self, folder: Path, limits: UploadLimits, problems: list[Problem]) -> None:
        self._folder = folder
        self._limits = limits
        self._problems = problems
        self._taken: dict[str, str] = {}
        self._folders: set[str] = set()
        self._n_bytes = 0
        self.names: list[str] = []

    def take(self, name: str, file: IO[bytes]) -> None:
        """Write one file, or say why not."""
        if len(self._problems) >= MAX_PROBLEMS or self._n_bytes > self._limits.max_bytes:
            return
        if problem := name_problem(name) or ending_problem(name) or self._clash(name):
            self._problems.append(Problem(shown(name), None, problem))
            return
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Never follows a link and never writes over anything.
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "wb") as target:
                while chunk := file.read(CHUNK_BYTES):
                    self._n_bytes += len(chunk)
                    if self._n_bytes > self._limits.max_bytes:
                        what = f"the files have more than {self._limits.max_bytes} bytes, which is the limit"
                        self._problems.append(Problem(shown(name), None, what))
                        return
                    target.write(chunk)
        except UNPACKING_ERRORS as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            self._problems.append(Problem(shown(name), None, f"cannot be unpacked ({error}); create the archive again"))
            return
        self.names.append(name)

    def _clash(self, name: str) -> str:
        key = same_name(name)
        if key in self._taken:
            return f"has the same name as {self._taken[key]}, at least on some systems; rename one of them"
        above = [str(parent) for parent in PurePosixPath(key).parents][:-1]
        if key in self._folders or any(parent in self._taken for parent in above):
            return "is both a file and a folder; rename one of them"
        self._taken[key] = name
        self._folders |= set(above)
        return ""


def _arrange(
    received: Path,
    names: Sequence[str],
    ready: Path,
    name: str,
    task: Task | None,
    limits: UploadLimits,
    problems: list[Problem],
    columns: Mapping[str, str],
) -> tuple[list[FileOutcome], tuple[str, ...], str]:
    """Make a dataset folder of what came.

    Returns:
        What became of every file, what the user may look at, and in a sentence what was recognised.
    """
    source, names = _without_shared_folder(received, names)
    read_as = ""
    notes: tuple[str, ...] = ()
    settings = {CARD_FILE, HUMAN_LABELS_FILE} & set(names)
    tables = {DOCUMENTS_FILE, QUESTIONS_FILE} & set(names)
    is_dataset = bool(tables) and not columns and not _is_foreign(source, limits)
    editions = set(EDITIONS) & set(names) if is_dataset else set()
    schemas = [part for part in names if part.endswith(".json") and "/" not in part]
    card = card_text(name, task or Task.QUESTION_ANSWERING)
    if is_dataset:
        outcomes = [FileOutcome(part, Fate.SETTINGS) for part in (*tables, *settings, *schemas, *editions)]
        others = set(names) - {outcome.name for outcome in outcomes}
        outcomes += [FileOutcome(part, Fate.LEFT_OUT, f"documents stand in {DOCUMENTS_FILE}") for part in others]
    else:
        tables = set()
        _check_json([source / part for part in names if part.endswith((".json", ".jsonl"))], limits, problems)
        _check_workbooks([source / part for part in names if part.endswith(".xlsx")], limits, problems)
        if problems:
            return [], (), ""
        # Among documents a .json is one of them, unless the card calls it the schema.
        schemas = [part for part in schemas if part == _schema_name(source / CARD_FILE)]
        is_one = len(names) == 1 and names[0].lower().rpartition(".")[2] in READERS
        apart = {*settings, *schemas}
        read = read_data(source / names[0] if is_one else source, problems, columns=columns, apart=apart)
        notes, read_as = read.notes, read.sentence
        if read.instruction:
            card += f"instruction = {json.dumps(read.instruction, ensure_ascii=False)}\n"
        outcomes = [file for file in read.files if file.name not in apart]
        outcomes += [FileOutcome(part, Fate.SETTINGS) for part in apart]
        write_rows(ready / DOCUMENTS_FILE, read.documents)
        write_rows(ready / QUESTIONS_FILE, read.questions)
    for part in (*tables, *settings, *schemas, *editions):
        (ready / part).parent.mkdir(exist_ok=True)
        shutil.move(source / part, ready / part)
    if not (ready / CARD_FILE).exists():
        (ready / CARD_FILE).write_text(card, encoding="utf-8")
    elif (ready / CARD_FILE).stat().st_size > limits.max_card_bytes:
        problems.append(Problem(CARD_FILE, None, f"a card may have {limits.max_card_bytes} bytes; shorten it"))
    _check_json(
        [ready / part for part in (DOCUMENTS_FILE, QUESTIONS_FILE, HUMAN_LABELS_FILE, *schemas, *editions)],
        limits,
        problems,
    )
    return sorted(outcomes, key=lambda outcome: outcome.name), notes, read_as


def _without_shared_folder(received: Path, names: Sequence[str]) -> tuple[Path, Sequence[str]]:
    tops = {part.split("/", 1)[0] for part in names}
    if len(tops) != 1 or not all("/" in part for part in names):
        return received, names
    top = tops.pop()
    return received / top, [part[len(top) + 1 :] for part in names]


def _schema_name(card: Path) -> object:
    try:
        return tomllib.loads(card.read_text(encoding="utf-8-sig")).get("schema")
    except (OSError, ValueError, RecursionError):
        # Whoever reads the card says what is wrong with it.
        return None


def _is_foreign(folder: Path, limits: UploadLimits) -> bool:
    """Whether files with our names hold rows of another tool."""
    for name in (DOCUMENTS_FILE, QUESTIONS_FILE):
        if not (folder / name).is_file():
            continue
        with (folder / name).open("rb") as file:
            line = file.readline(limits.max_line_bytes)
        with suppress(ValueError):
            if not is_too_deep(line) and isinstance(value := json.loads(line), dict) and is_foreign(value):
                return True
    return False


def _check_workbooks(paths: Sequence[Path], limits: UploadLimits, problems: list[Problem]) -> None:
    """A workbook is an archive, and is unpacked while it is read."""
    for path in paths:
        if not zipfile.is_zipfile(path):
            continue
        with zipfile.ZipFile(path) as archive:
            n_bytes = sum(entry.file_size for entry in archive.infolist())
        if n_bytes > min(limits.max_bytes, max(limits.free_bytes, limits.max_ratio * path.stat().st_size)):
            problems.append(Problem(path.name, None, f"unpacks to {n_bytes} bytes; save it as .csv"))


def _check_json(paths: Sequence[Path], limits: UploadLimits, problems: list[Problem]) -> None:
    n_containers = 0
    for path in paths:
        if not path.is_file():
            continue
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                n_containers += count_containers(line)
                if len(line) > limits.max_line_bytes:
                    what = f"the line is longer than {limits.max_line_bytes} bytes; divide the document"
                    problems.append(Problem(path.name, number, what))
                elif path.suffix == ".jsonl" and is_too_deep(line):
                    what = f"nested more than {MAX_JSON_DEPTH} deep; flatten it"
                    problems.append(Problem(path.name, number, what))
        if path.suffix == ".json" and is_too_deep(path.read_bytes()):
            problems.append(Problem(path.name, None, f"nested more than {MAX_JSON_DEPTH} deep; flatten it"))
        if n_containers > limits.max_containers:
            what = f"more than {limits.max_containers} JSON objects and lists; simplify the metadata"
            problems.append(Problem(path.name, None, what))
            return


def _check_card(dataset: Dataset, problems: list[Problem]) -> None:
    """What a card may say in a folder of the user's own and not to a service."""
    name = dataset.card.name
    # The name becomes part of folders' names.
    if name_problem(name) or "/" in name or len(name.encode()) > _MAX_CARD_NAME_BYTES:
        what = name_problem(name) or f"at most {_MAX_CARD_NAME_BYTES} bytes and no slash are allowed"
        problems.append(Problem(CARD_FILE, None, f"the name {shown(name)!r} cannot be used: {what}"))
    texts = (dataset.card.language, dataset.card.licence, dataset.card.description, dataset.card.instruction)
    if any("\0" in text for text in texts):
        problems.append(Problem(CARD_FILE, None, "a text holds a NUL character; remove it"))
    try:
        metrics_for(dataset.card, has_embedder=True, has_judge=True)
    except TuningForkError as error:
        problems.append(Problem(CARD_FILE, None, str(error)))
    if dataset.card.schema is not None and (found := _outward_reference(dataset.card.schema)):
        what = f"the schema refers to {shown(found)}; only references within it (#/...) are followed"
        problems.append(Problem(CARD_FILE, None, what))


def _check_labels(folder: Path, dataset: Dataset, problems: list[Problem]) -> None:
    try:
        load_human_labels(folder, dataset.examples)
    except DatasetError as error:
        problems.append(Problem(HUMAN_LABELS_FILE, None, str(error)))


def _outward_reference(schema: object) -> str:
    rest = [schema]
    while rest:
        part = rest.pop()
        if isinstance(part, Mapping):
            for key in ("$ref", "$dynamicRef", "$recursiveRef"):
                target = part.get(key)
                if isinstance(target, str) and not target.startswith("#"):
                    return target
            rest += part.values()
        elif isinstance(part, list):
            rest += part
    return ""
