"""A decision on file: what was decided, on which data, prices and margins, until when; and whether it still holds.

A decision is the arm to ship. When prices, volume, coverage or margin change it is made again from the stored scores,
with no model call. When data or model change the scores no longer speak, and what must be run again is named.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from advisor.arms import parse_arms
from advisor.data.dataset import Dataset, Split
from advisor.decision.constraints import ArmTraits
from advisor.decision.inputs import DecisionInputs, MeasuredArms
from advisor.decision.race_recommendation import require_declared
from advisor.errors import EvaluationError
from advisor.evidence.arm_use import ArmUse
from advisor.results.comparison import (
    BreakEven,
    Comparison,
    ConstraintOutcome,
    Flip,
    FlipMap,
    MetricSummary,
    NetValue,
    QuestionRecord,
    RaceOutcome,
    Verdict,
)
from advisor.results.plain_data import from_plain, to_json, to_plain
from lm.errors import ConfigError
from lm.files import sha256

SCHEMA_VERSION = 1
VALID_DAYS = 90

DOCUMENTS, TRAINING, TEST, CARD = "documents", "training questions", "test questions", "instruction and metrics"


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One decision, with all that it takes to make it again.

    Attributes:
        decided_at: Day and time, ISO 8601. expires_on: the last day on which the decision may be relied on unchecked.
        arm: What is to be shipped; None where there was no verdict.
        inputs: Prices, traffic, coverage, margin, worth of answers and constraints at the time.
        uses: What each candidate takes; traits: what constraints look at.
        monthly_usd: Total of each candidate; None without a price.
        data: Hash of each part of the data (`data_hashes`); model: of the model.
        race: How the race went; None where every arm was asked every question.
        raced: The deciding metric of each arm of a race, as its own questions show it.
        results_hash: SHA-256 of `results.jsonl`, which holds the scores.
        dtype: In which the base model computed; "" for a hosted one, and in records of before it was kept.
    """

    schema_version: int
    comparison_id: str
    decided_at: str
    expires_on: str
    verdict: Verdict
    arm: str | None
    headline: str
    metric: str
    seed: int
    inputs: DecisionInputs
    uses: Mapping[str, ArmUse] = field(hash=False)
    traits: Mapping[str, ArmTraits] = field(hash=False)
    monthly_usd: Mapping[str, float | None] = field(hash=False)
    data: Mapping[str, str] = field(hash=False)
    model: str
    results_hash: str
    settings: Mapping[str, Any] = field(hash=False)
    versions: Mapping[str, str] = field(hash=False)
    break_evens: tuple[BreakEven, ...] = ()
    net_values: tuple[NetValue, ...] = ()
    constraint_outcomes: tuple[ConstraintOutcome, ...] = ()
    flips: tuple[Flip, ...] = ()
    flip_map: FlipMap | None = None
    race: RaceOutcome | None = None
    dtype: str = ""
    raced: Mapping[str, MetricSummary] = field(default_factory=dict, hash=False)


class RecheckOutcome(StrEnum):
    """Whether a decision still holds."""

    HOLDS = "holds"
    CHANGED = "no longer holds"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, slots=True)
class MonthlyTotal:
    """What an arm cost a month when it was decided, and costs now; None without a price."""

    arm: str
    before_usd: float | None
    now_usd: float | None


@dataclass(frozen=True, slots=True)
class Recheck:
    """What became of a decision.

    Attributes:
        decided: The arm of the record; recommended: the arm now, None where none can be or the scores no longer speak.
        changes: What is not as it was, in words.
        reruns: What must be run again before anyone can tell; empty where only money changed.
    """

    outcome: RecheckOutcome
    explanation: str
    decided: str | None
    recommended: str | None
    changes: tuple[str, ...]
    reruns: tuple[str, ...]
    monthly: tuple[MonthlyTotal, ...]
    expires_on: str
    expired: bool


@dataclass(frozen=True, slots=True)
class Present:
    """How things stand when a decision is rechecked.

    Attributes:
        data: As `data_hashes` gives them; None where the data cannot be read.
        model: Identity of the model; None where it cannot be read.
        dtype: In which it would compute here; "" for a hosted model, and where it is not known.
        unreadable: Why, in sentences.
    """

    inputs: DecisionInputs
    data: Mapping[str, str] | None = field(hash=False)
    model: str | None
    today: date
    unreadable: tuple[str, ...] = ()
    dtype: str = ""


def data_hashes(dataset: Dataset) -> dict[str, str]:
    """SHA-256 of each part of a dataset, so that a change can be told from another."""
    card = dataset.card

    def questions(*splits: Split) -> list[Any]:
        chosen = [e for e in dataset.examples if e.split in splits]
        return [e.row for e in chosen]

    parts: dict[str, Any] = {
        DOCUMENTS: [[d.id, d.title, d.text] for d in dataset.documents],
        TRAINING: questions(Split.TRAIN, Split.VALIDATION),
        TEST: questions(Split.TEST),
        CARD: [card.task, card.instruction, card.max_output_tokens, list(card.metrics), card.schema],
    }
    return {name: text_hash(json.dumps(part, ensure_ascii=False, sort_keys=True)) for name, part in parts.items()}


