"""What every provider of hosted tuning can do, whatever it calls it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from finetune.errors import TrainingError


class HostedTuningError(TrainingError):
    """A provider refused, a job failed, or a tuned model does not answer; the message says what to do."""


class UnsureError(HostedTuningError):
    """A request may or may not have been carried out: look before it is sent again."""


class BusyError(HostedTuningError):
    """The provider asks to wait; what was asked was not done.

    Attributes:
        retry_after_s: As the provider says; None where it says nothing.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class JobState(StrEnum):
    """How far a job is."""

    VALIDATING = "validating"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to it."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class HostedJob:
    """A job as the provider tells of it.

    Attributes:
        detail: The provider's own word for the state, and its message.
        model: Name of the tuned model once there is one.
        trained_tokens: Tokens that are billed; None before they are known, or where the provider does not tell.
    """

    id: str
    state: JobState
    detail: str = ""
    model: str | None = None
    trained_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class TuneRequest:
    """What is asked for.

    Attributes:
        model: The provider's name of the base.
        epochs: Passes over the file: always given, as a provider's own choice could cost more than was estimated.
        rank: Of the adapter, where the provider lets it be chosen.
    """

    model: str
    epochs: int
    seed: int
    rank: int
    learning_rate: float | None = None


class Provider(Protocol):
    """A provider. Methods raise `BusyError` for a rate limit, `UnsureError` where a reply was lost, and
    `HostedTuningError` for a refusal; none tries again by itself.

    Attributes:
        name: For people.
        gives_job_ids: Whether the same mark can never make two jobs, as the mark is the job's id.
    """

    name: str
    gives_job_ids: bool

    def upload(self, name: str, content: bytes) -> str:
        """Send a file of chat rows under a name; its id."""
        ...

    def find_file(self, name: str) -> str | None:
        """The id of a file that was sent under that name."""
        ...

    def is_file_ready(self, file_id: str) -> bool:
        """Whether the provider has read the file.

        Raises:
            HostedTuningError: it found a mistake in it.
        """
        ...

    def create(self, request: TuneRequest, mark: str, train_file: str, validation_file: str | None) -> HostedJob:
        """Start a job that carries a mark by which `find_job` finds it."""
        ...

    def find_job(self, mark: str) -> HostedJob | None:
        """The job that carries the mark."""
        ...

    def job(self, job_id: str) -> HostedJob:
        """The job as it is now."""
        ...

    def cancel(self, job_id: str) -> None:
        """Stop a job; what it has cost so far is billed."""
        ...

    def delete_file(self, file_id: str) -> None:
        """Remove an uploaded file; one that is gone is no error."""
        ...

    def refusal(self, model: str) -> str:
        """Why a tuned model cannot be asked, and what to do; "" where it answers."""
        ...
