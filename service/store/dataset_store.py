"""Datasets of the service: versions named by the hash of their content, as rows; and the bundled ones."""

import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from advisor.audit.dataset.audit import audit_dataset
from advisor.data.dataset import Dataset, DatasetCard, Split, split_sizes
from advisor.data.files import CARD_FILE, HUMAN_LABELS_FILE, load_dataset
from advisor.data.folder_import import card_text
from advisor.data.revision import REVISION_FOLDER
from advisor.results.comparison import AuditFinding
from advisor.results.plain_data import from_plain, to_plain
from lm.errors import ErrorKind, TuningForkError
from lm.files import sha256
from service.safety.prepare import DATA_FILES, PreparedDataset
from service.store.bundled_datasets import BUNDLED_DATASETS, bundled_datasets
from service.store.data_directory import DataDirectory
from service.store.database import undamaged, writing
from service.store.recently_used import RecentlyUsed
from service.store.tables import comparisons, dataset_files, datasets
from service.store.workspaces import EVERY_WORKSPACE

READ_BYTES = 512 * 2**20
"""Of datasets that are kept in memory; the one read last is, however large it is."""

_ROW_BYTES = 1000


class DatasetNotFoundError(TuningForkError):
    """There is no such version."""

    kind = ErrorKind.NOT_FOUND
    title = "No such dataset"


class DatasetConflictError(TuningForkError):
    """The version is in use, frozen or bundled."""

    kind = ErrorKind.CONFLICT
    title = "Dataset in use"


@dataclass(frozen=True, slots=True)
class StoredDataset:
    """One version.

    Attributes:
        version: The hash of its files; for a bundled dataset its name.
        findings: Of the audit, which needs no model.
    """

    version: str
    card: DatasetCard
    findings: tuple[AuditFinding, ...]
    n_documents: int
    split_sizes: Mapping[str, int]
    frozen: bool
    bundled: bool
    created_at: float | None


def version_of(files: Mapping[str, bytes]) -> str:
    """64 hexadecimal digits: equal files, equal version, whoever uploads them and however they are packed."""
    rows = [(name, sha256(files[name])) for name in sorted(files)]
    return sha256(json.dumps(rows))


def store_dataset(engine: Engine, prepared: PreparedDataset) -> tuple[StoredDataset, bool]:
    """The stored version, and whether it is new."""
    version = version_of(prepared.files)
    row = {
        "version": version,
        "name": prepared.card.name,
        "card": json.dumps(to_plain(prepared.card)),
        "findings": json.dumps(to_plain(prepared.findings)),
        "n_documents": prepared.n_documents,
        "split_sizes": json.dumps(prepared.split_sizes),
        "frozen": False,
        "created_at": time.time(),
    }
    parts = [{"version": version, "path": name, "content": content} for name, content in prepared.files.items()]
    try:
        with writing(engine) as connection:
            if (found := connection.execute(select(datasets).where(datasets.c.version == version)).first()) is not None:
                return _stored(found), False
            connection.execute(insert(datasets).values(**row))
            connection.execute(insert(dataset_files), parts)
    except IntegrityError:
        # Two uploads of the same files at once: the other one was first.
        return find_dataset(engine, version), False
    return find_dataset(engine, version), True


def find_dataset(engine: Engine, version: str) -> StoredDataset:
    """A version, or a bundled dataset by name.

    Raises:
        DatasetNotFoundError: there is none.
    """
    if version in bundled_datasets():
        return _bundled(version)
    with engine.connect() as connection:
        row = connection.execute(select(datasets).where(datasets.c.version == version)).first()
    if row is None:
        raise DatasetNotFoundError(f"there is no dataset {version!r}; GET /v1/datasets lists names and versions")
    return _stored(row)


def list_datasets(engine: Engine, *, limit: int, offset: int) -> tuple[list[StoredDataset], int]:
    """A page: uploaded versions, the newest first, then the bundled datasets; and how many there are."""
    order = (datasets.c.created_at.desc(), datasets.c.version)
    with engine.connect() as connection:
        n_uploaded = connection.execute(select(func.count()).select_from(datasets)).scalar_one()
        rows = connection.execute(select(datasets).order_by(*order).limit(limit).offset(offset)).all()
    bundled = bundled_datasets()
    first = max(0, offset - n_uploaded)
    shown = bundled[first : first + limit - len(rows)] if len(rows) < limit else []
    return [_stored(row) for row in rows] + [_bundled(name) for name in shown], n_uploaded + len(bundled)


