"""A metric of one arm over all slices, whose weights may change: the resampling is done once."""

import threading
from collections.abc import Mapping

from advisor.evidence.prediction_powered import corrected_mean, enough_labels
from advisor.evidence.scorecard import are_scored
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
        self._labels = asked.labels
        self._corrected = enough_labels(asked.values[None], asked.labels[None])
        self._slices = [str(part) for part in asked.slices]
        self._clusters = asked.clusters
        self._scored = are_scored(asked.values, asked.labels, metric)
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
        if self._corrected:
            return corrected_mean(
                self._values,
                self._labels,
                self._clusters,
                slices=self._slices if weighted else None,
                weights=weights,
                seed=self._seed,
            )
        if not weighted:
            return mean_interval(self._values, self._clusters, seed=self._seed)
        with self._resampling:
            if weighted not in self._bootstraps:
                self._bootstraps[weighted] = bootstrap_mean(
                    self._values, self._clusters, self._slices, weights, seed=self._seed
                )
        return self._bootstraps[weighted].interval(weights)
