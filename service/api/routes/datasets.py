"""Uploading, validating, listing, reading, freezing, deleting and erasing datasets."""

import io
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from advisor.data.dataset import Slice, Split, Task
from advisor.data.folder_import import FileOutcome
from advisor.data.formats.export import export_dataset
from advisor.data.formats.reading import read_columns
from advisor.data.formats.table import FORMATS
from advisor.results.plain_data import to_plain
from service.api.auth import Context, get_context, require
from service.api.context import ServiceContext
from service.api.errors import Problem
from service.api.paging import Offset, Whole
from service.api.upload import is_form, with_form
from service.contract.schemas import (
    ID_PATTERN,
    DatasetDetail,
    DatasetErased,
    DatasetList,
    DatasetProblem,
    DatasetSummary,
    DocumentPage,
    ExampleItem,
    ExamplePage,
    Name,
    StoredUpload,
    ValidationReport,
)
from service.contract.scope import Scope
from service.safety.form import SentForm
from service.safety.limits import UploadLimits
from service.safety.prepare import PreparedDataset, UnfitUploadError, prepare_upload
from service.safety.prepare_process import PreparingProcess
from service.store.dataset_store import (
    DatasetConflictError,
    StoredDataset,
    delete_dataset,
    find_dataset,
    freeze_dataset,
    list_datasets,
    read_files,
    read_version,
    slice_sizes,
    store_dataset,
)
from service.store.keeping.erasure import NOT_REACHED, erase_datasets

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])
Version = Annotated[str, Path(pattern=ID_PATTERN, description="A version, or the name of a bundled dataset.")]
Limit = Annotated[Whole, Query(ge=1, le=500)]
_READ = [Depends(require(Scope.READ))]
_RUN = [Depends(require(Scope.RUN))]
_ARCHIVE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}
T = TypeVar("T")

_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "minItems": 1,
                            "description": "One .zip, or the files; a file's name may hold folders (handbook/a.md).",
                        },
                        "name": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": 120,
                            "description": "Of the dataset, where no dataset.toml names it.",
                        },
                        "task": {
                            "type": "string",
                            "enum": [task.value for task in Task],
                            "description": "Where no dataset.toml says it; question-answering if left out.",
                        },
                        "columns": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": "Names of columns or fields in the files: question=Frage.",
                        },
                    },
                }
            }
        },
    }
}


@router.post("", status_code=201, dependencies=_RUN, openapi_extra=_UPLOAD, responses={200: {"model": StoredUpload}})
async def upload(request: Request, response: Response) -> StoredUpload:
    """Check files and store them as a version; 200 instead of 201 where the same files were stored before.

    Files are those of docs/data-format.md: a dataset, documents of any format named there with a table of questions,
    or another tool's format.
    """
    context = await get_context(request)

    def store(prepared: PreparedDataset) -> tuple[StoredDataset, bool, list[FileOutcome]]:
        return *store_dataset(context.engine, prepared), list(prepared.outcomes)

    stored, is_new, files = await _with_upload(request, store)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/v1/datasets/{stored.version}"
    detail = await run_in_threadpool(_detail, context, stored)
    return StoredUpload(**detail.model_dump(), files=files)


@router.post("/validate", dependencies=_READ, openapi_extra=_UPLOAD)
async def validate(request: Request) -> ValidationReport:
    """Say what is wrong with files, by file and line, and store nothing."""
    try:
        prepared = await _with_upload(request, lambda prepared: prepared)
    except UnfitUploadError as error:
        problems = [DatasetProblem(file=p.file, line=p.line, message=p.message) for p in error.problems]
        return ValidationReport(usable=False, problems=problems)
    return ValidationReport(
        usable=True,
        name=prepared.card.name,
        task=prepared.card.task,
        read_as=prepared.read_as,
        n_documents=prepared.n_documents,
        split_sizes=dict(prepared.split_sizes),
        findings=list(prepared.findings),
        files=list(prepared.outcomes),
    )


@router.get("", dependencies=_READ)
def list_all(context: Context, limit: Limit = 100, offset: Offset = 0) -> DatasetList:
    """Uploaded versions, the newest first, then the bundled datasets."""
    stored, total = list_datasets(context.engine, limit=limit, offset=offset)
    return DatasetList(items=[_summary(one) for one in stored], total=total)


@router.get("/{version}", dependencies=_READ)
def get(version: Version, context: Context) -> DatasetDetail:
    """A version with its card, sizes and what the audit found."""
    return _detail(context, find_dataset(context.engine, version))


