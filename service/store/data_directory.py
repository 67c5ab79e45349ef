"""Where everything lives: one data directory, `TUNING_FORK_HOME` or `./var`, used by one process at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from lm.errors import ConfigError
from lm.files import make_folder, sha256

REPORT_FILE = "report.json"
RECORDS_FILE = "results.jsonl"
SETTINGS_FILE = "settings.json"
DECISION_FILE = "decision.json"


class ServiceHoldsError(ConfigError):
    """A service works in the data directory, and takes up what is queued there.

    Attributes:
        address: `http://host:port` at which it answers; None before it does.
    """

    def __init__(self, message: str, address: str | None = None) -> None:
        super().__init__(message)
        self.address = address


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Paths below one directory.

    `stages/` holds what is expensive (indexes, adapters, answers), named by the hash of all that decided it and shared
    by all comparisons; `comparisons/` holds one folder a comparison, which can be deleted without loss of the former.
    """

    root: Path

    @classmethod
    def from_environment(cls, override: Path | None = None) -> "DataDirectory":
        """The given directory, else `TUNING_FORK_HOME`, else `./var`."""
        return cls((override or Path(os.environ.get("TUNING_FORK_HOME") or "var")).expanduser().resolve())

    def stage(self, kind: str, key: str) -> Path:
        """Where a stage of that key belongs; its parent exists afterwards."""
        folder = self.below(f"stages/{kind}/{key}")
        parent = folder.parent
        try:
            make_folder(parent)
        except OSError as error:
            raise ConfigError(f"the data directory {self.root} cannot be written: {error.strerror}") from error
        return folder

    def comparison(self, comparison_id: str) -> Path:
        """The folder of a comparison, which need not exist."""
        return self.below(f"comparisons/{comparison_id}")

    def below(self, path: str) -> Path:
        """A path that was noted relative to the directory.

        Raises:
            ConfigError: it leaves the directory.
        """
        # Links within the directory are its owner's; what was noted may have been changed by others.
        if PurePath(path).is_absolute() or ".." in PurePath(path).parts:
            raise ConfigError(f"{path!r} leaves the data directory {self.root}; restore it from a backup")
        return self.root / path

    def input(self, text: str, suffix: str) -> Path:
        """Where a file that was given to comparisons is kept: by its content, so that they share it."""
        return self.root / "inputs" / f"{sha256(text)}{suffix.lower()}"

    def log(self, comparison_id: str) -> Path:
        """Where the job of a comparison writes what only an operator needs."""
        return self.root / "logs" / f"{comparison_id}.log"

    @contextmanager
    def lock(self, holder: str = "process") -> Iterator[int]:
        """Hold the directory; the index store inside it belongs to one process.

        Args:
            holder: What holds it: "process", or "service" for one that takes up what others queue.

        Yields:
            A file descriptor; the directory stays locked until every process that inherited it has ended.
        Raises:
            ServiceHoldsError: a service holds it.
            ConfigError: another process holds it; names that process.
        """
        try:
            make_folder(self.root)
            handle = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ConfigError(f"the data directory {self.root} cannot be written: {error.strerror}") from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                told = os.pread(handle, 512, 0).decode(errors="replace").split()
                by = " ".join(told[:2]) or "unknown"
                message = (
                    f"another tuningfork process ({by}) works in {self.root}; wait for it, or set TUNING_FORK_HOME"
                )
                if told[:1] == ["service"]:
                    raise ServiceHoldsError(message, told[2] if len(told) > 2 else None) from None
                raise ConfigError(message) from None
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{holder} {os.getpid()}".encode(), 0)
            yield handle
        finally:
            os.close(handle)


def tell_address(lock: int, address: str) -> None:
    """Let those whom a service keeps out of its data directory find it.

    Args:
        lock: As `DataDirectory.lock("service")` gave it.
    """
    os.pwrite(lock, f"service {os.getpid()} {address}".encode(), 0)
