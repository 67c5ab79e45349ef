from collections.abc import Sequence
from dataclasses import replace

import pytest

from advisor.data.dataset import Dataset, DatasetCard, Example, Slice, Split, Task
from advisor.decision.conclusion import conclude
from advisor.decision.constraints import ArmTraits, Constraints
from advisor.decision.inputs import Axis, DecisionInputs, MeasuredArms
from advisor.decision.record import read_record, record_decision, write_record
from advisor.decision.what_if import StoredDecision, axis_ranges, read_stored_decision, reconsider
from advisor.errors import EvaluationError
from advisor.evidence.arm_use import ArmUse
from advisor.evidence.prediction_powered import METHOD
from advisor.evidence.records import record_line
from advisor.metrics.human import CORRECT
from advisor.money.cost import Traffic
from advisor.money.prices import MachinePrice, ModelPrice, PriceList
from advisor.results.answer import Answer, BuildUsage
from advisor.results.answer_values import AnswerValues
from advisor.results.comparison import (
    ArmRole,
    ArmSummary,
    Comparison,
    Interval,
    MetricSummary,
    QuestionRecord,
    Severity,
)
from advisor.results.json_report import json_report
from advisor.results.score import Score
from lm.completion import FinishReason, Usage
from lm.files import sha256

CARD = DatasetCard("x", Task.CLASSIFICATION, "en", "MIT", ("exact_match",), "", "Name the label.")
PRICES = PriceList(
    "2026-01-01", "s", {"cpu": MachinePrice(0.1, "m", "2026-01-01", "s")},
    {"hosted": ModelPrice(1.0, 1.0, "2026-01-01", "s")}, {},
)  # fmt: skip
INPUTS = DecisionInputs(PRICES, Traffic(queries_per_month=1000), coverage=0.5, margin=0.1)
EXACT = Interval(0.0, 0.0, 0.0)


def tokens(n: float) -> Interval:
    return Interval(n, n, n)


# Passages are paid by the token; the tuned arm costs its training, and then hardly anything.
USES = {
    "rag": ArmUse("hosted", "", None, tokens(1000), tokens(0), EXACT, None),
    "fine-tuned": ArmUse(
        "local", "", "cpu", tokens(50), tokens(5), EXACT, tokens(0.001),
        training=BuildUsage(wall_s=360_000, device="cpu"),
    ),
}  # fmt: skip
TRAITS = {"rag": ArmTraits(True, False, None), "fine-tuned": ArmTraits(False, True, "cpu")}


def answered(arm: str, right: Sequence[bool], parts: Sequence[Slice]) -> list[QuestionRecord]:
    return [
        QuestionRecord(
            arm, f"q{i}", f"{i}?", ("a",), (), part, f"g{i}", f"c{i // 3}",
            Answer("a" if ok else "b", Usage(), FinishReason.STOP, (), ""), {"exact_match": Score(float(ok))},
        )
        for i, (ok, part) in enumerate(zip(right, parts, strict=True))
    ]  # fmt: skip


def files(right: dict[str, Sequence[bool]], parts: Sequence[Slice]) -> tuple[str, str, bytes]:
    """Report, decision and results of a finished comparison."""
    records = {arm: answered(arm, flags, parts) for arm, flags in right.items()}
    measured = MeasuredArms.from_records(records, "exact_match", USES, TRAITS)
    conclusion = conclude(measured, INPUTS)
    summaries = tuple(
        ArmSummary(
            arm, ArmRole.CANDIDATE, arm,
            (MetricSummary("exact_match", None, Interval(0.5, 0.4, 0.6), len(parts), 40, 0),),
            Usage(), 1.0, BuildUsage(), None, None, len(parts), 0,
        )
        for arm in records
    )  # fmt: skip
    comparison = Comparison(
        id="x-1", created_at="2026-03-01T12:00:00+00:00", card=CARD, dataset_hash="", n_documents=0,
        split_sizes={}, slice_sizes={}, model="hosted", arms=summaries, differences=(),
        recommendation=conclusion.recommendation, findings=(), settings={}, hashes={}, versions={},
        prices_as_of="", prices_source="", wall_s=0.0, flips=conclusion.flips, flip_map=conclusion.flip_map,
    )  # fmt: skip
    results = "".join(record_line(row) + "\n" for rows in records.values() for row in rows)
    dataset = Dataset(CARD, (), (Example("t", "t?", ("a",), (), "t", Split.TRAIN),))
    record = record_decision(comparison, dataset, measured, INPUTS, settings={}, model="m", results=results)
    return json_report(comparison, []), write_record(record), results.encode()


@pytest.fixture
def equal() -> StoredDecision:
    """Two arms that answer alike: cost chooses."""
    flags = [i % 2 == 0 for i in range(120)]
    return read_stored_decision(*files({"rag": flags, "fine-tuned": flags}, [Slice.NEW_CASE] * 120))


def read_opposed() -> StoredDecision:
    """The tuned arm knows what was trained, the other the rest."""
    seen = [i % 2 == 0 for i in range(120)]
    parts = [Slice.SEEN_FACT if flag else Slice.UNSEEN_FACT for flag in seen]
    return read_stored_decision(*files({"rag": [not flag for flag in seen], "fine-tuned": seen}, parts))


@pytest.fixture
def opposed() -> StoredDecision:
    return read_opposed()


def shipped(stored: StoredDecision, inputs: DecisionInputs, constraints: Constraints = Constraints()) -> str | None:  # noqa: B008
    return reconsider(stored, replace(inputs, constraints=constraints)).recommendation.arm


