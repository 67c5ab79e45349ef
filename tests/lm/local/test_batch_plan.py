from hypothesis import given
from hypothesis import strategies as st

from lm.local.batch_plan import plan_batches

LENGTHS = st.lists(st.integers(1, 300), max_size=60)


@given(LENGTHS, st.integers(1, 20), st.integers(50, 4000))
def test_every_prompt_is_in_one_batch_within_size_and_budget(lengths: list[int], batch_size: int, budget: int) -> None:
    batches = plan_batches(lengths, max_output_tokens=10, batch_size=batch_size, budget=budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= batch_size
        positions = len(batch) * (max(lengths[i] for i in batch) + 10)
        assert len(batch) == 1 or positions <= budget


@given(LENGTHS, st.randoms())
def test_the_order_of_the_prompts_changes_no_batch(lengths: list[int], random: object) -> None:
    shuffled = list(lengths)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    plans = [
        [
            sorted(order[i] for i in batch)
            for batch in plan_batches(order, max_output_tokens=10, batch_size=8, budget=1000)
        ]
        for order in (lengths, shuffled)
    ]
    assert plans[0] == plans[1]


def test_longest_prompts_come_first_and_like_lengths_share_a_batch() -> None:
    assert plan_batches([3, 90, 4, 95], max_output_tokens=5, batch_size=2) == [[3, 1], [2, 0]]
