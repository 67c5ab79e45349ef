from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from advisor.data.dataset import Slice
from advisor.evidence.scorecard import summarise_metric
from advisor.evidence.scored_answers import scored_answers
from advisor.evidence.weighted_metric import WeightedMetric
from advisor.results.answer import Answer
from advisor.results.comparison import QuestionRecord, SeedAnswer
from advisor.results.score import Score
from lm.completion import FinishReason, Usage

METRIC = "token_f1"
ANSWER = Answer("a", Usage(), FinishReason.STOP, (), "")
WEIGHTS = ({"seen-fact": 0.3, "unseen-fact": 0.6, "unanswerable": 0.1}, {"seen-fact": 0.0, "unseen-fact": 1.0}, {})

values = st.none() | st.sampled_from([0.0, 1.0]) | st.floats(0, 1) | st.floats(-3, 30)
parts = st.sampled_from([Slice.SEEN_FACT, Slice.UNSEEN_FACT, Slice.UNANSWERABLE])


@st.composite
def arms(draw: st.DrawFn) -> list[QuestionRecord]:
    """Some clusters with some questions each, of one training or three."""
    seeds: Sequence[int | None] = draw(st.sampled_from([[None], [3, 1, 2]]))
    values = draw(st.sampled_from([st.sampled_from([0.0, 1.0]), st.floats(0, 1), st.none() | st.floats(-3, 30)]))
    records = []
    for i in range(draw(st.integers(1, 24))):
        own, *others = [{METRIC: Score(draw(values))} for _ in seeds]
        records.append(
            QuestionRecord(
                "rag", f"q{i}", "", (), (), draw(parts), f"g{i}", f"c{draw(st.integers(0, 5))}", ANSWER,
                own if draw(st.integers(0, 5)) else {}, "", seeds[0],
                tuple(SeedAnswer(int(seed or 0), ANSWER, one) for seed, one in zip(seeds[1:], others, strict=True)),
            )
        )  # fmt: skip
    return records


def summarised(records: Sequence[QuestionRecord], weights: dict[str, float]) -> str:
    """As text, in which even NaN is equal to itself; or what is said where there is no summary."""
    try:
        return repr(summarise_metric(records, METRIC, weights=weights, seed=7)[0])
    except Exception as error:
        return repr(error)


def weighed(metric: WeightedMetric, weights: dict[str, float]) -> str:
    try:
        return repr(metric.summary(weights))
    except Exception as error:
        return repr(error)


@settings(max_examples=60)
@given(arms(), st.lists(st.floats(0, 1), max_size=3))
def test_other_weights_give_to_the_last_bit_what_a_new_summary_gives(
    records: list[QuestionRecord], coverages: list[float]
) -> None:
    metric = WeightedMetric(scored_answers(records, METRIC), METRIC, seed=7)
    drawn = [{"seen-fact": share, "unseen-fact": 1 - share, "unanswerable": 0.2} for share in coverages]
    for weights in (*WEIGHTS, *drawn):
        assert weighed(metric, weights) == summarised(records, weights)
