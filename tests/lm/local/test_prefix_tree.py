from random import Random

from hypothesis import given
from hypothesis import strategies as st

from lm.local.prefix_tree import LEAST_RUN_TOKENS, PrefixTree, prefix_tree

# Prompts of few kinds of token share much; a few passages in any order, and a question.
PASSAGES = [[kind] * n for kind, n in ((1, 20), (2, 33), (3, 17), (4, 5))]
PROMPTS = st.lists(
    st.tuples(st.lists(st.sampled_from(PASSAGES), max_size=3), st.lists(st.integers(5, 7), min_size=1, max_size=6)).map(
        lambda parts: [token for run in (*parts[0], parts[1]) for token in run]
    ),
    max_size=12,
)


def _tokens(tree: PrefixTree, run: int | None) -> list[int]:
    return [token for i in tree.path(run) for token in tree.runs[i].ids]


@given(PROMPTS, st.integers(1, 60), st.integers(0, 120))
def test_paths_are_beginnings_and_each_run_saves_what_it_must(
    prompts: list[list[int]], least_saved: int, most_tokens: int
) -> None:
    tree = prefix_tree(prompts, least_saved=least_saved, most_tokens=most_tokens)
    for prompt, last in zip(prompts, tree.last, strict=True):
        path = _tokens(tree, last)
        assert prompt[: len(path)] == path
        assert len(path) == tree.n_tokens(last) < len(prompt)
    assert sum(len(run.ids) for run in tree.runs) <= most_tokens
    for i, run in enumerate(tree.runs):
        readers = [j for j, last in enumerate(tree.last) if i in tree.path(last)]
        assert run.first_reader == min(readers)
        assert len(run.ids) >= LEAST_RUN_TOKENS
        assert len(run.ids) * (len(readers) - 1) >= least_saved
        assert run.before is None or run.before < i


@given(PROMPTS, st.randoms())
def test_the_order_of_the_prompts_changes_no_path(prompts: list[list[int]], random: Random) -> None:
    order = list(range(len(prompts)))
    random.shuffle(order)
    shuffled = prefix_tree([prompts[i] for i in order], least_saved=20)
    tree = prefix_tree(prompts, least_saved=20)
    for place, i in enumerate(order):
        path = [tree.runs[run].ids for run in tree.path(tree.last[i])]
        assert [shuffled.runs[run].ids for run in shuffled.path(shuffled.last[place])] == path


def test_runs_of_a_level_follow_runs_of_the_level_before() -> None:
    one, two, three, _ = PASSAGES
    tree = prefix_tree([[*one, *two, 7], [*one, *two, 8], [*one, *three, 7], [*two, 9], [*two, 8]], least_saved=16)
    levels = list(tree.levels())
    assert [[tree.runs[i].ids for i in level] for level in levels] == [[tuple(one), tuple(two)], [tuple(two)]]
    assert _tokens(tree, tree.last[0]) == one + two
    assert tree.last[2] == tree.path(tree.last[0])[0]


def test_nothing_is_shared_by_one_prompt_or_none() -> None:
    assert prefix_tree([], least_saved=1) == PrefixTree((), ())
    assert prefix_tree([[1] * 99], least_saved=1) == PrefixTree((), (None,))


def test_equal_prompts_keep_a_token_each() -> None:
    tree = prefix_tree([[1] * 40, [1] * 40], least_saved=1)
    assert [tree.n_tokens(last) for last in tree.last] == [39, 39]