def text_hash(text: str) -> str:
    """SHA-256 of a text."""
    return sha256(text)


def expiry(decided_at: str, valid_days: int) -> str:
    """The last day of a decision, ISO 8601.

    Raises:
        ConfigError: not a whole number of days from 1 to 3650.
    """
    if not 1 <= valid_days <= 3650:
        raise ConfigError(f"a decision cannot be valid for {valid_days} days; give a whole number from 1 to 3650")
    return (datetime.fromisoformat(decided_at).date() + timedelta(days=valid_days)).isoformat()


def record_decision(
    comparison: Comparison,
    dataset: Dataset,
    measured: MeasuredArms,
    inputs: DecisionInputs,
    *,
    settings: Mapping[str, Any],
    model: str,
    results: str,
    valid_days: int = VALID_DAYS,
) -> DecisionRecord:
    """The record of a finished comparison.

    Args:
        measured: The candidates it was decided on.
        settings: Those of the comparison, with absolute paths.
        model: Identity of the model; results: content of `results.jsonl`.
    Raises:
        ConfigError: impossible `valid_days`.
    """
    recommendation = comparison.recommendation
    totals = measured.monthly_usd(inputs)
    return DecisionRecord(
        schema_version=SCHEMA_VERSION,
        comparison_id=comparison.id,
        decided_at=comparison.created_at,
        expires_on=expiry(comparison.created_at, valid_days),
        verdict=recommendation.verdict,
        arm=recommendation.arm,
        headline=recommendation.headline,
        metric=recommendation.metric,
        seed=measured.evidence.seed,
        inputs=inputs,
        uses=dict(measured.uses),
        traits=dict(measured.traits),
        monthly_usd={arm: _priced(total) for arm, total in totals.items()},
        data=data_hashes(dataset),
        model=model,
        results_hash=text_hash(results),
        settings=dict(settings),
        versions=dict(comparison.versions),
        break_evens=comparison.break_evens,
        net_values=comparison.net_values,
        constraint_outcomes=comparison.constraints,
        flips=comparison.flips,
        flip_map=comparison.flip_map,
        race=comparison.race,
        dtype=comparison.dtype,
        raced=dict(measured.raced),
    )


def _priced(total: float | None) -> float | None:
    return None if total is None or total == float("inf") else total


def write_record(record: DecisionRecord) -> str:
    """The record as JSON text."""
    return to_json(to_plain(record), indent=2) + "\n"


def recorded_model(content: bytes | None) -> str | None:
    """Identity of the model that a decision on file was measured with; None where there is none that can be read."""
    if content is None:
        return None
    try:
        return read_record(content.decode("utf-8")).model
    except (ValueError, EvaluationError):
        return None


