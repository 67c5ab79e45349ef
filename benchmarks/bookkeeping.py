"""What keeping results safe costs a comparison: commits, events and reports, as a share of its wall time.

    python benchmarks/bookkeeping.py --dataset appliance-support --limit 200

One comparison with real models on an empty data directory; the share is taken within that run, so a busy machine
slows both sides of it.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from advisor.arms import DEFAULT_ARMS
from lm.model_identity import model_identity
from service.jobs import job
from service.jobs.job_watch import JobWatch
from service.run.composition import LocalComposition
from service.run.settings import ComparisonSettings
from service.store.comparisons.comparison_store import create_comparison, find_comparison
from service.store.data_directory import DataDirectory
from service.store.database import DATABASE_FILE, open_database
from service.store.migrations.upgrade import migrate
from service.store.stages.answer_log import AnswerLog

PARTS: tuple[tuple[Any, str], ...] = (
    (AnswerLog, "_read"),
    (AnswerLog, "append"),
    (JobWatch, "__call__"),
    (job, "_begin"),
    (job, "_publish"),
)


class Stopwatch:
    """Seconds in calls that are not inside another one that counts, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self._inside = False

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*arguments: Any, **options: Any) -> Any:
            if self._inside:
                return function(*arguments, **options)
            self._inside = True
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self._inside = False
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
                self.calls[name] = self.calls.get(name, 0) + 1

        return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dataset", default="appliance-support")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--max-epochs", type=int, default=2)
    parser.add_argument("--arms", default=",".join(DEFAULT_ARMS))
    given = parser.parse_args()
    watch = Stopwatch()
    for owner, name in PARTS:
        setattr(owner, name, watch.around(name, getattr(owner, name)))
    with tempfile.TemporaryDirectory() as root:
        directory = DataDirectory(Path(root))
        engine = open_database(f"sqlite:///{directory.root / DATABASE_FILE}")
        migrate(engine)
        settings = ComparisonSettings(
            given.dataset,
            limit=given.limit,
            max_epochs=given.max_epochs,
            arms=tuple(given.arms.split(",")),
        )
        create_comparison(engine, comparison_id="c", name="c", dataset=given.dataset, settings=settings.to_json())
        started = time.perf_counter()
        job.run_job(
            engine,
            directory,
            "c",
            LocalComposition,
            model_identity,
        )
        wall_s = time.perf_counter() - started
        state = find_comparison(engine, "c").state
        engine.dispose()
    print(f"{given.dataset}, {given.limit} questions, {given.arms}: {state} after {wall_s:.1f} s")
    for name, seconds in sorted(watch.seconds.items(), key=lambda item: -item[1]):
        print(f"  {name:<10} {watch.calls[name]:>5} calls {seconds:8.3f} s")
    print(f"bookkeeping: {sum(watch.seconds.values()) / wall_s:.2%} of the wall time")


if __name__ == "__main__":
    main()
