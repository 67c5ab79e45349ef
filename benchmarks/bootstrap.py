"""How long the joint bootstrap of all arms takes one core, beside the plain loop it replaces.

    python benchmarks/bootstrap.py --n-questions 1000 --n-arms 5 --n-resamples 10000

The loop draws clusters and averages their questions one resample at a time. It runs a share of the resamples and its
time is scaled up, since all of them take a minute.
"""

import argparse
import time

import numpy as np
from numpy.typing import NDArray

from advisor.evidence.statistics import ScoreTable, _multiplicities, bootstrap_arms

REPEATS = 3


def plain_loop(table: ScoreTable, *, n_resamples: int, seed: int) -> NDArray[np.float64]:
    """The same bootstrap without matrix products, shape (n_resamples, n_arms)."""
    rng = np.random.default_rng(seed)
    members: dict[str, list[int]] = {}
    for i, cluster in enumerate(table.clusters):
        members.setdefault(cluster, []).append(i)
    clusters = list(members.values())
    parts = sorted(set(table.slices))
    of_slice = np.array([parts.index(name) for name in table.slices])
    means = np.empty((n_resamples, len(table.arms)))
    for r in range(n_resamples):
        drawn = np.concatenate([clusters[i] for i in rng.integers(len(clusters), size=len(clusters))])
        means[r] = sum(
            table.weights[part] * table.values[:, drawn[of_slice[drawn] == k]].mean(axis=1)
            for k, part in enumerate(parts)
        )
    return means


def make_table(n_questions: int, n_arms: int, questions_per_cluster: int) -> ScoreTable:
    rng = np.random.default_rng(0)
    n_clusters = max(2, n_questions // questions_per_cluster)
    clusters = tuple(f"c{i % n_clusters}" for i in range(n_questions))
    slices = tuple("seen-fact" if i % 2 else "unseen-fact" for i in range(n_questions))
    values = (rng.random((n_arms, n_questions)) < np.linspace(0.4, 0.8, n_arms)[:, None]).astype(float)
    arms = tuple(f"arm{i}" for i in range(n_arms))
    return ScoreTable(arms, values, slices, clusters, {"seen-fact": 0.5, "unseen-fact": 0.5})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--n-questions", type=int, default=1_000)
    parser.add_argument("--n-arms", type=int, default=5)
    parser.add_argument("--n-resamples", type=int, default=10_000)
    parser.add_argument("--questions-per-cluster", type=int, default=1)
    parser.add_argument("--loop-share", type=float, default=0.1, help="share of the resamples the loop really runs")
    given = parser.parse_args()
    table = make_table(given.n_questions, given.n_arms, given.questions_per_cluster)
    n_clusters = len(set(table.clusters))

    first_s, again_s = [], []
    for _ in range(REPEATS):
        _multiplicities.cache_clear()
        start = time.process_time()
        joint = bootstrap_arms(table, n_resamples=given.n_resamples)
        first_s.append(time.process_time() - start)
        start = time.process_time()
        bootstrap_arms(table, n_resamples=given.n_resamples)
        again_s.append(time.process_time() - start)

    n_looped = max(1, round(given.loop_share * given.n_resamples))
    start = time.process_time()
    looped = plain_loop(table, n_resamples=n_looped, seed=0)
    loop_s = (time.process_time() - start) * given.n_resamples / n_looped

    print(f"{given.n_resamples:,} resamples x {given.n_arms} arms x {given.n_questions:,} questions")
    print(f"in {n_clusters:,} clusters, CPU seconds of all threads together, best of {REPEATS}\n")
    print(f"{'':34}{'seconds':>9}{'ratio':>9}")
    print(f"{f'plain loop (from {n_looped:,} resamples)':34}{loop_s:9.3f}{1.0:9.1f}")
    print(f"{'bootstrap_arms, first call':34}{min(first_s):9.3f}{loop_s / min(first_s):9.1f}")
    print(f"{'bootstrap_arms, same clusters again':34}{min(again_s):8.3f}{loop_s / min(again_s):9.1f}")
    print("\nstandard error of the arms, loop and product:")
    print("  " + " ".join(f"{value:.5f}" for value in looped.std(axis=0)))
    print("  " + " ".join(f"{value:.5f}" for value in joint.resampled.std(axis=0)))


if __name__ == "__main__":
    main()
