import random

import pytest

from advisor.decision.freshness import Freshness, Part, ReaskedQuestion, Recovery, Refresh, summarise_state
from advisor.report.freshness import freshness_markdown, freshness_rows, freshness_sentences
from advisor.results.plain_data import from_plain, to_plain


def question(
    i: int, *, was: float | None = 1, now: float | None = 0, stale: bool = True, changed: bool = True
) -> ReaskedQuestion:
    return ReaskedQuestion(f"q{i}", changed, i % 2 == 0, f"d{i // 2}", "x", was, now, stale)


def state(questions: list[ReaskedQuestion], refresh: Refresh = Refresh.NOTHING, arm: str = "rag", **changes: float):
    return summarise_state(arm, refresh, questions, margin=0.02, **changes)


def many(n: int = 60, **changes) -> list[ReaskedQuestion]:
    return [question(i, **changes) for i in range(n)]


def test_rates_are_told_by_part_with_their_numbers() -> None:
    found = state([*many(40), *(question(i, changed=False, now=1, stale=False) for i in range(100, 120))])
    changed, trained, unchanged = (found.part(part) for part in Part)
    assert (changed.is_right.interval.estimate, changed.is_stale.interval.estimate, changed.is_right.n) == (0, 1, 40)
    assert (trained.is_right.n, trained.is_right.n_clusters) == (20, 20)
    assert (unchanged.is_right.interval.estimate, unchanged.is_stale.interval.estimate) == (1, 0)
    assert unchanged.change.estimate == 0
    assert changed.change.estimate == -1


def test_unscored_answers_are_counted_and_never_zero() -> None:
    found = state([*many(20, now=1), *many(4, now=None)]).part(Part.CHANGED)
    assert (found.is_right.interval.estimate, found.is_right.n, found.is_right.n_unscored) == (1, 20, 4)


def test_losing_scores_never_makes_an_arm_staler_or_fresher() -> None:
    whole = state(many(20, was=1, now=0)).part(Part.CHANGED)
    part = state([question(i, now=None if i < 10 else 0) for i in range(20)]).part(Part.CHANGED)
    assert part.is_stale == whole.is_stale


def test_questions_of_one_document_are_resampled_together() -> None:
    coin = random.Random(0)
    tosses = [float(coin.random() < 0.5) for _ in range(400)]
    alike = [question(i, now=tosses[i // 2]) for i in range(400)]
    mixed = [question(i, now=tosses[i]) for i in range(400)]

    def width(questions: list[ReaskedQuestion]) -> float:
        interval = state(questions).part(Part.CHANGED).is_right.interval
        return interval.high - interval.low

    assert width(alike) > 1.2 * width(mixed)


def test_one_document_gives_no_interval() -> None:
    found = state([question(0), question(1)])
    assert (found.part(Part.CHANGED).is_right.interval, found.recovery) == (None, Recovery.NOT_SHOWN)


@pytest.mark.parametrize(
    ("questions", "expected"),
    [
        ([question(i, now=1) for i in range(400)], Recovery.RIGHT_AGAIN),
        (many(now=1), Recovery.NOT_SHOWN),  # of 60 questions that are all right again, the next may still be the first
        (many(now=0), Recovery.WORSE),
        (many(was=0, now=0), Recovery.HARDLY_RIGHT),
        ([question(i, was=float(i == 7), now=0) for i in range(60)], Recovery.HARDLY_RIGHT),
        ([question(i, now=float(i != 9)) for i in range(60)], Recovery.NOT_SHOWN),
        (many(was=None), Recovery.NOT_SHOWN),
        ([question(i, changed=False) for i in range(9)], Recovery.NOT_SHOWN),
    ],
)
def test_right_again_must_be_shown_and_there_must_be_something_to_lose(questions, expected) -> None:
    assert state(questions).recovery is expected


@pytest.fixture
def freshness() -> Freshness:
    states = (
        state(many(), arm="base|", refresh=Refresh.NOTHING),
        state(many()),
        state(many(now=1, stale=False), Refresh.REINDEXED, index_s=7.0, index_usd=0.0003),
        state(many(), arm="hybrid"),
        state(many(now=None), Refresh.RETUNED, "hybrid", index_s=7.0, training_s=120.0, index_usd=None),
    )
    return Freshness(
        comparison="tiny-1", created_at="2026-01-01", dataset="tiny", model="tiny", metric="exact_match", margin=0.02,
        revision_hash="a" * 64, n_documents=3, n_facts=30, prices_as_of="2026-01-01", prices_source="a list",
        wall_s=9.0, states=states,
    )  # fmt: skip


def test_a_refresh_costs_all_it_took(freshness: Freshness) -> None:
    assert [(found.seconds, found.usd) for found in freshness.states[1:]] == [
        (0, 0),
        (7, 0.0003),
        (0, 0),
        (127, None),
    ]
    assert freshness.arms == ("base|", "rag", "hybrid")


def test_rows_tell_what_was_done_and_what_it_took(freshness: Freshness) -> None:
    rows = list(freshness_rows(freshness))
    assert rows[1][:2] == ("rag", "100.0 [87.8, 100.0]")
    assert [row[0] for row in rows[2:]] == ["rag, re-indexed", "hybrid", "hybrid, re-indexed and re-tuned"]
    assert rows[2][-2:] == ("7.00 s", "under a cent")
    assert rows[4][2] == "–"
    assert rows[4][-2:] == ("2 min 7 s", "–")


def test_sentences_tell_what_makes_an_arm_right_again(freshness: Freshness) -> None:
    base, rag, _ = freshness_sentences(freshness)
    assert base.endswith("and there is nothing to refresh.")
    assert "as built, gives the old answer to 100.0" in rag
    assert "Re-indexed (7.00 s, under a cent): right on 100.0" in rag
    assert rag.endswith("as right as before the change.")


def test_the_report_keeps_its_tables_whatever_an_arm_is_called(freshness: Freshness) -> None:
    text = freshness_markdown(freshness)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert "base\\|" in text
    assert {line.replace("\\|", "").count("|") for line in lines} == {8, 5}


def test_a_result_can_be_read_back(freshness: Freshness) -> None:
    assert from_plain(Freshness, to_plain(freshness)) == freshness
