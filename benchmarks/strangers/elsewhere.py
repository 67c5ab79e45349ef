"""Strangers and their endpoints have machines of their own: what they compute must not be taken for the service's."""

import os
from contextlib import suppress
from pathlib import Path


def give_way() -> None:
    """Let this process have what nobody else wants of the processors."""
    with suppress(PermissionError):
        os.setsid()
    os.nice(19)
    # Linux may share the processors among sessions before it looks at the niceness of processes: sched(7), autogroup.
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text("19")
