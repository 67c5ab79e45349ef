"""What a sweep of retrieval chooses on validation questions, and what that scores on test questions.

python -m benchmarks.retrieval_sweep appliance-support --limit 100
"""

import argparse
import json
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from advisor.data.dataset import Split
from advisor.metrics.registry import metrics_for
from advisor.money.prices import load_prices
from advisor.results.score import ScoringResources
from service.run.composition import LocalComposition
from service.run.composition.sweep import RetrievalSweep
from service.run.progress import silent
from service.run.settings import ComparisonSettings
from service.run.spending import Spending
from service.run.workflow import load_limited_dataset
from service.store.comparisons.runs import home_database
from service.store.data_directory import DataDirectory

N_RESAMPLES = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--limit", type=int, default=100)
    options = parser.parse_args()
    settings = ComparisonSettings(dataset=options.dataset, model=options.model, limit=options.limit, arms=("rag",))
    dataset = load_limited_dataset(settings)
    metric = metrics_for(dataset.card, has_embedder=True, has_judge=False)[0]
    spending = Spending(settings, load_prices(None))
    with tempfile.TemporaryDirectory() as home:
        directory = DataDirectory(Path(home))
        with home_database(directory) as database:
            sweep = RetrievalSweep(settings, dataset, directory, database, metric, silent, spending).run().to_json()
        print(json.dumps({name: sweep[name] for name in ("chosen", "as_good", "cost", "n_questions")}), flush=True)
        for row in sweep["tried"]:
            if row["n_asked"]:
                print(json.dumps(row), flush=True)
        questions = [e for e in dataset.split(Split.TEST) if e.answerable and metric.applies(e)]
        scores = {}
        for name, one in (("default", settings), ("chosen", settings.with_retrieval(sweep))):
            started = time.perf_counter()
            with closing(LocalComposition(one, directory, silent)) as composition:
                answers = composition.arm("rag", dataset).pipeline.answer([e.question for e in questions])
            resources = ScoringResources(dataset.card)
            scores[name] = np.array([score.value or 0.0 for score in metric.score(questions, answers, resources)])
            print(
                name, metric.name, len(questions), round(float(scores[name].mean()), 4), time.perf_counter() - started
            )
    difference = scores["chosen"] - scores["default"]
    clusters = sorted({dataset.cluster_of(e) for e in questions})
    number = {cluster: i for i, cluster in enumerate(clusters)}
    of = np.array([number[dataset.cluster_of(e)] for e in questions])
    sums, sizes = np.bincount(of, difference), np.bincount(of)
    drawn = np.random.default_rng(0).integers(0, len(clusters), (N_RESAMPLES, len(clusters)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    print(f"gain {difference.mean():+.3f} [{low:+.3f}, {high:+.3f}] of {len(clusters)} clusters")


if __name__ == "__main__":
    main()
