"""How the service was started: address, processes, limits."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from service.jobs.ray_engine.ray_settings import RaySettings


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What an operator sets.

    Attributes:
        host: Address the API listens at.
        n_jobs: Comparisons that this process works on at the same time.
        job_memory_bytes: That each of them may allocate; 0 for no bound.
        serving_memory_bytes: That the process of served models may allocate; 0 for four fifths of the machine's.
        ray: The cluster that their work is done on; this machine alone without one.
        max_queued: Comparisons that may wait; another one is refused with 429.
        max_body_bytes: Of a request that is no upload. max_comparison_bytes: of one for a comparison, which may hold
            files of answers. max_upload_bytes: of an upload, as sent.
        max_dataset_bytes: Of an upload, unpacked. max_dataset_files: files in it.
        request_timeout_s: Longest that handling a request may take; streams have their own.
        models: Folder whose models and adapters callers may name.
        allow_models: Patterns of models that callers may name; None: any for who sits at the machine of a service
            without keys, `service.safety.allowed_models.FOR_KEYS` for the others.
        recheck_every_s: How often decisions that are relied on are looked at again; None: never.
        recheck_webhook: Address that is told when one no longer holds.
        keep_days: After so many days comparisons that nobody relies on are deleted; None: never.
        retired_model: Folder of the base model of comparisons whose own is no longer shipped.
        longest_wait_s: Most that `wait_s` can be. event_stream_s: after so long a stream ends, to be resumed.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    n_jobs: int = 1
    job_memory_bytes: int = 0
    serving_memory_bytes: int = 0
    ray: RaySettings | None = None
    max_queued: int = 100
    max_body_bytes: int = 2 * 2**20
    max_comparison_bytes: int = 4 * 2**20
    max_upload_bytes: int = 128 * 2**20
    max_dataset_bytes: int = 256 * 2**20
    max_dataset_files: int = 10_000
    request_timeout_s: float = 300.0
    longest_wait_s: float = 60.0
    event_stream_s: float = 3600.0
    retired_model: Path | None = None
    models: Path | None = None
    allow_models: tuple[str, ...] | None = None
    recheck_every_s: float | None = None
    recheck_webhook: str | None = None
    keep_days: int | None = None

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_local(self.host)


def is_local(address: str) -> bool:
    """Whether only this machine can reach what listens at an address."""
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
