"""What a key may do."""

from enum import StrEnum


class Scope(StrEnum):
    """Each includes the ones before it: look, start comparisons and ask, manage keys and deployments."""

    READ = "read"
    RUN = "run"
    ADMIN = "admin"

    def includes(self, other: "Scope") -> bool:
        """Whether who has this may do what `other` asks."""
        ranks = list(Scope)
        return ranks.index(self) >= ranks.index(other)
