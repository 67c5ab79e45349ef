"""Starts the web UI: a process of its own that talks to the API like any other client."""

import importlib.util
import json
import logging
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from lm.errors import MissingDependencyError
from service.server.door import TOKEN

API_VARIABLE = "TUNING_FORK_API"
KEY_VARIABLE = "TUNING_FORK_API_KEY"
PAGE_VARIABLE = "TUNING_FORK_PAGE"
RESTART_AFTER_S = 1.0
_STOP_GRACE_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PageSettings:
    """How the web UI is served.

    Attributes:
        published: Names by which a proxy serves it to others. It then has no rights of its own: each visitor types a
            key, and no token is asked for.
        token: What its first address holds, so that other users and pages of this machine stay out.
        parent_pid: The process to end with.
        address: At which it listens: this machine's own, or in a container that of the container.
    """

    port: int
    published: tuple[str, ...] = ()
    token: str | None = None
    parent_pid: int | None = None
    address: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """What to open."""
        if self.published:
            return f"http://127.0.0.1:{self.port}, and by a proxy at {' and '.join(self.published)}"
        return f"http://127.0.0.1:{self.port}/?{TOKEN}={self.token}"


def page_settings(port: int, published: tuple[str, ...] = (), address: str = "127.0.0.1") -> PageSettings:
    """Those of a start, with its token."""
    return PageSettings(port, published, None if published else secrets.token_urlsafe(16), os.getpid(), address)


def start_page(
    settings: PageSettings, api_url: str, *, lends_key: bool = False, log: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """The web UI in a process of its own.

    Args:
        lends_key: Whether visitors act with the key of this environment.
    Raises:
        MissingDependencyError: what it is made with is not installed.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise MissingDependencyError("the web UI needs streamlit, which is not installed; `pip install streamlit`")
    # Other users of the machine see the arguments of a process, not its environment.
    environment = {**os.environ, API_VARIABLE: api_url, PAGE_VARIABLE: json.dumps(asdict(settings))}
    if settings.published or not lends_key:
        environment.pop(KEY_VARIABLE, None)
    return subprocess.Popen(
        [sys.executable, "-m", "service.server.page_app"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )


@contextmanager
def running_page(settings: PageSettings, api_url: str, *, log_file: Path) -> Iterator[None]:
    """The web UI beside this process: started again where it dies, ended with it."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    stopping = threading.Event()
    with log_file.open("ab") as log:
        process = start_page(settings, api_url, log=log)

        def keep() -> None:
            nonlocal process
            while True:
                code = process.wait()
                if stopping.wait(RESTART_AFTER_S):
                    return
                _log.warning("the web UI ended with %s and is started again; its log is %s", code, log_file)
                process = start_page(settings, api_url, log=log)

        keeper = threading.Thread(target=keep, name="page", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            stopping.set()
            # Where it has just been started again, the keeper ends with the new one.
            while keeper.is_alive():
                _end(process)
                keeper.join(0.1)
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
