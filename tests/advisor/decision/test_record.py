import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

import pytest

from advisor.data.dataset import Dataset, DatasetCard, Document, Example, Slice, Split, Task
from advisor.decision.constraints import ArmTraits, Constraints
from advisor.decision.inputs import DecisionInputs, MeasuredArms
from advisor.decision.record import (
    CARD,
    DOCUMENTS,
    TEST,
    TRAINING,
    DecisionRecord,
    Present,
    Recheck,
    RecheckOutcome,
    data_hashes,
    expiry,
    read_record,
    recheck,
    record_decision,
    write_record,
)
from advisor.errors import EvaluationError
from advisor.evidence.arm_use import ArmUse
from advisor.money.cost import Traffic
from advisor.money.prices import MachinePrice, ModelPrice, PriceList
from advisor.results.answer import Answer, BuildUsage
from advisor.results.comparison import Comparison, Flip, FlipPoint, Interval, QuestionRecord, Recommendation, Verdict
from advisor.results.score import Score
from lm.completion import FinishReason, Usage
from lm.errors import ConfigError

N_QUESTIONS = 120
CARD_OF_DATA = DatasetCard("x", Task.CLASSIFICATION, "en", "MIT", ("exact_match",), "", "Name the label.")
DATASET = Dataset(
    CARD_OF_DATA,
    (Document("d", "Title", "Text"),),
    tuple(
        Example(f"{split}-{i}", f"{split} {i}?", ("a",), ("d",), f"{split}-{i}", split)
        for split in Split
        for i in range(3)
    ),
)
PRICES = PriceList(
    "2026-01-01",
    "s",
    {"cpu": MachinePrice(0.1, "m", "2026-01-01", "s")},
    {"hosted": ModelPrice(1.0, 1.0, "2026-01-01", "s")},
    {},
)
INPUTS = DecisionInputs(PRICES, Traffic(queries_per_month=1000), coverage=0.5, margin=0.1)
EXACT = Interval(0.0, 0.0, 0.0)


def tokens(n: float) -> Interval:
    return Interval(n, n, n)


# Reading passages is paid by the token; the tuned arm costs its training, and then hardly anything.
USES = {
    "rag": ArmUse("hosted", "", None, tokens(1000), tokens(0), EXACT, None),
    "fine-tuned": ArmUse(
        "local", "", "cpu", tokens(50), tokens(5), EXACT, Interval(0.001, 0.001, 0.001),
        training=BuildUsage(wall_s=360_000, device="cpu"),
    ),
}  # fmt: skip
TRAITS = {"rag": ArmTraits(True, False, None), "fine-tuned": ArmTraits(False, True, "cpu")}


def answered(arm: str, right: Sequence[bool]) -> list[QuestionRecord]:
    return [
        QuestionRecord(
            arm, f"q{i}", f"{i}?", ("a",), (), Slice.NEW_CASE, f"g{i}", f"c{i // 3}",
            Answer("a" if ok else "b", Usage(), FinishReason.STOP, (), ""), {"exact_match": Score(float(ok))},
        )
        for i, ok in enumerate(right)
    ]  # fmt: skip


EQUAL = {
    "rag": answered("rag", [i % 2 == 0 for i in range(N_QUESTIONS)]),
    "fine-tuned": answered("fine-tuned", [i % 2 == 0 for i in range(N_QUESTIONS)]),
}


def measured(candidates: Mapping[str, Sequence[QuestionRecord]]) -> MeasuredArms:
    return MeasuredArms.from_records(candidates, "exact_match", USES, TRAITS)


