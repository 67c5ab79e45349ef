"""What a process beside the service may have: the keys of its own endpoints, so much memory, and no longer a life."""

import ctypes
import os
import resource
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lm.endpoint.endpoint_key import key_variable, key_variable_of
from lm.errors import ConfigError
from service.json_log import is_secret
from service.run.settings import ComparisonSettings

_HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_DATABASE_PASSWORDS = ("PGPASSWORD",)
_DIES_FIRST = "500"
"""Of 1000, for the kernel that must end some process because memory is short: another one than the service."""

_PR_SET_PDEATHSIG = 1


def job_environment(stored: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a job without the secrets that its comparison has no use for.

    A job writes its answers to the database, so it keeps what opens that.

    Args:
        stored: The settings of the comparison, as they are stored.
    """
    needed = {*_DATABASE_PASSWORDS, *needed_secrets(stored, environment)}
    return {name: value for name, value in environment.items() if name in needed or not is_secret(name)}


def needed_secrets(stored: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[str]:
    """The variables whose keys the models, endpoints and hubs of a comparison are asked with.

    Args:
        stored: As `job_environment`.
    """
    try:
        # A side run may name models and no dataset.
        settings = ComparisonSettings.from_json({"dataset": "", **stored})
        specs = [*settings.models, settings.judge or "", *(arm.source for arm in settings.arm_specs)]
    except (ConfigError, TypeError, ValueError):
        # The job says what is wrong with them.
        return
    embedder = settings.embedder
    if embedder.startswith("openai:") and "@" not in embedder and (url := environment.get("TUNING_FORK_EMBEDDER_URL")):
        yield key_variable(url)
    for spec in (*specs, embedder, settings.reranker or ""):
        if (variable := key_variable_of(spec)) is not None:
            yield variable
        if spec.startswith("hf:"):
            yield from _HUB_TOKENS


def limit_memory(n_bytes: int) -> None:
    """Bound what this process, and each that it starts, may allocate; where memory is short the kernel ends it first.

    What counts is memory that can be written, not the addresses that CUDA reserves.

    Args:
        n_bytes: 0 for no bound.
    """
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_DIES_FIRST)
    if n_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (n_bytes, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def memory_overrun(error: BaseException, of: str, option: str) -> str | None:
    """What to tell of an error that means or was caused by too little memory, with the remedy; None of any other.

    The limit is lifted, so that there is room to tell it.

    Args:
        of: Whose memory it was. option: What the operator bounds it by.
    """
    text = str(error)
    is_torch = isinstance(error, RuntimeError) and ("allocate memory" in text or "out of memory" in text)
    if not isinstance(error, MemoryError) and not is_torch:
        cause = error.__cause__
        # That a GPU's is short is told where it is met, and no reason to end.
        return memory_overrun(cause, of, option) if cause is not None and "CUDA" not in str(cause) else None
    limit, most = resource.getrlimit(resource.RLIMIT_DATA)
    if "CUDA" in text:
        what, more = "the GPU's memory was too small", "take a GPU with more"
    elif limit != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
        what, more = f"it needed more than the {limit / 2**30:.3g} GB of {of}", f"have {option} raised"
    else:
        what, more = "memory was too small", "take a machine with more"
    return f"{what}; take a smaller model or --batch-size, or {more}"


def die_with_parent(parent_pid: int) -> None:
    """End this process when the thread that started it ends, and so when its process does, however it ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)
