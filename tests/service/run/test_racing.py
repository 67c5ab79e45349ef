"""Races through the whole run: who is asked what, what the report says of it, and what a stop changes."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from advisor.data.dataset import Dataset
from advisor.data.prompt import QuestionOnly
from advisor.decision.constraints import Constraints
from advisor.decision.inputs import Axis
from advisor.decision.record import RecheckOutcome
from advisor.decision.what_if import read_stored_decision, reconsider
from advisor.errors import EvaluationError
from advisor.results.answer import Pipeline
from advisor.results.answer_values import AnswerValues
from advisor.results.comparison import ArmRole, Comparison, Verdict
from lm.completion import GenerationConfig, Messages
from lm.errors import ConfigError
from lm.fake import FakeLM
from lm.language_model import LanguageModel
from service.run.arm import Arm, answer_in_turn
from service.run.finished.recheck import recheck_file
from service.run.progress import OnProgress, Progress
from service.run.settings import ComparisonSettings
from service.run.workflow import run_comparison
from service.store.data_directory import DataDirectory

if TYPE_CHECKING:
    from conftest import Workplace

ARMS = ("base", "few-shot", "rag")
RIGHT = {"base": 0, "few-shot": 5, "rag": 9}
N_TEST = 99


class RacingComposition:
    """Arms that are right for so many in ten questions; counts the questions each was asked."""

    stage_markers: Sequence[Path] = ()
    answered = staticmethod(answer_in_turn)

    def __init__(self, settings: ComparisonSettings, stop_after: int | None) -> None:
        self.settings = settings
        self.asked: dict[str, int] = {}
        self.stop_after = stop_after
        self.model = FakeLM(lambda _: "", name="scripted")
        self.judge = None

    @property
    def embedder(self) -> object:
        class Nothing:
            name = fingerprint = "none"

        return Nothing()

    def model_of(self, _: str) -> LanguageModel:
        return self.model

    def arms(self, dataset: Dataset) -> Iterator[Arm]:
        for kind in (*self.settings.arms, "majority"):
            yield self.arm(kind, dataset)

    def arm(self, kind: str, _: Dataset) -> Arm:
        def answer(prompt: Messages) -> str:
            self.asked[kind] = self.asked.get(kind, 0) + 1
            if self.stop_after is not None and sum(self.asked.values()) > self.stop_after:
                raise KeyboardInterrupt
            number = "".join(filter(str.isdigit, prompt[-1].content))
            return f"c{number}" if hash_of(number) < RIGHT.get(kind, 0) else "wrong"

        model = FakeLM(answer, name=f"scripted {kind}", context_tokens=4096)
        model.base = self.model  # type: ignore[attr-defined]  # as of an adapter: the arms start from one model
        role = ArmRole.REFERENCE if kind == "majority" else ArmRole.CANDIDATE
        pipeline = Pipeline(kind, model, QuestionOnly(""), GenerationConfig())
        # Retrieval arms without passages are found out by the audit.
        cites = kind == "rag" and self.settings.constraints.must_cite_sources
        return Arm(pipeline, role, kind, retrieves=cites, device="cpu")

    def close(self) -> None:
        pass


def hash_of(number: str) -> int:
    """The same digit for all arms, so that a better one is right wherever a worse one is."""
    return int(number) * 7 % 10


class RaceCourse:
    """A data directory and a dataset for races."""

    def __init__(self, workplace: "Workplace") -> None:
        self.folder = workplace.folder
        self.directory = workplace.directory
        self.settings = ComparisonSettings(str(self.folder), arms=ARMS, race=True)
        self.compositions: list[RacingComposition] = []
        self.stop_after: int | None = None

    def compose(self, settings: ComparisonSettings, _: DataDirectory, __: OnProgress) -> RacingComposition:
        self.compositions.append(RacingComposition(settings, self.stop_after))
        return self.compositions[-1]

    def run(self, **changes: object) -> Comparison:
        settings = replace(self.settings, **changes)  # type: ignore[arg-type]
        return run_comparison(settings, self.directory, self.compose, "scripted")  # type: ignore[arg-type]

    def file(self, comparison: Comparison, name: str) -> Path:
        return self.directory.comparison(comparison.id) / name


@pytest.fixture
def course(workplace: "Workplace") -> RaceCourse:
    return RaceCourse(workplace)


def n_questions(comparison: Comparison) -> dict[str, int]:
    return {arm.kind: arm.n_questions for arm in comparison.arms}


def test_arms_that_are_surely_worse_are_asked_no_more_and_the_best_wins(course: RaceCourse) -> None:
    comparison = course.run()
    race = comparison.race
    assert race is not None
    assert (comparison.recommendation.verdict, comparison.recommendation.arm) == (Verdict.WINNER, "rag")
    assert [drop.arm for drop in race.drops] == ["base", "few-shot"]
    asked = n_questions(comparison)
    assert asked["base"] < asked["few-shot"] == asked["rag"] == asked["majority"] < N_TEST
    assert race.n_evaluations == sum(asked[arm] for arm in ARMS)
    # Latency is measured on the questions of the first block, one at a time.
    (composition,) = course.compositions
    assert {arm: composition.asked[arm] - asked[arm] for arm in ARMS} == dict.fromkeys(ARMS, 20)
    assert composition.asked["majority"] == asked["majority"]


def test_pairs_are_compared_on_the_questions_both_were_asked(course: RaceCourse) -> None:
    comparison = course.run()
    asked = n_questions(comparison)
    pairs = {(d.first, d.second): d.n for d in comparison.differences}
    assert pairs == {
        ("rag", "base"): asked["base"], ("rag", "few-shot"): asked["few-shot"], ("base", "few-shot"): asked["base"]
    }  # fmt: skip
    assert all(d.interval.method.startswith("confidence sequence") for d in comparison.differences)
    rows = [json.loads(line) for line in course.file(comparison, "results.jsonl").read_text().splitlines()]
    assert len(rows) == sum(asked.values())
    assert not any(
        score["value"] is None for row in rows for name, score in row["scores"].items() if name == "exact_match"
    )


def test_unasked_questions_are_neither_wrong_nor_unscored(course: RaceCourse) -> None:
    comparison = course.run()
    for arm in comparison.arms:
        overall = arm.metric("exact_match")
        assert overall is not None and overall.interval is not None
        assert (overall.n, overall.n_unscored) == (arm.n_questions, 0)
        assert overall.interval.method == "confidence sequence"
        assert overall.interval.low <= overall.interval.estimate <= overall.interval.high
    few_shot = comparison.arm("few-shot").metric("exact_match")
    assert few_shot is not None and few_shot.interval is not None and few_shot.interval.estimate > 0.3


def test_a_stopped_race_goes_on_where_it_was_and_ends_the_same(course: RaceCourse, tmp_path: Path) -> None:
    whole = course.run()
    n_asked = sum(course.compositions[0].asked.values())
    course.directory = DataDirectory(tmp_path / "other home")
    course.compositions.clear()
    course.stop_after = 50
    with pytest.raises(KeyboardInterrupt):
        course.run()
    course.stop_after = None
    resumed = course.run()
    assert (resumed.race, resumed.differences) == (whole.race, whole.differences)
    assert resumed.recommendation == whole.recommendation
    # Of the block at which it was stopped, the answers given were not yet kept.
    assert sum(sum(one.asked.values()) for one in course.compositions) < n_asked + 20


def test_the_reports_say_who_left_when_and_what_was_saved(course: RaceCourse) -> None:
    comparison = course.run()
    assert comparison.race is not None
    text = course.file(comparison, "report.md").read_text(encoding="utf-8")
    assert "## The race" in text
    assert f"{comparison.race.n_evaluations} of {3 * N_TEST} answers" in text
    assert "confidence sequence" in text
    page = course.file(comparison, "report.html").read_text(encoding="utf-8")
    assert "Who left when" in page and "Who left when" in text


def test_only_money_can_flip_a_race_and_a_recheck_says_so(course: RaceCourse) -> None:
    comparison = course.run()
    notes = {flip.axis: flip.note for flip in comparison.flips}
    assert all(notes[axis] for axis in (Axis.COVERAGE, Axis.MARGIN, Axis.RIGHT_ANSWER))
    assert not notes[Axis.QUERIES_PER_MONTH]
    path = course.file(comparison, "decision.json")

    def check(**changes: float) -> RecheckOutcome:
        return recheck_file(path, lambda *_: "scripted", today=date.today(), **changes).outcome  # type: ignore[arg-type]

    assert check() is RecheckOutcome.HOLDS
    assert check(margin=0.5) is RecheckOutcome.UNKNOWN
    assert check(coverage=0.9) is RecheckOutcome.UNKNOWN


def test_a_race_is_decided_again_from_its_scores_for_other_costs_only(course: RaceCourse) -> None:
    comparison = course.run()
    report, decision = (course.file(comparison, name).read_text("utf-8") for name in ("report.json", "decision.json"))
    stored = read_stored_decision(report, decision, course.file(comparison, "results.jsonl").read_bytes())
    inputs = stored.record.inputs
    more = replace(inputs, traffic=replace(inputs.traffic, queries_per_month=1e6))
    assert reconsider(stored, more).recommendation.arm == "rag"
    with pytest.raises(EvaluationError, match=r"raced by score for a margin of 0\.02"):
        reconsider(stored, replace(inputs, margin=0.1))


def test_an_arm_that_breaks_a_constraint_does_not_push_others_out(course: RaceCourse) -> None:
    comparison = course.run(constraints=Constraints(must_cite_sources=True))
    assert comparison.race is None  # rag alone may be shipped, so that there is nothing to race
    assert any("No race was run" in finding.message for finding in comparison.findings)
    assert set(n_questions(comparison).values()) == {N_TEST}


def test_a_winner_that_is_found_to_break_a_constraint_leaves_no_verdict(course: RaceCourse) -> None:
    comparison = course.run(constraints=Constraints(min_abstention_recall=0.5))
    recommendation = comparison.recommendation
    assert (recommendation.verdict, recommendation.arm) == (Verdict.INSUFFICIENT_DATA, None)
    assert comparison.flips == ()


def test_too_few_questions_are_asked_in_full_and_said_to_be_too_few(course: RaceCourse) -> None:
    comparison = course.run(limit=20)
    assert comparison.race is None
    assert comparison.recommendation.verdict is Verdict.INSUFFICIENT_DATA
    assert set(n_questions(comparison).values()) == {20}


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"training_seeds": 2}, "cannot judge training seeds"), ({"values": AnswerValues(1.0)}, "need net values")],
)
def test_what_a_race_cannot_do_is_refused_by_name(course: RaceCourse, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(course.settings, **changes)  # type: ignore[arg-type]


def test_progress_ends_each_arm_complete(course: RaceCourse) -> None:
    seen: list[Progress] = []
    run_comparison(course.settings, course.directory, course.compose, "scripted", on_progress=seen.append)  # type: ignore[arg-type]
    last = {progress.arm: progress for progress in seen if progress.stage == "answer"}
    assert set(last) == {*ARMS, "majority"}
    assert all(progress.done == progress.total for progress in last.values())
