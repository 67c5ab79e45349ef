"""Several trainings of one arm, through the whole run: what is asked, deployed, counted and reported."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine

from advisor.data.dataset import Dataset
from advisor.data.files import load_dataset
from advisor.data.prompt import QuestionOnly
from advisor.decision.record import RecheckOutcome, read_record
from advisor.results.answer import BuildUsage, Pipeline
from advisor.results.comparison import ArmRole, Comparison
from lm.completion import GenerationConfig, Messages
from lm.fake import FakeLM
from lm.language_model import LanguageModel
from lm.model_identity import model_identity
from service.run.arm import Arm, answer_in_turn, trained_with_seeds
from service.run.composition import LocalComposition
from service.run.estimate import estimate_comparison
from service.run.finished.recheck import recheck_file
from service.run.measuring import LATENCY_QUESTIONS
from service.run.progress import OnProgress, Progress
from service.run.settings import ComparisonSettings
from service.run.workflow import run_comparison
from service.store.data_directory import DataDirectory

if TYPE_CHECKING:
    from conftest import Workplace

N_TEST = 99
RIGHT = {0: 3, 1: 8, 2: 7}
LOSSES = {0: 0.5, 1: 0.4, 2: 0.2}


class SeededComposition:
    """`base` never knows; `fine-tuned` is right for so many in ten questions, by its training seed."""

    stage_markers: Sequence[Path] = ()
    answered = staticmethod(answer_in_turn)

    def __init__(self, settings: ComparisonSettings) -> None:
        self.settings = settings
        self.model = FakeLM(lambda _: "", name="scripted")
        self.models: dict[str, FakeLM] = {}
        self.judge = None

    @property
    def embedder(self) -> object:
        return type("Nothing", (), {"name": "none", "fingerprint": "none"})()

    def model_of(self, _: str) -> LanguageModel:
        return self.model

    def arms(self, dataset: Dataset) -> Iterator[Arm]:
        for kind in self.settings.arms:
            yield self.arm(kind, dataset)

    def arm(self, kind: str, _: Dataset) -> Arm:
        seeds = list(range(self.settings.training_seeds))
        if kind == "base" or len(seeds) == 1:
            return self._arm(kind, 0)
        return trained_with_seeds({seed: self._arm(kind, seed) for seed in seeds})

    def _arm(self, kind: str, seed: int) -> Arm:
        def answer(prompt: Messages) -> str:
            number = "".join(filter(str.isdigit, prompt[-1].content))
            return f"c{number}" if kind != "base" and number and int(number) * 7 % 10 < RIGHT[seed] else "wrong"

        model = self.models.setdefault(f"{kind} {seed}", FakeLM(answer, name=f"{kind} {seed}", context_tokens=4096))
        model.base = self.model  # type: ignore[attr-defined]  # as of an adapter
        build = BuildUsage(wall_s=60.0) if kind != "base" else BuildUsage()
        pipeline = Pipeline(kind, model, QuestionOnly(""), GenerationConfig(), build)
        tuned = kind != "base"
        loss = LOSSES[seed] if tuned else None
        return Arm(pipeline, ArmRole.CANDIDATE, kind, tuned=tuned, device="cpu", validation_loss=loss)

    def close(self) -> None:
        pass


Run = Callable[..., tuple[Comparison, SeededComposition]]


@pytest.fixture
def run(workplace: "Workplace") -> Run:
    def run_with(**changes: object) -> tuple[Comparison, SeededComposition]:
        settings = ComparisonSettings(str(workplace.folder), arms=("base", "fine-tuned"), training_seeds=3)
        settings = replace(settings, **changes)  # type: ignore[arg-type]
        made: list[SeededComposition] = []

        def compose(wanted: ComparisonSettings, _: DataDirectory, __: OnProgress) -> SeededComposition:
            made.append(SeededComposition(wanted))
            return made[-1]

        return run_comparison(settings, workplace.directory, compose, "scripted"), made[0]  # type: ignore[arg-type]

    return run_with


def test_every_adapter_answers_all_questions_and_the_score_is_their_mean(run: Run) -> None:
    comparison, composition = run()
    arm = comparison.arm("fine-tuned")
    scores = {one.training_seed: one.score for one in arm.seeds}
    overall = arm.metric("exact_match")
    assert overall is not None and overall.interval is not None
    assert list(scores) == [0, 1, 2]
    assert overall.interval.estimate == pytest.approx(sum(score or 0 for score in scores.values()) / 3)
    assert (overall.n, arm.n_questions) == (N_TEST, N_TEST)
    asked = {name: sum(len(call) for call in model.calls) for name, model in composition.models.items()}
    assert asked["fine-tuned 0"] == asked["fine-tuned 1"] == N_TEST
    assert comparison.arm("base").seeds == ()


def test_the_best_on_validation_is_deployed_and_not_the_best_on_test(run: Run) -> None:
    comparison, composition = run()
    assert [one.training_seed for one in comparison.arm("fine-tuned").seeds if one.deployed] == [2]
    # It alone is asked once more, one question at a time.
    asked = {name: sum(len(call) for call in model.calls) for name, model in composition.models.items()}
    assert asked["fine-tuned 2"] - asked["fine-tuned 1"] > LATENCY_QUESTIONS


def test_seeds_that_differ_widen_every_interval_of_the_arm(run: Run) -> None:
    several, _ = run()
    single, _ = run(training_seeds=1)

    def width(comparison: Comparison) -> float:
        (difference,) = comparison.differences
        return difference.interval.high - difference.interval.low

    assert width(several) > 1.5 * width(single)
    assert several.differences[0].test == "hierarchical bootstrap"
    overall = several.arm("fine-tuned").metric("exact_match")
    assert overall is not None and overall.interval is not None
    assert overall.interval.method == "Wilson, hierarchical bootstrap variance"


def test_one_seed_leaves_no_trace(run: Run, workplace: "Workplace") -> None:
    comparison, _ = run(training_seeds=1)
    assert comparison.arm("fine-tuned").seeds == ()
    rows = (workplace.directory.comparison(comparison.id) / "results.jsonl").read_text().splitlines()
    assert {row["training_seed"] for row in map(json.loads, rows)} == {None}
    assert "training seed" not in (workplace.directory.comparison(comparison.id) / "report.md").read_text()


def test_building_counts_all_trainings_and_training_anew_one(run: Run) -> None:
    several, _ = run()
    single, _ = run(training_seeds=1)
    three, one = several.arm("fine-tuned").cost, single.arm("fine-tuned").cost
    assert three is not None and one is not None
    assert three.training_usd == pytest.approx(3 * one.training_usd)
    assert three.refresh_usd_per_month == pytest.approx(one.refresh_usd_per_month)


def test_a_recheck_comes_to_the_same_decision_from_all_seeds(run: Run, workplace: "Workplace") -> None:
    comparison, _ = run()
    path = workplace.directory.comparison(comparison.id) / "decision.json"
    assert read_record(path.read_text("utf-8")).uses["fine-tuned"].n_trainings == 3
    found = recheck_file(path, lambda *_: "scripted", today=date.today())
    assert found.outcome is RecheckOutcome.HOLDS


def test_the_report_shows_the_score_of_each_seed(run: Run, workplace: "Workplace") -> None:
    comparison, _ = run()
    for name in ("report.md", "report.html"):
        text = (workplace.directory.comparison(comparison.id) / name).read_text("utf-8")
        assert "Scores by training seed" in text
        assert "validation loss 0.200, deployed" in text


@pytest.mark.slow
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_real_model_is_trained_with_each_seed_and_its_stages_are_those_of_the_estimate(
    workplace: "Workplace", tiny_reader_folder: Path, engine: Engine
) -> None:
    settings = ComparisonSettings(
        str(workplace.folder),
        model=f"hf:{tiny_reader_folder}",
        arms=("base", "fine-tuned", "raft"),
        limit=30,
        train_limit=12,
        max_epochs=1,
        training_seeds=2,
    )
    identity = model_identity(settings.model)
    seen: list[Progress] = []
    comparison = run_comparison(settings, workplace.directory, LocalComposition, identity, on_progress=seen.append)
    estimate = estimate_comparison(engine, workplace.directory, settings.to_json(), load_dataset(workplace.folder))
    told = {(one.stage, one.arm) for one in seen if one.stage not in ("score", "report") and one.arm != "majority"}
    assert {(stage.stage, stage.arm) for stage in estimate.stages} == told
    tokens = {stage.arm: stage.input_tokens for stage in estimate.stages if stage.stage == "tune"}
    assert tokens["raft, seed 1"] > tokens["seed 1"] == tokens["seed 0"] > 0
    seeds = comparison.arm("fine-tuned").seeds
    assert [one.training_seed for one in seeds] == [0, 1]
    assert len({one.validation_loss for one in seeds}) == 2
    assert len(list((workplace.directory.root / "stages" / "adapters").iterdir())) == 4
