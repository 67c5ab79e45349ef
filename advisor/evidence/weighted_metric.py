"""A metric of one arm over all slices, whose weights may change: the resampling is done once."""

import threading
from collections.abc import Mapping

import numpy as np

from advisor.evidence.scored_answers import ScoredAnswers
from advisor.evidence.statistics import MeanBootstrap, bootstrap_mean, mean_interval
from advisor.results.comparison import Interval, MetricSummary


class WeightedMetric:
    """What `advisor.evidence.scorecard.summarise_metric` says first of an arm, for any weights."""

    def __init__(self, answers: ScoredAnswers, metric: str, *, seed: int = 0) -> None:
        asked = answers.where(answers.applies)
        self._metric = metric
        self._seed = seed
        self._values = asked.values
        self._slices = [str(part) for part in asked.slices]
        self._clusters = asked.clusters
        self._scored = np.asarray(~np.isnan(asked.values).any(axis=0))
        self._n_clusters = len({c for c, is_scored in zip(asked.clusters, self._scored, strict=True) if is_scored})
        self._present = sorted(set(self._slices))
        # By the slices with weight: at either end of the coverage there are fewer.
        self._bootstraps: dict[tuple[str, ...], MeanBootstrap] = {}
        self._resampling = threading.Lock()

    def summary(self, weights: Mapping[str, float]) -> MetricSummary:
        """Weighted by production traffic.

        Raises:
            EvaluationError: most resamples miss a slice with weight.
        """
        n_scored = int(self._scored.sum())
        interval = self._interval(weights) if self._n_clusters > 1 else None
        return MetricSummary(self._metric, None, interval, n_scored, self._n_clusters, len(self._scored) - n_scored)

    def _interval(self, weights: Mapping[str, float]) -> Interval:
        weighted = tuple(name for name in self._present if weights.get(name, 0) > 0)
        if not weighted:
            return mean_interval(self._values, self._clusters, seed=self._seed)
        with self._resampling:
            if weighted not in self._bootstraps:
                self._bootstraps[weighted] = bootstrap_mean(
                    self._values, self._clusters, self._slices, weights, seed=self._seed
                )
        return self._bootstraps[weighted].interval(weights)
