"""One process at a time builds a folder of a data directory; who comes later waits and finds it built."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.store.data_directory import DataDirectory

WAIT_S = 0.5


@contextmanager
def build_alone(directory: DataDirectory, folder: Path, on_wait: Callable[[], object]) -> Iterator[None]:
    """Hold a folder below the directory, which need not exist; the system lets go of it for a process that is killed.

    Args:
        on_wait: Called again and again while another process holds it; what it raises ends the waiting.
    """
    turns = directory.root / "turns"
    turns.mkdir(parents=True, exist_ok=True)
    with (turns / f"{folder.parent.name}-{folder.name}").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                on_wait()
                time.sleep(WAIT_S)
        yield
