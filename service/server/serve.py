"""The process of the service: answers requests and works on comparisons. It loads no model itself at start."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from lm.errors import ConfigError
from service.api.context import ServiceContext
from service.api.service_settings import ServiceSettings, is_local
from service.contract.scope import DEFAULT_WORKSPACE
from service.safety.endpoint_guard import guard_process
from service.server.newest_comparison import newest_kept_ready
from service.server.page import PageSettings, running_page
from service.server.regularly import done_regularly
from service.standing import leave_out_what_stands
from service.store.api_keys import any_key
from service.store.comparisons.adoption import adopt_folders
from service.store.data_directory import DataDirectory, tell_address
from service.store.database import database_url, open_database
from service.store.migrations.upgrade import migrate
from service.store.workspaces import in_workspace
from service.telemetry import switch_off_telemetry

if TYPE_CHECKING:
    from fastapi import FastAPI

DATABASE_S = 10.0
"""For the database to do one thing for a caller, who is then told to try again. Jobs wait longer."""

SWITCH_S = 0.001
"""After which a thread that computes lets others on. With Python's own 5 ms, three steps of a request beside four such
threads took 1.7 times as long, and at worst three times."""

REQUEST_GRACE_S = 5
"""For requests in progress when the service is told to stop."""

JOB_GRACE_S = 20.0
"""For jobs to reach the end of a block; what they lose is that block."""

_LAST_GRACE_S = 3.0
"""For what is left then; threads that wait for a slow model or database cannot be interrupted."""


def serve(
    settings: ServiceSettings,
    directory: DataDirectory,
    tell: Callable[[str], None],
    *,
    page: PageSettings | None = None,
) -> None:
    """Answer requests and work on comparisons until told to stop (SIGTERM or Ctrl-C).

    Args:
        tell: Shows the operator a line.
        page: How the web UI is served on this machine; without it there is none.
    Raises:
        ConfigError: another process holds the data directory, the address is taken, others could reach the service
            and there is no key to tell friend from foe, or the Ray cluster does not fit.
    """
    from service.api.app import create_app

    # Questions of callers are answered here, by models that callers named.
    guard_process()
    # A request passes from thread to thread, and waits each time for those that compute for others.
    sys.setswitchinterval(SWITCH_S)
    if settings.ray is not None:
        from service.jobs.ray_engine.ray_settings import check_cluster

        tell(f"Looking at the Ray cluster at {settings.ray.address}.")
        check_cluster(settings.ray)
    with opened(directory) as (engine, lock):
        refuse_without_keys(engine, settings, page)
        if page is not None:
            _refuse_taken(page.port)
        listener = _listen(settings)
        with _working(engine, directory, settings, lock) as context:
            app = create_app(context)

            def read_newest(comparison_id: str, finished_at: float) -> None:
                app.state.decisions.find(engine, comparison_id)
                app.state.results.find(engine, comparison_id, finished_at)
                leave_out_what_stands()

            port = listener.getsockname()[1]
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            api_url = f"http://{host}:{port}"
            leave_out_what_stands()
            # From here on callers may connect; they are answered in a moment.
            listener.listen()
            tell_address(lock, api_url)
            tell(f"Tuning Fork answers at {api_url} and works in {directory.root}. Ctrl-C stops it.")
            with (
                _page(api_url, page, directory, tell),
                newest_kept_ready(engine, read_newest),
                _rechecking(engine, directory, settings),
                pruned_daily(engine, directory, settings.keep_days),
            ):
                _answer_requests(app, listener)
            tell("Stopping: jobs are parked at the end of what they are at.")


@contextmanager
def opened(directory: DataDirectory) -> Iterator[tuple[Engine, int]]:
    """The database with all its tables, and the lock of a data directory that is ours alone."""
    switch_off_telemetry()
    url = database_url(directory.root)
    with directory.lock("service") as lock:
        # Making tables may take longer than a caller should wait.
        preparing = open_database(url)
        try:
            migrate(preparing)
            adopt_folders(in_workspace(preparing, DEFAULT_WORKSPACE), directory)
        finally:
            preparing.dispose()
        engine = open_database(url, patience_s=DATABASE_S)
        try:
            yield engine, lock
        finally:
            engine.dispose()


@contextmanager
def _working(
    engine: Engine, directory: DataDirectory, settings: ServiceSettings, lock: int
) -> Iterator[ServiceContext]:
    """An engine that works on what is queued."""
    from service.jobs.local_engine import LocalEngine
    from service.jobs.supervisor import Supervisor

    supervisor = Supervisor(
        engine, directory, inherited=[lock], ray=settings.ray, memory_bytes=settings.job_memory_bytes
    )
    local = LocalEngine(engine, supervisor, n_jobs=settings.n_jobs)
    local.start()
    try:
        yield ServiceContext(engine, directory, local.submit, settings)
    finally:
        local.stop(JOB_GRACE_S)


@contextmanager
def _rechecking(engine: Engine, directory: DataDirectory, settings: ServiceSettings) -> Iterator[None]:
    """Look at the decisions that are relied on; each is rechecked when its time has come."""
    if (every_s := settings.recheck_every_s) is None:
        yield
        return
    from service.server.recheck_schedule import LOOK_INTERVAL_S, recheck_due, webhook

    tell = webhook(settings.recheck_webhook) if settings.recheck_webhook else lambda *_: None

    def recheck() -> None:
        recheck_due(engine, directory, every_s, tell)

    with done_regularly("rechecking decisions", recheck, LOOK_INTERVAL_S, first_s=LOOK_INTERVAL_S):
        yield


@contextmanager
def pruned_daily(engine: Engine, directory: DataDirectory, keep_days: int | None) -> Iterator[None]:
    """Delete old comparisons at the start and once a day, beside all other work; None: never."""
    if keep_days is None:
        yield
        return
    from service.store.keeping.retention import DAY_S, announce, prune

    def delete_old() -> None:
        prune(engine, directory, keep_days)
        announce(engine, keep_days)

    with done_regularly("deleting old comparisons", delete_old, DAY_S, first_s=0.0):
        yield


@contextmanager
def _page(
    api_url: str, page: PageSettings | None, directory: DataDirectory, tell: Callable[[str], None]
) -> Iterator[None]:
    if page is None:
        yield
        return
    with running_page(page, api_url, log_file=directory.root / "logs" / "page.log"):
        tell(f"The web UI is at {page.url}")
        yield


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(
                f"the web UI cannot listen on port {port}: {os.strerror(error.errno or 0)}; choose another --ui-port, "
                "or give --no-ui"
            ) from error


def refuse_without_keys(engine: Engine, settings: ServiceSettings, page: PageSettings | None) -> None:
    """Let others reach the service or its web UI only where a key tells friend from foe.

    Raises:
        ConfigError: they could, and there is none.
    """
    reached = [] if is_local(settings.host) else [(settings.host, "--host")]
    if page is not None:
        reached += [(name, "--ui-host") for name in page.published]
        reached += [] if is_local(page.address) else [(page.address, "--ui-listen")]
    if not reached:
        return
    with engine.connect() as connection:
        if not any_key(connection):
            host, option = reached[0]
            raise ConfigError(
                f"others could reach {host}, and there is no key yet: make one with "
                f"`tuningfork keys create NAME --scope admin`, or leave {option} out to serve this machine alone"
            )


def _listen(settings: ServiceSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"the service cannot listen at {settings.host}, port {settings.port}: {os.strerror(error.errno or 0)}; "
            "choose another --port, or stop what is there"
        ) from error
    return listener


def _end_for_sure() -> None:
    """End within the promised time, whatever a thread waits for: what was acknowledged is stored already."""
    timer = threading.Timer(REQUEST_GRACE_S + JOB_GRACE_S + _LAST_GRACE_S, os._exit, [0])
    timer.daemon = True
    timer.start()


def _answer_requests(app: "FastAPI", listener: socket.socket) -> None:
    import uvicorn

    from service.server.http_protocol import server_config

    def already_stopping(number: int, frame: FrameType | None) -> None:
        """The server raises the signal that ended it once more."""

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, already_stopping)

    class StoppingServer(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Event streams would go on for as long as they are listened to.
            app.state.stopping.set()
            _end_for_sure()
            await super().shutdown(sockets)

    with listener:
        StoppingServer(server_config(app, grace_s=REQUEST_GRACE_S)).run(sockets=[listener])