def decided(
    arm: str | None = "rag",
    candidates: Mapping[str, Sequence[QuestionRecord]] = EQUAL,
    constraints: Constraints = Constraints(),  # noqa: B008
    valid_days: int = 90,
) -> DecisionRecord:
    verdict = Verdict.NO_CLEAR_WINNER if arm else Verdict.INSUFFICIENT_DATA
    comparison = Comparison(
        id="x-1", created_at="2026-03-01T12:00:00+00:00", card=CARD_OF_DATA, dataset_hash="", n_documents=1,
        split_sizes={}, slice_sizes={}, model="hosted", arms=(), differences=(),
        recommendation=Recommendation(
            verdict, arm, "In a sentence.", (), "exact_match", 0.1, 0.5, {}, {}, None, None
        ),
        findings=(), settings={"dataset": "x", "training_curves": {"a": [1]}}, hashes={}, versions={"numpy": "2"},
        prices_as_of="", prices_source="", wall_s=0.0,
        flips=(Flip("queries_per_month", 1000, None, FlipPoint(12_000.0, "fine-tuned"), 0, 1e9),),
    )  # fmt: skip
    return record_decision(
        comparison, DATASET, measured(candidates), replace(INPUTS, constraints=constraints),
        settings={"dataset": "/x"}, model="m-1", results="rows", valid_days=valid_days,
    )  # fmt: skip


def present(
    inputs: DecisionInputs = INPUTS,
    data: Mapping[str, str] | None = None,
    model: str | None = "m-1",
    today: date = date(2026, 4, 1),
    unreadable: tuple[str, ...] = (),
) -> Present:
    return Present(inputs, data_hashes(DATASET) if data is None else data, model, today, unreadable)


def checked(record: DecisionRecord, now: Present) -> Recheck:
    return recheck(record, EQUAL, now)


def test_a_record_holds_all_it_was_decided_on_and_is_read_back_equal() -> None:
    record = decided()
    assert read_record(write_record(record)) == record
    assert record.expires_on == "2026-05-30"
    assert set(record.data) == {DOCUMENTS, TRAINING, TEST, CARD}
    assert record.flips[0].above == FlipPoint(12_000.0, "fine-tuned")
    assert record.settings == {"dataset": "/x"}
    assert record.monthly_usd["rag"] == pytest.approx(1.0)


def test_with_nothing_changed_the_decision_holds() -> None:
    found = checked(decided(), present())
    assert (found.outcome, found.recommended, found.changes, found.reruns) == (RecheckOutcome.HOLDS, "rag", (), ())
    assert not found.expired


@pytest.mark.parametrize(
    ("queries_per_month", "outcome", "arm"),
    [(2_000, RecheckOutcome.HOLDS, "rag"), (50_000, RecheckOutcome.CHANGED, "fine-tuned")],
)
def test_more_volume_is_decided_again_from_stored_scores(
    queries_per_month: float, outcome: RecheckOutcome, arm: str
) -> None:
    traffic = replace(INPUTS.traffic, queries_per_month=queries_per_month)
    found = checked(decided(), present(replace(INPUTS, traffic=traffic)))
    assert (found.outcome, found.recommended) == (outcome, arm)
    assert found.changes == (f"traffic.queries_per_month: was 1,000, is {queries_per_month:,}",)
    rag = next(total for total in found.monthly if total.arm == "rag")
    assert (rag.before_usd, rag.now_usd) == (pytest.approx(1.0), pytest.approx(queries_per_month / 1000))


def test_a_price_that_rises_enough_turns_the_decision() -> None:
    dear = replace(PRICES, models={"hosted": ModelPrice(50.0, 1.0, "2026-04-01", "elsewhere")})
    found = checked(decided(), present(replace(INPUTS, prices=dear)))
    assert found.outcome is RecheckOutcome.CHANGED
    assert found.changes == ("prices.models.hosted.usd_per_million_input_tokens: was 1, is 50",)


def test_a_new_day_or_source_of_equal_prices_is_no_change() -> None:
    same = replace(PRICES, as_of="2026-04-01", models={"hosted": ModelPrice(1.0, 1.0, "2026-04-01", "elsewhere")})
    assert checked(decided(), present(replace(INPUTS, prices=same))).changes == ()


