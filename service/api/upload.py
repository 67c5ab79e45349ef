"""Uploads: a body is kept as it comes; a process of its own takes it apart and checks it, and ends with its caller."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from service.api.auth import get_context
from service.api.served import while_connected
from service.safety.form import SentForm, read_form
from service.safety.limits import UploadLimits
from service.safety.prepare_process import PreparingProcess

T = TypeVar("T")

MULTIPART = "multipart/form-data"
_AT_ONCE_BYTES = 2**20

# Unpacked files and what is parsed of them are in memory while they are checked. Who waits takes no thread of others.
_preparing = ThreadPoolExecutor(2, thread_name_prefix="preparing")
_idle: list[PreparingProcess] = []

Prepare = Callable[[SentForm, PreparingProcess, Path, UploadLimits], T]
"""Makes something of a form, in a thread, with a process at hand and a folder to work in."""


def is_form(request: Request) -> bool:
    """Whether a request announces files."""
    return request.headers.get("content-type", "").lower().startswith(MULTIPART)


async def with_form(request: Request, prepare: Prepare[T]) -> T:
    """What comes of the form in a request.

    Raises:
        FormError: it is none, or brings no files.
        Problem: the caller went away.
    """
    context = await get_context(request)
    limits = UploadLimits(context.settings.max_dataset_files, context.settings.max_dataset_bytes)
    workplace = context.directory.root / "incoming"
    folder = await run_in_threadpool(_new_folder, workplace)
    read = partial(
        read_form,
        folder / "body",
        request.headers["content-type"],
        folder / "parts",
        max_files=limits.max_files + 1,
    )
    has_begun = False

    def work(process: PreparingProcess) -> T:
        nonlocal has_begun
        has_begun = True
        try:
            return prepare(process.run(read), process, workplace, limits)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    try:
        await _keep_body(request, folder / "body")
        return await while_connected(request, _in_process(work))
    finally:
        # Once there are many files, whoever made them deletes them: the event loop has no time for it.
        if not has_begun:
            shutil.rmtree(folder, ignore_errors=True)


def _new_folder(workplace: Path) -> Path:
    workplace.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="sent-", dir=workplace))
    (folder / "parts").mkdir()
    return folder


async def _keep_body(request: Request, path: Path) -> None:
    gathered = bytearray()
    with await run_in_threadpool(path.open, "wb") as file:
        async for part in request.stream():
            gathered += part
            if len(gathered) >= _AT_ONCE_BYTES:
                await run_in_threadpool(file.write, bytes(gathered))
                gathered.clear()
        await run_in_threadpool(file.write, bytes(gathered))
        await run_in_threadpool(file.flush)


async def _in_process(work: Callable[[PreparingProcess], T]) -> T:
    """Work with a process that nobody else uses meanwhile; it ends where its caller goes away."""
    taken: list[PreparingProcess] = []

    def run() -> T:
        process = _idle.pop() if _idle else PreparingProcess()
        taken.append(process)
        try:
            return work(process)
        finally:
            # No longer this caller's to end: another upload may have it the next moment.
            taken.clear()
            if not process.is_ended:
                _idle.append(process)

    try:
        return await asyncio.get_running_loop().run_in_executor(_preparing, run)
    except asyncio.CancelledError:
        for process in taken:
            process.end()
        raise
