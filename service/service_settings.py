"""How the service was started: address, processes, limits."""

from dataclasses import dataclass
from ipaddress import ip_address


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What an operator sets.

    Attributes:
        host: Address the API listens at.
        n_jobs: Comparisons that this process works on at the same time.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    n_jobs: int = 1

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False