def test_a_price_that_is_gone_leaves_the_arm_without_a_total() -> None:
    gone = replace(PRICES, models={})
    found = checked(decided(), present(replace(INPUTS, prices=gone)))
    assert found.outcome is RecheckOutcome.CHANGED
    assert next(total for total in found.monthly if total.arm == "rag").now_usd is None


def test_a_budget_no_arm_meets_any_more_ends_the_decision() -> None:
    record = decided(constraints=Constraints(monthly_budget_usd=5.0))
    traffic = replace(INPUTS.traffic, queries_per_month=50_000)
    found = checked(record, present(replace(record.inputs, traffic=traffic)))
    assert (found.outcome, found.recommended) == (RecheckOutcome.CHANGED, None)
    assert "no arm can be recommended" in found.explanation


@pytest.mark.parametrize(
    ("changed", "part", "arms"),
    [
        (replace(DATASET, documents=(Document("d", "Title", "Other text"),)), DOCUMENTS, "rag"),
        (
            replace(DATASET, examples=tuple(replace(e, answers=("z",)) if e.split is Split.TRAIN else e
                                            for e in DATASET.examples)),
            TRAINING, "fine-tuned",
        ),
        (
            replace(DATASET, examples=tuple(e for e in DATASET.examples if e.id != "test-0")),
            TEST, "rag, fine-tuned",
        ),
        (replace(DATASET, card=replace(CARD_OF_DATA, instruction="Other.")), CARD, "rag, fine-tuned"),
    ],
)  # fmt: skip
def test_changed_data_cannot_be_judged_and_only_what_it_touches_is_to_be_run_again(
    changed: Dataset, part: str, arms: str
) -> None:
    found = checked(decided(), present(data=data_hashes(changed)))
    assert found.outcome is RecheckOutcome.UNKNOWN
    assert found.changes == (f"{part}: changed",)
    (rerun,) = found.reruns
    assert rerun.endswith(f": {arms}")


def test_arms_built_of_training_questions_are_run_again_when_these_change_tuned_or_not() -> None:
    record = decided()
    untuned = dict.fromkeys(("base", "few-shot", "nearest-question"), ArmTraits(False, False, "cpu"))
    record = replace(record, traits={**untuned, **record.traits})
    changed = replace(DATASET, examples=tuple(e for e in DATASET.examples if e.split is not Split.TRAIN))
    (rerun,) = checked(record, present(data=data_hashes(changed))).reruns
    assert rerun.endswith(": few-shot, nearest-question, fine-tuned")


def test_another_model_cannot_be_judged() -> None:
    found = checked(decided(), present(model="m-2"))
    assert (found.outcome, found.changes) == (RecheckOutcome.UNKNOWN, ("model: changed",))
    assert found.reruns[0].startswith("tune, answer and score again with the new model: rag, fine-tuned")


def test_another_dtype_is_named_and_leaves_the_decision() -> None:
    record = replace(decided(), dtype="float32")
    assert read_record(write_record(record)) == record
    found = checked(record, replace(present(), dtype="bfloat16"))
    assert (found.outcome, found.reruns) == (RecheckOutcome.HOLDS, ())
    assert found.changes == ("dtype: was float32, is bfloat16 here, for which alone some answers would differ",)
    for one, here in ((record, "float32"), (record, ""), (decided(), "bfloat16")):
        assert checked(one, replace(present(), dtype=here)).changes == ()


def test_a_record_of_before_dtypes_were_kept_is_read() -> None:
    raw = json.loads(write_record(decided()))
    assert raw.pop("dtype") == ""
    assert read_record(json.dumps(raw)).dtype == ""


def test_what_cannot_be_read_cannot_be_judged() -> None:
    found = checked(decided(), present(model=None, unreadable=("The model cannot be read: gone.",)))
    assert (found.outcome, found.explanation) == (RecheckOutcome.UNKNOWN, "The model cannot be read: gone.")


