"""Blocks: whole clusters, every slice in every block, and one and the same expectation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.decision.race_plan import RacePlan, plan_race
from advisor.errors import EvaluationError


def expectations(plan: RacePlan, slices: list[str], means: dict[str, float]) -> list[float]:
    """Mean over the clusters of each block where every question scores its slice's mean."""
    return [
        float((block.shares @ np.array([means[slices[i]] for i in block.questions])).mean()) for block in plan.blocks
    ]


@given(st.integers(0, 10_000))
def test_every_block_expects_the_weighted_mean_however_slices_and_clusters_lie(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clusters = [f"d{i}" for i in rng.integers(0, 15, 80)]
    slices = [["seen", "unseen", "unanswerable"][i] for i in rng.choice(3, 80, p=[0.6, 0.3, 0.1])]
    weights = {"seen": 0.3, "unseen": 0.6, "unanswerable": 0.1}
    plan = plan_race(slices, clusters, weights, block_questions=10, seed=seed)
    means = {"seen": 0.9, "unseen": -0.4, "unanswerable": 0.2}
    present = set(slices)
    want = sum(weights[s] * means[s] for s in present) / sum(weights[s] for s in present)
    assert expectations(plan, slices, means) == pytest.approx([want] * len(plan.blocks))
    assert all(block.worths.mean() == pytest.approx(1) for block in plan.blocks)


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_every_question_is_in_one_block_and_no_cluster_in_two(seed: int, block_questions: int) -> None:
    clusters = [f"d{i}" for i in np.random.default_rng(seed).integers(0, 20, 60)]
    plan = plan_race(["s"] * 60, clusters, {"s": 1.0}, block_questions=block_questions, seed=seed)
    assert sorted(i for block in plan.blocks for i in block.questions) == list(range(60))
    owners = [{clusters[i] for i in block.questions} for block in plan.blocks]
    assert sum(len(owner) for owner in owners) == len(set(clusters)) == plan.n_clusters


def test_blocks_hold_about_as_many_questions_as_asked() -> None:
    plan = plan_race(["s"] * 300, [f"d{i}" for i in range(300)], {"s": 1.0}, block_questions=20)
    assert [len(block.questions) for block in plan.blocks] == [20] * 15


def test_a_cluster_counts_once_in_a_slice_however_many_questions_it_has() -> None:
    plan = plan_race(["s"] * 4, ["a", "a", "a", "b"], {"s": 1.0}, block_questions=4)
    (block,) = plan.blocks
    right = np.array([0.0 if i == 3 else 1.0 for i in block.questions])
    assert (block.shares @ right).mean() == pytest.approx(0.5)


def test_a_rare_slice_is_in_every_block() -> None:
    slices = ["common"] * 100 + ["rare"] * 4
    plan = plan_race(slices, [f"d{i}" for i in range(104)], {"common": 0.9, "rare": 0.1}, block_questions=10)
    assert len(plan.blocks) == 4
    assert all("rare" in {slices[i] for i in block.questions} for block in plan.blocks)


def test_questions_without_weight_are_not_asked() -> None:
    plan = plan_race(["s"] * 30 + ["t"] * 30, [f"d{i}" for i in range(60)], {"s": 1.0, "t": 0.0})
    assert plan.n_questions == 30
    assert plan.n_test_questions == 60
    assert plan.weights == {"s": 1.0}


def test_the_order_of_questions_changes_no_block_and_the_seed_does() -> None:
    clusters, order = [f"d{i % 20}" for i in range(60)], np.random.default_rng(0).permutation(60)
    one = plan_race(["s"] * 60, clusters, {"s": 1.0}, block_questions=9, seed=1)
    other = plan_race(["s"] * 60, [clusters[i] for i in order], {"s": 1.0}, block_questions=9, seed=1)
    reseeded = plan_race(["s"] * 60, clusters, {"s": 1.0}, block_questions=9, seed=2)

    def owners(plan: RacePlan, names: list[str]) -> list[set[str]]:
        return [{names[i] for i in block.questions} for block in plan.blocks]

    assert owners(one, clusters) == owners(other, [clusters[i] for i in order])
    assert owners(one, clusters) != owners(reseeded, clusters)


@pytest.mark.parametrize(
    ("slices", "clusters", "weights", "block_questions", "message"),
    [
        ([], [], {"s": 1.0}, 10, "0 slices and 0 clusters are no test set"),
        (["s"], [], {"s": 1.0}, 10, "1 slices and 0 clusters are no test set"),
        (["s"], ["c"], {"s": 0.0}, 10, "leave no weight on any slice"),
        (["s"], ["c"], {"s": 1.0, "t": -1.0}, 10, "leave no weight on any slice"),
        (["s"], ["c"], {"s": 1.0}, 0, "a block of 0 questions cannot be asked"),
    ],
)
def test_what_cannot_be_planned_is_refused_by_name(
    slices: list[str], clusters: list[str], weights: dict[str, float], block_questions: int, message: str
) -> None:
    with pytest.raises(EvaluationError, match=message):
        plan_race(slices, clusters, weights, block_questions=block_questions)
