"""A service without HTTP whose jobs are scripted; ends when the comparison is over.

Arguments: data directory, comparison, options of a Ray driver as JSON, and those of the scripted job.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from service.jobs.local_engine import LocalEngine
from service.jobs.supervisor import Supervisor
from service.server.serve import opened
from service.store.comparisons.comparison_store import find_comparison
from service.store.data_directory import DataDirectory
from service.store.database import patiently

JOB = Path(__file__).with_name("scripted_job.py")
DRIVER = Path(__file__).with_name("scripted_driver.py")


def main() -> None:
    home, comparison_id, ray, *script = sys.argv[1:]
    directory = DataDirectory(Path(home))

    def command(comparison_id: str, shows_life: int) -> Sequence[str | Path]:
        options = ["--home", home, "--parent", str(os.getpid()), "--life", str(shows_life)]
        ray_options = json.loads(ray)
        return [sys.executable, DRIVER if ray_options else JOB, comparison_id, *options, *ray_options, *script]

    with opened(directory) as (engine, lock):
        supervisor = Supervisor(engine, directory, inherited=[lock], command=command)
        local = LocalEngine(engine, supervisor, adoption_s=float(os.environ.get("CHAOS_ADOPTION_S", "3")))
        stopped = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopped.set())
        local.start()
        try:
            while not patiently(lambda: find_comparison(engine, comparison_id)).state.is_final:
                if stopped.wait(0.05):
                    break
        finally:
            local.stop(grace_s=5)
    assert threading.active_count() == 1, threading.enumerate()


if __name__ == "__main__":
    main()
