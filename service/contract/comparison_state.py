"""Where a comparison of the service stands."""

from enum import StrEnum


class ComparisonState(StrEnum):
    """Queued and running ones change by themselves; the others only when asked to."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens unless somebody resumes it."""
        return self in (ComparisonState.SUCCEEDED, ComparisonState.FAILED, ComparisonState.CANCELLED)