def dataset_numbers(engine: Engine) -> dict[str, tuple[str, int]]:
    """Of each uploaded version its name, and which of the versions of that name it is: 1 is the oldest."""
    order = (datasets.c.created_at, datasets.c.version)
    with engine.connect() as connection:
        rows = connection.execute(select(datasets.c.version, datasets.c.name).order_by(*order)).all()
    counted: dict[str, int] = {}
    numbers = {}
    for version, name in rows:
        counted[name] = counted.get(name, 0) + 1
        numbers[version] = (name, counted[name])
    return numbers


def freeze_dataset(engine: Engine, version: str) -> StoredDataset:
    """Make a version undeletable; doing so twice, or to a bundled one, changes nothing.

    Raises:
        DatasetNotFoundError: there is none.
    """
    with writing(engine) as connection:
        connection.execute(update(datasets).where(datasets.c.version == version).values(frozen=True))
    return find_dataset(engine, version)


def delete_dataset(engine: Engine, version: str) -> bool:
    """Delete a version with its files, and whether no other workspace has the same files.

    Raises:
        DatasetNotFoundError: there is none.
        DatasetConflictError: it is frozen or bundled, or a comparison rests on it.
    """
    if version in bundled_datasets():
        raise DatasetConflictError(f"{version} comes with the program and cannot be deleted")
    with writing(engine) as connection:
        row = connection.execute(select(datasets).where(datasets.c.version == version)).first()
        if row is None:
            raise DatasetNotFoundError(f"there is no dataset {version!r}; GET /v1/datasets lists names and versions")
        if row.frozen:
            raise DatasetConflictError(f"the version {version[:12]} of {row.name} is frozen and cannot be deleted")
        users = connection.execute(select(comparisons.c.id).where(comparisons.c.dataset == version).limit(1)).scalar()
        if users is not None:
            raise DatasetConflictError(f"{_named(users)} rests on this version; delete it first")
        connection.execute(delete(dataset_files).where(dataset_files.c.version == version))
        connection.execute(delete(datasets).where(datasets.c.version == version))
        others = select(datasets.c.version).where(datasets.c.version == version).execution_options(**EVERY_WORKSPACE)
        return connection.execute(others).first() is None


def _named(comparison_id: str) -> str:
    kind, _, number = comparison_id.rpartition(":")
    return f"the {kind.removesuffix('s')} run {number}" if kind else f"the comparison {comparison_id}"


def dataset_folder(engine: Engine, directory: DataDirectory, version: str) -> Path:
    """The folder of a version: the bundled one, or files written out of the rows, checked against the version.

    Raises:
        DatasetNotFoundError: there is none.
    """
    if version in bundled_datasets():
        return BUNDLED_DATASETS / version
    # The folder alone does not make it the workspace's: another one may have the same files.
    with engine.connect() as connection:
        owner = connection.execute(select(datasets.c.workspace).where(datasets.c.version == version)).scalar()
    if owner is None:
        raise DatasetNotFoundError(f"there is no dataset {version!r}; GET /v1/datasets lists names and versions")
    folder = directory.root / "datasets" / version
    if folder.is_dir() and version_of(_all_files(folder)) == version:
        return folder
    stored = select(dataset_files).where(dataset_files.c.version == version, dataset_files.c.workspace == owner)
    with engine.connect() as connection:
        rows = connection.execute(stored).all()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".staged-", dir=folder.parent) as staged:
        ready = Path(staged) / version
        ready.mkdir()
        for row in rows:
            (ready / row.path).parent.mkdir(exist_ok=True)
            (ready / row.path).write_bytes(row.content)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            ready.rename(folder)
        except OSError:
            # Another process wrote the same files meanwhile.
            if not folder.is_dir():
                raise
    return folder


