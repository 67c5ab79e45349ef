"""What a key may do, and where."""

from enum import StrEnum

DEFAULT_WORKSPACE = "default"
"""Where the operator works: programs and the page on the machine of a service without keys, and the command line."""

WORKSPACE_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"


class Scope(StrEnum):
    """Each includes the ones before it: look, start comparisons and ask, manage keys and deployments."""

    READ = "read"
    RUN = "run"
    ADMIN = "admin"

    def includes(self, other: "Scope") -> bool:
        """Whether who has this may do what `other` asks."""
        ranks = list(Scope)
        return ranks.index(self) >= ranks.index(other)
