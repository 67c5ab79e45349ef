"""Files turned into text where they can do no harm: in child processes that end with their time or memory."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from advisor.data.loaders import PLAIN, Loaded, UnreadableFileError, load_document
from advisor.data.loaders.child import OUT_OF_MEMORY, READY

_FILES_A_PROCESS = 8
_MAX_PROCESSES = 2
_CHUNK_BYTES = 1 << 16
_EXTRA_S = 5.0
_START_S = 120.0
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR")
"""Of the environment; keys and passwords in it are no business of a process that reads strangers' files."""


@dataclass(frozen=True, slots=True)
class ConversionLimits:
    """What files may take.

    Attributes:
        file_s: Of one file. A page of a dense PDF takes about 0.2 seconds.
        total_s: Of all files of a folder together.
        memory_bytes: Of the address space of a child process.
    """

    file_s: float = 300.0
    total_s: float = 3_600.0
    memory_bytes: int = 2**30


Outcome = Loaded | UnreadableFileError


def convert_files(paths: Sequence[Path], limits: ConversionLimits | None = None) -> list[Outcome]:
    """What each file holds, or why it is not read, in order. Two processes at most, one where files are few."""
    limits = limits or ConversionLimits()
    deadline = time.monotonic() + limits.total_s
    n_children = min(_MAX_PROCESSES, os.cpu_count() or 1, -(-len(paths) // _FILES_A_PROCESS))
    if n_children < 2:
        return list(_converted(paths, limits, deadline))
    shares = [paths[i::n_children] for i in range(n_children)]
    outcomes: list[Outcome] = [UnreadableFileError("not reached")] * len(paths)
    with ThreadPoolExecutor(n_children) as pool:
        done = pool.map(lambda share: list(_converted(share, limits, deadline)), shares)
        for i, part in enumerate(done):
            outcomes[i::n_children] = part
    return outcomes


def _converted(paths: Sequence[Path], limits: ConversionLimits, deadline: float) -> Iterator[Outcome]:
    child: _Child | None = None
    try:
        for path in paths:
            ending = path.suffix.lower().removeprefix(".")
            try:
                if time.monotonic() > deadline:
                    raise UnreadableFileError(f"not reached within {limits.total_s:.0f} seconds; import fewer files")
                if ending in PLAIN:
                    yield load_document(ending, path.read_bytes())
                    continue
                child = child or _Child(limits)
                yield child.convert(path, ending)
            except UnreadableFileError as error:
                yield error
            except OSError as error:
                yield UnreadableFileError(f"it cannot be opened ({error.strerror or error})")
            if child is not None and not child.is_fit:
                child.end()
                child = None
    finally:
        if child is not None:
            child.end()


class _Child:
    """A process that reads one file after the other, until one breaks it."""

    def __init__(self, limits: ConversionLimits) -> None:
        self._limits = limits
        self.is_fit = True
        self._n_read = 0
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        command = [sys.executable, "-m", "advisor.data.loaders.child"]
        command += [str(limits.file_s + _EXTRA_S), str(limits.memory_bytes)]
        path = os.pathsep.join(part for part in sys.path if part)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ}
            # What a library warns of is of no use to who sent the file.
            | {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore", "OPENBLAS_NUM_THREADS": "1"},
        )

    def convert(self, path: Path, ending: str) -> Loaded:
        """The text of a file.

        Raises:
            UnreadableFileError: why not; the process is not fit for another file where `is_fit` says so.
        """
        assert self._process.stdin is not None
        if not self._n_read and self._line(_START_S).strip() != READY.encode():
            raise self._broken()
        self._n_read += 1
        request = json.dumps({"path": str(path), "ending": ending}).encode() + b"\n"
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
        except OSError:
            raise self._broken() from None
        reply = json.loads(self._line(self._limits.file_s))
        if "problem" not in reply:
            return Loaded(reply["text"], reply["title"], tuple(reply["notes"]))
        if reply["problem"] == OUT_OF_MEMORY:
            self.is_fit = False
            raise UnreadableFileError(
                f"reading it takes over {self._limits.memory_bytes // 2**20} MiB of memory; divide it"
            )
        raise UnreadableFileError(reply["problem"], reply["line"])

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            try:
                if stream is not None:
                    stream.close()
            except OSError:
                pass
        self._process.wait()

    def _line(self, most_s: float) -> bytes:
        """The reply, once it is there whole."""
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        deadline = time.monotonic() + most_s
        parts: list[bytes] = []
        while not parts or not parts[-1].endswith(b"\n"):
            if not waiting.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
                self.is_fit = False
                raise UnreadableFileError(f"reading it takes over {most_s:g} seconds; divide it")
            part = os.read(handle, _CHUNK_BYTES)
            if not part:
                raise self._broken()
            parts.append(part)
        return b"".join(parts)

    def _broken(self) -> UnreadableFileError:
        self.is_fit = False
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return UnreadableFileError("reading it took more memory than the machine has; divide it")
        how = signal.Signals(-code).name if code < 0 else self._last_words() or f"exit code {code}"
        return UnreadableFileError(f"its reader broke ({how}); save the file again from its program")

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-2000:].decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
