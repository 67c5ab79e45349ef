"""Uploads are read and checked in processes of their own, which end with their time, their memory, or their caller.

`python -m service.safety.prepare_process MEMORY_BYTES` is such a process. However much work an upload makes, it takes
neither the memory nor the time of the service.
"""

import contextlib
import os
import pickle
import resource
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import IO, TypeVar

from advisor.data.files import Problem
from lm.errors import TuningForkError
from service.safety.prepare import UnfitUploadError

T = TypeVar("T")

PREPARE_S = 300.0
"""For one upload. 200,000 questions take about a minute."""

MEMORY_BYTES = 4 * 2**30
_NICENESS = 10
"""As jobs: who asks for an answer goes first."""
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "HOME")
"""What is passed on; keys and passwords are no business of a process that reads strangers' files."""


class PreparingProcess:
    """Checks one upload after the other; `end` ends it for good, whatever it does or is about to do.

    Args:
        prepare_s: For one upload, by the clock. memory_bytes: of address space.

    Attributes:
        is_ended: Whether it was.
    """

    def __init__(self, *, prepare_s: float = PREPARE_S, memory_bytes: int = MEMORY_BYTES) -> None:
        self._prepare_s = prepare_s
        self._memory_bytes = memory_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._guard = threading.Lock()
        self.is_ended = False

    def run(self, work: Callable[[], T]) -> T:
        """What a function of a module returns there, with its arguments.

        Raises:
            UnfitUploadError: it takes too long or too much memory.
            TuningForkError, OSError: as the function.
        """
        try:
            result = pickle.loads(self._reply_to(pickle.dumps(work)))
        except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            # A ValueError: `end` closed the streams meanwhile, since the caller hung up.
            self._stop()
            what = f"checking it took more than {self._prepare_s:g} s or {self._memory_bytes / 2**30:.1f} GB of memory"
            raise UnfitUploadError([Problem("upload", None, f"{what}; send fewer questions")]) from error
        if isinstance(result, Exception):
            raise result
        done: T = result
        return done

    def end(self) -> None:
        """End it: an upload that is checked, or would be next, fails."""
        self.is_ended = True
        self._stop()

    def _stop(self) -> None:
        with self._guard:
            process, self._process = self._process, None
        if process is not None:
            _end(process)

    def _reply_to(self, request: bytes) -> bytes:
        """What the process says to a request, a length and as many bytes each way."""
        with self._guard:
            if self.is_ended:
                raise EOFError
            process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(len(request).to_bytes(8, "big") + request)
        process.stdin.flush()
        deadline = time.monotonic() + self._prepare_s
        return _read(process.stdout, int.from_bytes(_read(process.stdout, 8, deadline), "big"), deadline)

    def _start(self) -> "subprocess.Popen[bytes]":
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        path = os.pathsep.join(part for part in sys.path if part)
        process = subprocess.Popen(
            [sys.executable, "-m", "service.safety.prepare_process", str(self._memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
        )
        # Also when this process ends in an orderly way.
        weakref.finalize(self, _end, process)
        return process


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            assert stream is not None
            stream.close()


def _read(stream: IO[bytes], n_bytes: int, deadline: float) -> bytes:
    """So many bytes, in time.

    Raises:
        EOFError: they do not come.
    """
    read = bytearray()
    waiting = select.poll()
    waiting.register(stream, select.POLLIN)
    while len(read) < n_bytes:
        if not waiting.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
            raise EOFError
        if not (part := os.read(stream.fileno(), min(2**20, n_bytes - len(read)))):
            raise EOFError
        read += part
    return bytes(read)


def main() -> None:
    """Check what comes on standard input until it ends, which it does with the service."""
    memory_bytes = int(sys.argv[1])
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_service, daemon=True).start()
    # What a library prints must not be taken for a reply.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    while head := sys.stdin.buffer.read(8):
        work = pickle.loads(sys.stdin.buffer.read(int.from_bytes(head, "big")))
        reply = pickle.dumps(_answer(work))
        replies.write(len(reply).to_bytes(8, "big") + reply)
        replies.flush()


def _end_with_service() -> None:
    """However that ends, and whatever is checked."""
    waiting = select.poll()
    # That nobody writes any more is told without being asked for.
    waiting.register(0, 0)
    waiting.poll()
    os._exit(1)


def _answer(work: Callable[[], object]) -> object:
    """What came of it; also what whoever sent it can mend, and a full disk."""
    try:
        return work()
    except (TuningForkError, OSError) as error:
        return error


if __name__ == "__main__":
    main()
