"""Figures of one arm of a race: means of what it was asked, with intervals that hold at whatever moment it stopped."""

from collections.abc import Iterator, Mapping, Sequence
from math import log

import numpy as np

from advisor.data.dataset import Slice
from advisor.decision.race_plan import RaceBlock, race_block
from advisor.evidence.betting import Payoffs, lower_confidence_sequence
from advisor.evidence.scorecard import score_values
from advisor.evidence.statistics import ALPHA, Floats
from advisor.results.comparison import Interval, MetricSummary, QuestionRecord

METHOD = "confidence sequence"


def summarise_raced_metric(
    blocks: Sequence[Sequence[QuestionRecord]], metric: str, *, weights: Mapping[str, float]
) -> tuple[MetricSummary, ...]:
    """One metric of one arm: weighted over all slices first, then each slice on its own.

    The interval is a confidence sequence of level 1 - alpha for this one figure, whatever the unscored answers would
    have been. Like the race it counts each document once in a slice. A metric beyond [0, 1] has none.

    Args:
        blocks: Records of the blocks that the arm was asked, in their order.
        weights: Share of production traffic of each slice.
    """
    asked = [[record for record in block if metric in record.scores] for block in blocks]
    found = {str(record.slice) for block in asked for record in block}
    weighted = {name: weights.get(name, 0.0) for name in found}
    if sum(weighted.values()) <= 0:
        weighted = dict.fromkeys(found, 1.0)
    summaries = [_summary(asked, metric, None, weighted)]
    summaries += [
        _summary([[r for r in block if r.slice is part] for block in asked], metric, part, {str(part): 1.0})
        for part in Slice
        if str(part) in found
    ]
    return tuple(summaries)


def _summary(
    blocks: Sequence[Sequence[QuestionRecord]], metric: str, part: Slice | None, weights: Mapping[str, float]
) -> MetricSummary:
    weights = {name: weight / sum(weights.values()) for name, weight in weights.items() if weight > 0}
    records = [record for block in blocks for record in block]
    values = score_values(records, metric)
    scored = ~np.isnan(values)
    known = values[scored]
    interval = None
    if len(known) and known.min() >= 0 and known.max() <= 1:
        interval = _sequence(list(_whole(blocks, weights)), metric, weights)
    n_clusters = len({record.cluster for record, kept in zip(records, scored, strict=True) if kept})
    return MetricSummary(metric, part, interval, int(scored.sum()), n_clusters, int((~scored).sum()))


def _whole(
    blocks: Sequence[Sequence[QuestionRecord]], weights: Mapping[str, float]
) -> Iterator[Sequence[QuestionRecord]]:
    """Blocks that hold questions of every slice with weight: one that does not goes with the next, the last alone."""
    gathered: list[QuestionRecord] = []
    for block in blocks:
        gathered += [record for record in block if str(record.slice) in weights]
        if {str(record.slice) for record in gathered} == set(weights):
            yield gathered
            gathered = []


def _sequence(blocks: Sequence[Sequence[QuestionRecord]], metric: str, weights: Mapping[str, float]) -> Interval | None:
    if not blocks:
        return None
    means, lows, highs = [], [], []
    for records in blocks:
        block, values = _raced(records, weights), score_values(records, metric)
        bottom, top = (block.shares @ np.nan_to_num(values[list(block.questions)], nan=end) for end in (0.0, 1.0))
        means.append((bottom + top) / 2)
        # Scores run from 0 to 1 and the bets are on values from -1 to 1: spread over all of it they lose nothing.
        lows.append(Payoffs(2 * bottom - block.worths, block.worths))
        highs.append(Payoffs(block.worths - 2 * top, block.worths))
    threshold = log(2 / ALPHA)
    low = (lower_confidence_sequence(lows, threshold) + 1) / 2
    high = (1 - lower_confidence_sequence(highs, threshold)) / 2
    mean = _mean(means)
    return Interval(mean, min(low, mean), max(high, mean), 1 - ALPHA, METHOD)


def _raced(records: Sequence[QuestionRecord], weights: Mapping[str, float]) -> RaceBlock:
    members: dict[str, list[int]] = {}
    for i, record in enumerate(records):
        members.setdefault(record.cluster, []).append(i)
    return race_block(list(members), members, [str(record.slice) for record in records], weights)


def _mean(blocks: Sequence[Floats]) -> float:
    return float(np.mean(np.concatenate(blocks)))
