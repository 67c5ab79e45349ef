"""What was estimated of a comparison beside what it took: `python -m benchmarks.estimates`.

One home sees ten runs on the three bundled datasets, in turn, of different sizes and arms. Each is estimated as
`tuningfork estimate` does, from the speeds of the runs before it; the first has none and guesses.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from advisor.data.files import load_dataset
from service.run.estimate import estimate_comparison
from service.run.settings import ComparisonSettings
from service.store.bundled_datasets import BUNDLED_DATASETS
from service.store.comparisons.runs import home_database
from service.store.data_directory import DataDirectory

RUNS = (
    ("ticket-triage", 60, 80, "base,rag,fine-tuned"),
    ("appliance-support", 40, 60, "base,rag,fine-tuned"),
    ("claims-to-json", 15, 30, "base,few-shot,fine-tuned"),
    ("ticket-triage", 100, 120, "base,few-shot,rag"),
    ("appliance-support", 80, 60, "few-shot,rag"),
    ("ticket-triage", 90, 100, "few-shot,hybrid,classifier"),
    ("claims-to-json", 20, 40, "base,fine-tuned"),
    ("appliance-support", 60, 100, "base,fine-tuned,hybrid"),
    ("ticket-triage", 120, 120, "base,rag,nearest-few-shot"),
    ("claims-to-json", 30, 60, "base,nearest-few-shot"),
)
"""Dataset, test questions, training questions, arms."""
WITHIN = 0.3


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    n_within = 0
    with tempfile.TemporaryDirectory() as home:
        for name, limit, train_limit, arms in RUNS:
            settings = ComparisonSettings(name, arms=tuple(arms.split(",")), limit=limit, train_limit=train_limit)
            directory = DataDirectory(Path(home))
            with home_database(directory) as engine:
                dataset = load_dataset(BUNDLED_DATASETS / name)
                estimated_s = estimate_comparison(engine, directory, settings.to_json(), dataset).time_s
            options = ["--arms", arms, "--limit", str(limit), "--train-limit", str(train_limit), "--home", home]
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "service.cli", "compare", name, *options], stdout=subprocess.DEVNULL, check=True
            )
            took_s = time.perf_counter() - started
            n_within += (is_within := abs(estimated_s / took_s - 1) <= WITHIN)
            print(
                f"{name:18} {limit:4} {train_limit:4} {arms:34} estimated {estimated_s:6.1f} s, took {took_s:6.1f} s: "
                f"{estimated_s / took_s:.2f}{'' if is_within else ' *'}",
                flush=True,
            )
    print(f"{n_within} of {len(RUNS)} within {WITHIN:.0%}")


if __name__ == "__main__":
    main()