def test_past_its_day_a_decision_that_stands_is_no_longer_vouched_for() -> None:
    assert checked(decided(), present(today=date(2026, 5, 30))).outcome is RecheckOutcome.HOLDS
    late = checked(decided(), present(today=date(2026, 5, 31)))
    assert (late.outcome, late.expired, late.recommended) == (RecheckOutcome.UNKNOWN, True, "rag")
    assert "expired on 2026-05-30" in late.explanation


def test_an_expired_decision_that_changed_is_said_to_have_changed() -> None:
    traffic = replace(INPUTS.traffic, queries_per_month=50_000)
    late = checked(decided(), present(replace(INPUTS, traffic=traffic), today=date(2027, 1, 1)))
    assert (late.outcome, late.expired) == (RecheckOutcome.CHANGED, True)


def test_without_a_decision_there_is_nothing_to_hold() -> None:
    found = checked(decided(arm=None), present())
    assert found.outcome is RecheckOutcome.UNKNOWN
    assert "Nothing was decided: In a sentence." in found.explanation


def test_a_record_that_does_not_follow_from_its_own_inputs_is_not_trusted() -> None:
    found = checked(decided(arm="fine-tuned"), present())
    assert found.outcome is RecheckOutcome.UNKNOWN
    assert "does not come to the decision on record" in found.explanation


@pytest.mark.parametrize("valid_days", [0, -1, 3651])
def test_impossible_validity_is_refused_by_name(valid_days: int) -> None:
    with pytest.raises(ConfigError, match=f"valid for {valid_days} days"):
        expiry("2026-03-01T12:00:00+00:00", valid_days)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ("[]", "not a decision record of version 1"),
        ('{"schema_version": 2}', "schema_version is 2"),
        ('{"schema_version": 1}', "comparison_id is missing"),
    ],
)
def test_a_damaged_record_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(EvaluationError, match=complaint) as caught:
        read_record(text, "here/decision.json")
    assert "here/decision.json" in str(caught.value)


@pytest.mark.parametrize(("key", "value"), [("expires_on", "soon"), ("verdict", "maybe"), ("uses", 3)])
def test_a_record_with_a_wrong_value_is_refused(key: str, value: object) -> None:
    content = json.loads(write_record(decided())) | {key: value}
    with pytest.raises(EvaluationError, match=r"decision\.json"):
        read_record(json.dumps(content))


def test_a_record_with_an_impossible_price_is_refused() -> None:
    content = json.loads(write_record(decided()))
    content["inputs"]["margin"] = 2
    with pytest.raises(EvaluationError, match=r"margin is 2"):
        read_record(json.dumps(content))


def test_constraints_that_an_older_record_keeps_beside_its_inputs_are_read() -> None:
    limits = Constraints(monthly_budget_usd=5.0)
    raw = json.loads(write_record(decided(constraints=limits)))
    raw["constraints"] = raw["inputs"].pop("constraints")
    assert read_record(json.dumps(raw)).inputs.constraints == limits


def with_shutdown(day: str) -> PriceList:
    price = replace(PRICES.models["hosted"], shutdown_on=day, shutdown_source="s")
    return replace(PRICES, models={"hosted": price})


@pytest.mark.parametrize(
    ("day", "outcome"), [("2026-04-01", RecheckOutcome.CHANGED), ("2026-04-02", RecheckOutcome.HOLDS)]
)
def test_a_decision_for_a_model_fails_from_the_day_it_is_shut_down(day: str, outcome: RecheckOutcome) -> None:
    result = checked(decided(), present(replace(INPUTS, prices=with_shutdown(day))))
    assert result.outcome is outcome
    assert (f"hosted, the model of rag, was shut down on {day}." == result.explanation) == (day == "2026-04-01")


def test_prices_of_what_was_not_compared_are_no_change() -> None:
    more = replace(PRICES, models={**PRICES.models, "another": PRICES.models["hosted"]})
    assert checked(decided(), present(replace(INPUTS, prices=more))).changes == ()
