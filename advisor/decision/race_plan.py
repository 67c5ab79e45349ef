"""In which blocks the questions of a race are asked. Fixed before the first answer, so that no score can bend it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from advisor.errors import EvaluationError
from advisor.evidence.betting import Floats

BLOCK_QUESTIONS = 20


@dataclass(frozen=True, eq=False)
class RaceBlock:
    """Whole clusters that are asked together.

    Attributes:
        questions: Indices into the test questions.
        shares: Shape (n_clusters, n_questions): `shares @ scores` is each cluster's contribution. Its mean over the
            clusters is the sum over slices of weight times the mean of the clusters' own means in that slice.
        worths: Shape (n_clusters,), mean 1: the contribution of a cluster where every score is 1.
    """

    questions: tuple[int, ...]
    shares: Floats
    worths: Floats


@dataclass(frozen=True)
class RacePlan:
    """The blocks in order. Questions of slices without weight decide nothing and are in no block.

    Attributes:
        n_test_questions: All that were given, those of slices without weight included.
    """

    blocks: tuple[RaceBlock, ...]
    weights: Mapping[str, float]
    n_test_questions: int

    @property
    def n_questions(self) -> int:
        """Questions in all blocks."""
        return sum(len(block.questions) for block in self.blocks)

    @property
    def n_clusters(self) -> int:
        """Clusters in all blocks."""
        return sum(len(block.worths) for block in self.blocks)


def plan_race(
    slices: Sequence[str],
    clusters: Sequence[str],
    weights: Mapping[str, float],
    *,
    block_questions: int = BLOCK_QUESTIONS,
    seed: int = 0,
) -> RacePlan:
    """Deal clusters into blocks that are alike: each holds every slice, in about the proportion of the test set.

    Clusters go whole, so that blocks are independent. Slices count by their weight inside every block, so that each
    block's expectation is the same traffic-weighted difference, however many questions of a slice there are.

    Args:
        slices: Slice of each test question; clusters: its cluster, same order. The order itself changes nothing.
        weights: Share of production traffic of each slice; slices without questions are left out and the rest rescaled.
        block_questions: About how many questions a block holds; more where a rare slice must be in every block.
    Raises:
        EvaluationError: no question, no weight on any slice that has questions, or a block of fewer than 1 question.
    """
    if block_questions < 1:
        raise EvaluationError(f"a block of {block_questions} questions cannot be asked; give at least 1")
    if not slices or len(slices) != len(clusters):
        raise EvaluationError(f"{len(slices)} slices and {len(clusters)} clusters are no test set to race on")
    present = {name: weights.get(name, 0.0) for name in sorted(set(slices))}
    if any(weight < 0 for weight in weights.values()) or sum(present.values()) <= 0:
        raise EvaluationError(f"slice weights {dict(weights)} leave no weight on any slice that has questions")
    scaled = {name: weight / sum(present.values()) for name, weight in present.items() if weight > 0}
    members: dict[str, list[int]] = {}
    for i in range(len(slices)):
        if slices[i] in scaled:
            members.setdefault(clusters[i], []).append(i)
    n_questions = sum(len(questions) for questions in members.values())
    hands = _deal(members, slices, scaled, max(1, round(n_questions / block_questions)), seed)
    blocks = tuple(race_block(hand, members, slices, scaled) for hand in hands)
    return RacePlan(blocks, scaled, len(slices))


def _deal(
    members: Mapping[str, Sequence[int]],
    slices: Sequence[str],
    weights: Mapping[str, float],
    n_blocks: int,
    seed: int,
) -> list[list[str]]:
    """Clusters of each block: shuffled, then dealt round kind by kind, so that blocks have the same mixture."""
    kinds = {name: tuple(sorted({slices[i] for i in questions})) for name, questions in members.items()}
    sizes = Counter(kinds.values())
    names, rng = sorted(members), np.random.default_rng(seed)
    rng.shuffle(names)
    names.sort(key=lambda name: (sizes[kinds[name]], kinds[name]))
    for n in range(min(n_blocks, len(names)), 1, -1):
        hands = [names[start::n] for start in range(n)]
        if all({part for name in hand for part in kinds[name]} == set(weights) for hand in hands):
            return [hands[i] for i in rng.permutation(n)]
    return [names]


def race_block(
    hand: Sequence[str], members: Mapping[str, Sequence[int]], slices: Sequence[str], weights: Mapping[str, float]
) -> RaceBlock:
    """One block of these clusters.

    Args:
        members: Questions of each cluster by index, all of slices with weight. slices: Slice of each question.
        weights: Of the slices, adding to 1; the clusters hold questions of every one.
    """
    questions = tuple(i for name in sorted(hand) for i in members[name])
    column = {question: j for j, question in enumerate(questions)}
    in_slice = [Counter(slices[i] for i in members[name]) for name in sorted(hand)]
    n_holding = Counter(part for counts in in_slice for part in counts)
    shares = np.zeros((len(hand), len(questions)))
    for row, (name, counts) in enumerate(zip(sorted(hand), in_slice, strict=True)):
        for i in members[name]:
            part = slices[i]
            shares[row, column[i]] = weights[part] * len(hand) / n_holding[part] / counts[part]
    return RaceBlock(questions, shares, shares.sum(axis=1))
