"""What was done at a provider, on disk before the next thing is: a killed process goes on from it."""

import json
import secrets
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from finetune.hosted.provider import HostedTuningError
from lm.files import write_whole


@dataclass(frozen=True, slots=True)
class Journal:
    """One tuning at one provider.

    Attributes:
        key: Hash of provider, request and files: a journal of something else is refused.
        mark: Random, and in the name of all that is made there, so that it is found again.
        files: Ids of uploaded files, by their role.
        is_asked: Whether a job may have been asked for: from then on one is looked for before another is made.
        most_usd: What it can cost at most; None before it was estimated.
        ended: The final state and its detail.
    """

    key: str
    mark: str
    files: dict[str, str] = field(default_factory=dict, hash=False)
    is_asked: bool = False
    job_id: str | None = None
    most_usd: float | None = None
    ended: str | None = None
    model: str | None = None
    trained_tokens: int | None = None


class JournalFile:
    """A journal and its file, which is written whole at every change."""

    def __init__(self, path: Path, now: Journal) -> None:
        self._path = path
        self.now = now

    @classmethod
    def read(cls, path: Path) -> "JournalFile":
        """What is there.

        Raises:
            HostedTuningError: the file is missing or damaged.
        """
        try:
            return cls(path, Journal(**json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError) as error:
            raise HostedTuningError(
                f"{path} is damaged ({error}); see at the provider which job runs, then delete the file"
            ) from error

    @classmethod
    def open(cls, path: Path, key: str) -> "JournalFile":
        """What is there, or a new one.

        Raises:
            HostedTuningError: the file is damaged, or is of another tuning.
        """
        if not path.exists():
            new = cls(path, Journal(key, f"tf-{secrets.token_hex(8)}"))
            new.note()
            return new
        journal = cls.read(path)
        if journal.now.key != key:
            raise HostedTuningError(
                f"{path} is of a tuning with another provider, model, data or recipe; choose another folder for this"
            )
        return journal

    def note(self, **changes: Any) -> None:
        """Change some fields; on disk when it returns."""
        self.now = replace(self.now, **changes)
        write_whole(self._path, json.dumps(asdict(self.now)))
