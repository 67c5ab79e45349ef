"""Memory that training took at most, and memory that is left."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

_RESET_PEAK = "5"  # proc(5), clear_refs


def reset_peak_memory(device: torch.device) -> None:
    """Begin a new peak, where the system can; elsewhere the peak is that of the whole process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="ascii")


def peak_memory_bytes(device: torch.device) -> int:
    """Of a GPU what its tensors took at most; on the CPU all of the process, other models and libraries included."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    kilobytes = _proc_kilobytes(Path("/proc/self/status"), "VmHWM:")
    if kilobytes is not None:
        return 1024 * kilobytes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def free_memory_bytes(device: torch.device) -> int | None:
    """What can still be taken; None where the system does not tell."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    kilobytes = _proc_kilobytes(Path("/proc/meminfo"), "MemAvailable:")
    return None if kilobytes is None else 1024 * kilobytes


def _proc_kilobytes(path: Path, name: str) -> int | None:
    with suppress(OSError):
        for line in path.read_text(encoding="ascii").splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    return None