def read_record(text: str, source: str = "decision.json") -> DecisionRecord:
    """The record that `write_record` wrote.

    Raises:
        EvaluationError: not JSON, of another schema version, or a value is missing or of the wrong type.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"{source}: not JSON ({error}); compare again to write the record again") from None
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        found = content.get("schema_version") if isinstance(content, dict) else None
        raise EvaluationError(
            f"{source}: not a decision record of version {SCHEMA_VERSION} (schema_version is {found!r}); compare again"
        )
    # At first constraints stood beside what was declared.
    if "constraints" in content and isinstance(content.get("inputs"), dict):
        content["inputs"].setdefault("constraints", content.pop("constraints"))
    try:
        record = from_plain(DecisionRecord, content)
        date.fromisoformat(record.expires_on)
    except (EvaluationError, ConfigError, ValueError) as error:
        raise EvaluationError(f"{source}: {error} Compare again to write it.") from None
    return record


def recheck(record: DecisionRecord, candidates: Mapping[str, Sequence[QuestionRecord]], present: Present) -> Recheck:
    """Whether a decision still holds, from the stored scores alone.

    Args:
        candidates: Records of each candidate, same questions in the same order, from `results.jsonl`.
    """
    measured = MeasuredArms.from_records(
        {arm: candidates[arm] for arm in record.uses if arm in candidates},
        record.metric,
        record.uses,
        record.traits,
        seed=record.seed,
        race=record.race,
        raced=record.raced,
    )
    data_changes, reruns = _data_changes(record, present)
    changes = (*data_changes, *_dtype_change(record, present), *_input_changes(record.inputs, present.inputs))
    totals = measured.monthly_usd(present.inputs)
    monthly = tuple(MonthlyTotal(arm, record.monthly_usd.get(arm), _priced(totals[arm])) for arm in record.uses)
    expired = present.today > date.fromisoformat(record.expires_on)
    outcome, explanation, now = _judgement(record, measured, present, bool(reruns), expired)
    return Recheck(outcome, explanation, record.arm, now, changes, reruns, monthly, record.expires_on, expired)


def _judgement(
    record: DecisionRecord, measured: MeasuredArms, present: Present, is_stale: bool, expired: bool
) -> tuple[RecheckOutcome, str, str | None]:
    unknown = RecheckOutcome.UNKNOWN
    if record.arm is None:
        return unknown, f"Nothing was decided: {record.headline}", None
    if present.unreadable:
        return unknown, " ".join(present.unreadable), None
    if (end := _shutdown(record, present)) is not None:
        return RecheckOutcome.CHANGED, end, None
    if is_stale:
        return unknown, "The stored scores are of other data or another model; compare again.", None
    if record.race is not None:
        try:
            require_declared(
                record.race, present.inputs.margin, present.inputs.coverage, by_score=present.inputs.values is None
            )
        except EvaluationError as error:
            return unknown, f"{_sentence(str(error))}.", None
    if measured.recommended(record.inputs) != record.arm:
        return unknown, "From its own inputs this version does not come to the decision on record; compare again.", None
    now = measured.recommended(present.inputs)
    if now is None:
        return RecheckOutcome.CHANGED, f"{record.arm} was decided, and now no arm can be recommended.", None
    if now != record.arm:
        return RecheckOutcome.CHANGED, f"{record.arm} was decided, and now it would be {now}.", now
    if expired:
        return unknown, f"It would still be {now}, but the record expired on {record.expires_on}: compare again.", now
    return RecheckOutcome.HOLDS, f"It is still {now}.", now


def _shutdown(record: DecisionRecord, present: Present) -> str | None:
    """That the model of the decided arm answers no more, by the prices of now or of then; None where it does."""
    use = record.uses.get(record.arm or "")
    if use is None or use.device is not None:
        return None
    for prices in (present.inputs.prices, record.inputs.prices):
        price = prices.models.get(use.model)
        if price is not None and price.shutdown_on is not None:
            gone = price.shutdown_on <= present.today.isoformat()
            return f"{use.model}, the model of {record.arm}, was shut down on {price.shutdown_on}." if gone else None
    return None


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _data_changes(record: DecisionRecord, present: Present) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What changed of data and model, and what that makes necessary."""
    changed = [part for part in record.data if present.data is not None and present.data.get(part) != record.data[part]]
    if present.model is not None and present.model != record.model:
        changed.append("model")
    retrieving = [arm for arm, traits in record.traits.items() if traits.retrieves]
    named = parse_arms(record.settings.get("arms") or record.settings.get("pipelines") or list(record.traits))
    needy = {arm.id for arm in named if arm.row.needs_training_questions}
    taught = [arm for arm, traits in record.traits.items() if traits.tuned or arm in needy]
    needed = {
        DOCUMENTS: ("index the documents and let those that read them answer again", retrieving),
        TRAINING: ("tune again, choose examples again and let those arms answer again", taught),
        TEST: ("ask the test questions again", list(record.traits)),
        CARD: ("ask all questions by the new instruction, and score by the new metrics", list(record.traits)),
        "model": ("tune, answer and score again with the new model", list(record.traits)),
    }
    reruns = [f"{needed[part][0]}: {', '.join(needed[part][1]) or 'no candidate'}" for part in changed]
    return tuple(f"{part}: changed" for part in changed), tuple(reruns)


def _dtype_change(record: DecisionRecord, present: Present) -> tuple[str, ...]:
    """That the model computes otherwise here: some answers differ for that alone, and the stored scores stay."""
    if not record.dtype or not present.dtype or record.dtype == present.dtype:
        return ()
    return (f"dtype: was {record.dtype}, is {present.dtype} here, for which alone some answers would differ",)


def _input_changes(before: DecisionInputs, now: DecisionInputs) -> tuple[str, ...]:
    """Every leaf that differs, as `name: before, now after`; days and sources of equal prices do not count."""
    old, new = dict(_leaves(to_plain(before))), dict(_leaves(to_plain(_known_then(before, now))))
    return tuple(
        f"{name}: was {_shown(old.get(name))}, is {_shown(new.get(name))}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name) and name.rsplit(".", 1)[-1] not in _NOT_MONEY
    )


_NOT_MONEY = ("as_of", "source", "label", "shutdown_source")


def _known_then(before: DecisionInputs, now: DecisionInputs) -> DecisionInputs:
    """The inputs of now with prices only of what the list of then had: the others bear on no arm that was compared."""
    then, prices = before.prices, now.prices
    return replace(
        now,
        prices=replace(
            prices,
            machines={name: price for name, price in prices.machines.items() if name in then.machines},
            models={name: price for name, price in prices.models.items() if name in then.models},
            embedders={name: price for name, price in prices.embedders.items() if name in then.embedders},
        ),
    )


def _leaves(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        return [(prefix, value)]
    return [leaf for key, item in value.items() for leaf in _leaves(item, f"{prefix}.{key}" if prefix else str(key))]


def _shown(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,.9g}"
    return "not declared" if value is None else str(value)