@router.get("/{version}/examples", dependencies=_READ)
def examples(
    version: Version,
    context: Context,
    split: Annotated[Split | None, Query(description="Only this split.")] = None,
    part: Annotated[Slice | None, Query(alias="slice", description="Only this slice.")] = None,
    contains: Annotated[str | None, Query(max_length=200, description="Only questions that hold this text.")] = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> ExamplePage:
    """Questions in file order. A split that the files leave open is shown as seed 0 makes it."""
    dataset = read_version(context.engine, context.directory, version)
    wanted = (contains or "").casefold()
    chosen = [
        example
        for example in dataset.examples
        if (split is None or example.split is split)
        and (part is None or dataset.slice_of(example) is part)
        and wanted in example.question.casefold()
    ]
    items = [
        ExampleItem.model_validate(
            to_plain(example) | {"answerable": example.answerable, "slice": dataset.slice_of(example)}
        )
        for example in chosen[offset : offset + limit]
    ]
    return ExamplePage(items=items, total=len(chosen))


@router.get("/{version}/documents", dependencies=_READ)
def documents(
    version: Version,
    context: Context,
    contains: Annotated[str | None, Query(max_length=200, description="Only documents that hold this text.")] = None,
    limit: Annotated[Whole, Query(ge=1, le=100)] = 20,
    offset: Offset = 0,
) -> DocumentPage:
    """Documents in file order."""
    dataset = read_version(context.engine, context.directory, version)
    wanted = (contains or "").casefold()
    chosen = [one for one in dataset.documents if wanted in one.title.casefold() or wanted in one.text.casefold()]
    return DocumentPage(items=chosen[offset : offset + limit], total=len(chosen))


@router.get("/{version}/files.zip", dependencies=_READ, response_class=Response, responses=_ARCHIVE)
def files(
    version: Version,
    context: Context,
    format_: Annotated[
        str | None, Query(alias="format", max_length=30, description=f"Another tool's: {', '.join(FORMATS)}.")
    ] = None,
) -> Response:
    """The files of a version as they are stored, or in another format, in one zip that can be uploaded again."""
    if format_ is None:
        contents = read_files(context.engine, context.directory, version)
    else:
        dataset = read_version(context.engine, context.directory, version)
        with tempfile.TemporaryDirectory() as folder:
            exported = export_dataset(dataset, format_, FilePath(folder) / "exported")
            paths = sorted(path for path in exported.rglob("*") if path.is_file())
            contents = {path.relative_to(exported).as_posix(): path.read_bytes() for path in paths}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return Response(packed.getvalue(), media_type="application/zip")


@router.post("/{version}/freeze", dependencies=_RUN)
def freeze(version: Version, context: Context) -> DatasetDetail:
    """Make a version undeletable. Its content never changes anyway. This cannot be taken back."""
    return _detail(context, freeze_dataset(context.engine, version))


@router.delete("/{version}", status_code=204, dependencies=_RUN)
def delete(version: Version, context: Context) -> None:
    """Delete a version that is neither frozen nor used by a comparison, with the copy of its files on this machine."""
    if delete_dataset(context.engine, version):
        shutil.rmtree(context.directory.root / "datasets" / version, ignore_errors=True)


@router.post("/{version}/erase", dependencies=[Depends(require(Scope.ADMIN))])
def erase(version: Version, context: Context, request: Request) -> DatasetErased:
    """Erase a version with everything that was made of it, frozen or not, baselines and deployments among it.

    It cannot be undone. No comparison may wait or run meanwhile.
    """
    if (stored := find_dataset(context.engine, version)).bundled:
        raise DatasetConflictError(f"{version} comes with the program and cannot be erased; erase what you uploaded")
    try:
        erased = erase_datasets(context.engine, context.directory, [stored.version])
    finally:
        request.app.state.forget()
    return DatasetErased(
        versions=list(erased.versions),
        comparisons=list(erased.comparisons),
        n_answer_blocks=erased.n_answers,
        not_reached=list(NOT_REACHED),
    )


async def _with_upload(request: Request, use: Callable[[PreparedDataset], T]) -> T:
    """What `use` makes of the dataset in a request, once it is checked."""
    if not is_form(request):
        raise Problem(415, "Not multipart", "send the files as multipart/form-data, e.g. `curl -F files=@data.zip`")
    return await run_in_threadpool(use, await with_form(request, _prepared))


def _prepared(form: SentForm, process: PreparingProcess, workplace: FilePath, limits: UploadLimits) -> PreparedDataset:
    name, task = _fields(form.fields)
    columns = read_columns(form.fields.get("columns", ()))
    prepare = partial(prepare_upload, form.files, workplace, name=name, task=task, limits=limits, columns=columns)
    return process.run(prepare)


_NAME: TypeAdapter[str] = TypeAdapter(Name)


def _fields(fields: Mapping[str, Sequence[str]]) -> tuple[str | None, Task | None]:
    if unknown := sorted(set(fields) - {"name", "task", "columns"}):
        raise Problem(
            422, "Invalid request", f"the form field {ascii(unknown[0])} is unknown; use files, name, task and columns"
        )
    name, task = (fields[one][-1] if one in fields else None for one in ("name", "task"))
    try:
        return (None if name is None else _NAME.validate_python(name)), (None if task is None else Task(task))
    except ValidationError:
        detail = "the name must have 1 to 120 characters, none of them a control character"
        raise Problem(422, "Invalid request", detail) from None
    except ValueError:
        raise Problem(422, "Invalid request", f"task is {ascii(task)}; give one of {', '.join(Task)}") from None


def _summary(stored: StoredDataset) -> DatasetSummary:
    return DatasetSummary(**_summary_fields(stored))


def _summary_fields(stored: StoredDataset) -> dict[str, Any]:
    return {
        "version": stored.version,
        "name": stored.card.name,
        "task": stored.card.task,
        "language": stored.card.language,
        "licence": stored.card.licence,
        "description": stored.card.description,
        "n_documents": stored.n_documents,
        "split_sizes": dict(stored.split_sizes),
        "bundled": stored.bundled,
        "frozen": stored.frozen,
        "created_at": stored.created_at,
    }


def _detail(context: ServiceContext, stored: StoredDataset) -> DatasetDetail:
    return DatasetDetail(
        **_summary_fields(stored),
        metrics=list(stored.card.metrics),
        instruction=stored.card.instruction,
        max_output_tokens=stored.card.max_output_tokens,
        slice_sizes=dict(slice_sizes(context.engine, context.directory, stored.version)),
        findings=list(stored.findings),
    )
