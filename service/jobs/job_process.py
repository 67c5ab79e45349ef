"""A job in a process of its own, which can be killed at any moment.

Started by `service.jobs.supervisor` and never by hand. What it measured is committed block by block; a second start
goes on from there.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from service.jobs.job import Identify, JobEnd, run_job
from service.jobs.job_watch import JobWatch, life_on
from service.json_log import EVERYTHING, log_as_json
from service.run.arm import Compose
from service.run.process_limits import die_with_parent, limit_memory
from service.store.data_directory import DataDirectory
from service.store.database import database_url, open_database

_LOG = logging.getLogger("tuning_fork.jobs")

Hands = Callable[[str, JobWatch], tuple[Compose, Identify]]
"""Who builds arms, and who knows models, for a comparison with its watch."""


def job_process(hands: Hands, arguments: list[str]) -> int:
    """The life of such a process; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m service.jobs.job_process")
    parser.add_argument("comparison_id")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--life", type=int, required=True, help="descriptor to show life on")
    parser.add_argument("--memory", type=int, default=0, help="bytes that it may allocate, 0 for no bound")
    given = parser.parse_args(arguments)
    die_with_parent(given.parent)
    limit_memory(given.memory)
    log_as_json(EVERYTHING, {"comparison_id": given.comparison_id})
    logging.captureWarnings(True)
    directory = DataDirectory(given.home)
    engine = open_database(database_url(directory.root))
    watch = JobWatch(engine, given.comparison_id, show_life=life_on(given.life))
    signal.signal(signal.SIGTERM, lambda *_: watch.park())
    # Ctrl-C in a terminal reaches the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        compose, identify_model = hands(given.comparison_id, watch)
        return run_job(engine, directory, given.comparison_id, compose, identify_model, watch=watch)
    except Exception:
        _LOG.exception("an internal error")
        return JobEnd.DEFECT


NICENESS = 10
"""People who ask a pipeline wait; a job does not mind. With a tenth of their weight it gets what they leave."""


def main() -> None:
    """Run the comparison that was named, with real models."""
    os.nice(NICENESS)
    from lm.model_identity import model_identity
    from service.run.composition import LocalComposition
    from service.safety.endpoint_guard import guard_process

    # Callers of the service named the models.
    guard_process()
    sys.exit(job_process(lambda *_: (LocalComposition, model_identity), sys.argv[1:]))


if __name__ == "__main__":
    main()