def test_unchanged_inputs_give_the_decision_on_record(equal: StoredDecision) -> None:
    again = reconsider(equal, equal.record.inputs, parts=("flips", "flip_map"))
    assert again.recommendation == equal.comparison.recommendation
    assert again.flips == equal.comparison.flips
    assert again.flip_map == equal.comparison.flip_map


def test_a_volume_past_the_break_even_flips_the_decision(equal: StoredDecision) -> None:
    (even,) = reconsider(equal, INPUTS).break_evens
    assert even.queries_per_month is not None
    below, above = (
        replace(INPUTS, traffic=Traffic(queries_per_month=even.queries_per_month * factor)) for factor in (0.9, 1.1)
    )
    assert (shipped(equal, below), shipped(equal, above)) == ("rag", "fine-tuned")


def test_coverage_moves_the_weights_of_the_slices(opposed: StoredDecision) -> None:
    assert shipped(opposed, replace(INPUTS, coverage=0.1)) == "rag"
    assert shipped(opposed, replace(INPUTS, coverage=0.9)) == "fine-tuned"


def test_coverage_moves_the_quality_that_is_shown(opposed: StoredDecision) -> None:
    changed = reconsider(opposed, replace(INPUTS, coverage=0.9))
    tuned = changed.scores["fine-tuned"]
    assert tuned is not None
    assert tuned.interval is not None
    assert tuned.interval.estimate == pytest.approx(0.9)
    unchanged = reconsider(opposed, INPUTS).scores["fine-tuned"].interval
    assert unchanged is not None
    assert unchanged.estimate == pytest.approx(0.5)


def test_an_arm_that_breaks_a_switched_on_constraint_is_out(equal: StoredDecision) -> None:
    cheap_tuning = replace(INPUTS, traffic=Traffic(queries_per_month=1e7))
    assert shipped(equal, cheap_tuning) == "fine-tuned"
    assert shipped(equal, cheap_tuning, Constraints(must_cite_sources=True)) == "rag"


def test_worth_of_answers_is_told_as_net_value(equal: StoredDecision) -> None:
    changed = reconsider(equal, replace(INPUTS, values=AnswerValues(1.0)))
    assert {value.arm for value in changed.net_values} == {"rag", "fine-tuned"}


def test_what_takes_long_is_left_out_unless_wanted(equal: StoredDecision) -> None:
    quick = reconsider(equal, INPUTS)
    assert quick.flips == ()
    assert quick.flip_map is None


def test_every_input_says_where_it_stands_and_how_far_it_goes(equal: StoredDecision) -> None:
    ranges = {one.axis: one for one in axis_ranges(equal)}
    assert set(ranges) == set(Axis)
    assert ranges[Axis.QUERIES_PER_MONTH].current == 1000
    assert ranges[Axis.RIGHT_ANSWER].current is None


def test_results_of_another_comparison_are_refused(equal: StoredDecision) -> None:
    flags = [True] * 120
    report, decision, _ = files({"rag": flags, "fine-tuned": flags}, [Slice.NEW_CASE] * 120)
    with pytest.raises(EvaluationError, match="not of one comparison"):
        read_stored_decision(report, decision, b"")


def test_what_was_prepared_is_what_is_decided_without(opposed: StoredDecision) -> None:
    unprepared = read_opposed()
    opposed.prepare()
    for coverage in (0.0, 0.3, 0.5, 1.0):
        inputs = replace(INPUTS, coverage=coverage)
        assert reconsider(opposed, inputs) == reconsider(unprepared, inputs)


def test_the_memory_of_a_decision_is_not_told_too_small(opposed: StoredDecision) -> None:
    opposed.prepare()
    evidence = opposed.measured.evidence
    assert evidence.bootstrap.resampled.nbytes + evidence.scores.nbytes < opposed.n_bytes < 100e6


def test_labels_given_since_are_the_scores_where_no_judge_decides() -> None:
    flags = [i % 2 == 0 for i in range(120)]
    # Whatever the metric said, people call right what the tuned arm says, and wrong what the other says.
    report, decision, results = files(
        {"rag": flags, "fine-tuned": [not flag for flag in flags]}, [Slice.NEW_CASE] * 120
    )
    said = {(f"q{i}", CORRECT, "b" if flags[i] else "a"): 1.0 for i in range(60)}
    said |= {(f"q{i}", CORRECT, "a" if flags[i] else "b"): 0.0 for i in range(60)}
    by_people = read_stored_decision(report, decision, results, said)
    found = reconsider(by_people, by_people.record.inputs)
    assert (found.recommendation.arm, found.recommendation.metric) == ("fine-tuned", CORRECT)
    assert [finding.severity for finding in by_people.comparison.findings] == [Severity.NOTE]
    with pytest.raises(EvaluationError, match="people must label 30 answers of each arm.*rag: 0 labels, 30 more"):
        read_stored_decision(report, decision, results, dict(list(said.items())[:20]))


def test_labels_given_since_correct_a_judge_that_decides() -> None:
    right = [i % 4 != 0 for i in range(120)]
    report, decision, results = files({"rag": right, "fine-tuned": right}, [Slice.NEW_CASE] * 120)
    judged = [text.replace("exact_match", "faithfulness") for text in (report, decision, results.decode())]
    record = read_record(judged[1])
    judged[1] = write_record(replace(record, results_hash=sha256(judged[2])))
    # Half of what the judge calls right is.
    said = {(f"q{i}", "faithfulness", "a" if right[i] else "b"): float(right[i] and i % 2 == 1) for i in range(120)}
    found = read_stored_decision(judged[0], judged[1], judged[2].encode(), said)
    reply = reconsider(found, found.record.inputs)
    assert reply.scores["rag"].interval.estimate == pytest.approx(0.5, abs=0.03)
    assert reply.scores["rag"].interval.method == METHOD
