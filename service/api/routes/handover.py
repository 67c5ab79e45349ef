"""An arm of a finished comparison in the form of another tool, as one archive."""

import shutil
import tempfile
import zipfile
from asyncio import Lock
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from service.api.auth import Askable, Context, require
from service.api.context import ServiceContext
from service.api.errors import Problem
from service.api.served import check_askable, get_served
from service.contract.query_schemas import HandoverTarget, HandoverTargets
from service.contract.schemas import ID_PATTERN
from service.contract.scope import Scope
from service.handover.targets import TARGETS
from service.serving.pipelines import ServedPipelines
from service.serving.servable import read_servable

router = APIRouter(prefix="/v1", tags=["querying"])
_writing = Lock()


@router.get("/handover-targets", dependencies=[Depends(require(Scope.READ))])
def list_targets() -> HandoverTargets:
    """The tools that an arm can be handed over to."""
    return HandoverTargets(
        items=[HandoverTarget(name=name, description=target.description) for name, target in TARGETS.items()]
    )


@router.post(
    "/comparisons/{comparison_id}/pipelines/{kind}/handover/{target}",
    dependencies=[Depends(require(Scope.RUN))],
    response_class=FileResponse,
    responses={200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def hand_over_arm(
    comparison_id: Annotated[str, Path(pattern=ID_PATTERN)],
    kind: Annotated[str, Path(pattern=ID_PATTERN)],
    target: Annotated[str, Path(pattern=f"^({'|'.join(TARGETS)})$", description=f"{', '.join(TARGETS)}.")],
    context: Context,
    served: Annotated[ServedPipelines, Depends(get_served)],
    askable: Askable,
) -> FileResponse:
    """Write an arm for another tool: its files, a README with exact commands, and hashes, as a zip archive.

    One at a time: weights are loaded, written and compared with the measured ones.
    """
    await run_in_threadpool(check_askable, context, askable, comparison_id, kind)
    if _writing.locked():
        raise Problem(429, "Too busy", "another arm is being handed over; ask again when it is done", retry_after_s=30)
    folder = FilePath(tempfile.mkdtemp(prefix="tuning-fork-handover-"))
    try:
        async with _writing:
            archive = await run_in_threadpool(_write, context, served, comparison_id, kind, target, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    cleaning = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    return FileResponse(archive, media_type="application/zip", filename=archive.name, background=cleaning)


def _write(
    context: ServiceContext, served: ServedPipelines, comparison_id: str, kind: str, target: str, folder: FilePath
) -> FilePath:
    servable = read_servable(
        context.engine, context.directory, comparison_id, retired_model=context.settings.retired_model
    )
    with served.apart() as arms:
        name = arms.hand_over(servable, kind, target, folder)
    archive = folder / f"{name}.zip"
    # Weights do not shrink: they are stored as they are.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as written:
        for path in sorted((folder / name).rglob("*")):
            written.write(path, path.relative_to(folder))
    shutil.rmtree(folder / name)
    return archive
