from dataclasses import replace

from advisor.data.dataset import Example, Slice, Split
from advisor.evidence.corpus_scorecard import summarise_corpus_metric
from advisor.metrics.corpus import abstention_precision, macro_f1
from advisor.results.answer import Answer
from advisor.results.comparison import QuestionRecord
from lm.completion import FinishReason, Usage


def _pair(i: int, label: str, said: str, cluster: str) -> tuple[Example, QuestionRecord]:
    example = Example(f"e{i}", f"message {i}", (label,), (), cluster, Split.TEST)
    answer = Answer(said, Usage(), FinishReason.STOP, (), "")
    record = QuestionRecord(
        "rag", example.id, example.question, (label,), (), Slice.NEW_CASE, cluster, cluster, answer, {}
    )
    return example, record


def _summary(pairs, metric=macro_f1, **options):  # type: ignore[no-untyped-def]
    return summarise_corpus_metric("m", metric, [e for e, _ in pairs], [r for _, r in pairs], **options)


def test_macro_f1_of_perfect_answers_is_one_with_a_closed_interval() -> None:
    summary = _summary([_pair(i, "ab"[i % 2], "ab"[i % 2], f"c{i}") for i in range(20)])
    assert summary.interval is not None
    assert (summary.interval.estimate, summary.interval.low, summary.interval.high) == (1, 1, 1)


def test_interval_holds_the_estimate_and_is_wider_for_fewer_clusters() -> None:
    right = [i % 3 != 0 for i in range(60)]
    labels = ["ab"[i % 2] for i in range(60)]
    said = [label if ok else "ab"[label == "a"] for label, ok in zip(labels, right, strict=True)]
    many = _summary([_pair(i, labels[i], said[i], f"c{i}") for i in range(60)]).interval
    few = _summary([_pair(i, labels[i], said[i], f"c{i // 10 if right[i] else 9}") for i in range(60)]).interval
    assert many is not None
    assert few is not None
    assert many.low < many.estimate < many.high
    assert few.high - few.low > many.high - many.low


def test_undefined_metric_is_unscored_and_not_zero() -> None:
    summary = _summary([_pair(i, "a", "a", f"c{i}") for i in range(5)], metric=abstention_precision)
    assert summary.interval is None
    assert (summary.n, summary.n_unscored) == (0, 5)


def test_one_cluster_gives_no_interval() -> None:
    assert _summary([_pair(i, "a", "a", "one") for i in range(5)]).interval is None


def test_an_answer_that_never_came_is_left_out_and_counted() -> None:
    pairs = [_pair(i, "ab"[i % 2], "ab"[i % 2], f"c{i}") for i in range(20)]
    example, record = pairs[3]
    withheld = replace(record.answer, text="", finish_reason=FinishReason.CONTENT_FILTER)
    summary = _summary([*pairs[:3], (example, replace(record, answer=withheld)), *pairs[4:]])
    assert summary.interval is not None
    assert (summary.interval.estimate, summary.n, summary.n_unscored) == (1, 19, 1)