def _all_files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def folder_files(folder: Path, card: DatasetCard) -> dict[str, bytes]:
    """What a folder of the user's own holds of a dataset, as an upload would keep it, later editions among it."""
    kept = [path for path in sorted(folder.iterdir()) if path.is_file() and _is_kept(path)]
    kept += [path for path in sorted((folder / REVISION_FOLDER).glob("*.jsonl")) if path.is_file()]
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in kept}
    return {CARD_FILE: card_text(card.name, card.task).encode()} | files


def _is_kept(path: Path) -> bool:
    return path.name in (*DATA_FILES, HUMAN_LABELS_FILE) or path.suffix == ".json"


def store_folder(engine: Engine, folder: Path, dataset: Dataset) -> str:
    """The version of a folder of the user's own, kept as an upload would be; audited where it is new."""
    files = folder_files(folder, dataset.card)
    version = version_of(files)
    with engine.connect() as connection:
        known = connection.execute(select(datasets.c.version).where(datasets.c.version == version)).first()
    if known is None:
        store_dataset(engine, PreparedDataset.of(files, dataset))
    return version


def read_files(engine: Engine, directory: DataDirectory, version: str) -> dict[str, bytes]:
    """What a dataset of that version is made of, content by name; of a bundled one what an upload would keep.

    Raises:
        DatasetNotFoundError: there is none.
    """
    folder = dataset_folder(engine, directory, version)
    kept = (path for path in sorted(folder.iterdir()) if path.is_file())
    return {path.name: path.read_bytes() for path in kept if _is_kept(path)}


def read_version(engine: Engine, directory: DataDirectory, version: str) -> Dataset:
    """The dataset of a version, kept in memory for the next call. A split that the files leave open is seed 0's.

    Raises:
        DatasetNotFoundError: there is none.
    """
    find_dataset(engine, version)
    key = (engine, directory, version)
    return _read.find(key, lambda: load_dataset(dataset_folder(engine, directory, version)))


@lru_cache(maxsize=256)
def holds_history(engine: Engine, directory: DataDirectory, version: str) -> bool:
    """Whether questions of a version come after other turns of a conversation.

    Raises:
        DatasetNotFoundError: there is none.
    """
    return any(example.history for example in read_version(engine, directory, version).examples)


@lru_cache(maxsize=256)
def slice_sizes(engine: Engine, directory: DataDirectory, version: str) -> Mapping[str, int]:
    """Test questions of a version by slice.

    Raises:
        DatasetNotFoundError: there is none.
    """
    dataset = read_version(engine, directory, version)
    return Counter(dataset.slice_of(example).value for example in dataset.split(Split.TEST))


def _held_bytes(dataset: Dataset) -> int:
    """About how much memory a dataset takes."""
    n_characters = sum(len(document.text) for document in dataset.documents)
    n_characters += sum(len(example.question) + sum(map(len, example.answers)) for example in dataset.examples)
    return 2 * n_characters + _ROW_BYTES * (len(dataset.documents) + len(dataset.examples))


_read: RecentlyUsed[tuple[Engine, DataDirectory, str], Dataset] = RecentlyUsed(READ_BYTES, _held_bytes)


def forget_read() -> None:
    """Let go of what is kept in memory of stored datasets."""
    _read.clear()
    holds_history.cache_clear()
    slice_sizes.cache_clear()


@lru_cache(maxsize=64)
def _bundled(name: str) -> StoredDataset:
    dataset = load_dataset(BUNDLED_DATASETS / name)
    return StoredDataset(
        version=name,
        card=dataset.card,
        findings=tuple(audit_dataset(dataset)),
        n_documents=len(dataset.documents),
        split_sizes=split_sizes(dataset),
        frozen=True,
        bundled=True,
        created_at=None,
    )


def _stored(row: Row[Any]) -> StoredDataset:
    with undamaged(f"the dataset {row.version}"):
        card = json.loads(row.card)
        schema = card.pop("schema", None)
        return StoredDataset(
            version=row.version,
            card=replace(from_plain(DatasetCard, card), schema=schema),
            findings=tuple(from_plain(AuditFinding, finding) for finding in json.loads(row.findings)),
            n_documents=row.n_documents,
            split_sizes=json.loads(row.split_sizes),
            frozen=row.frozen,
            bundled=False,
            created_at=row.created_at,
        )
