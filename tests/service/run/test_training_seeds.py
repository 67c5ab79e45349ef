"""Several trainings of one arm, through the whole run: what is asked, deployed, counted and reported."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from service.run.progress import Progress
from service.run.settings import ComparisonSettings
from service.run.workflow import run_comparison

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


@dataclass(frozen=True)
class Finished:
    """A comparison, what it was asked by, and the folder of its reports."""

    comparison: Comparison
    composition: SeededComposition
    folder: Path

    def n_asked(self, seed: int) -> int:
        """Questions that the adapter of a seed was asked."""
        return sum(len(call) for call in self.composition.models[f"fine-tuned {seed}"].calls)


def finish(workplace: "Workplace", training_seeds: int) -> Finished:
    settings = ComparisonSettings(str(workplace.folder), arms=("base", "fine-tuned"), training_seeds=training_seeds)
    composition = SeededComposition(settings)
    comparison = run_comparison(settings, workplace.directory, lambda *_: composition, "scripted")  # type: ignore[arg-type,return-value]
    return Finished(comparison, composition, workplace.directory.comparison(comparison.id))


@pytest.fixture(scope="module")
def several(workplace_class: "type[Workplace]", tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finish(workplace_class(tmp_path_factory.mktemp("several")), 3)


@pytest.fixture(scope="module")
def single(workplace_class: "type[Workplace]", tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finish(workplace_class(tmp_path_factory.mktemp("single")), 1)


def test_every_adapter_answers_all_questions_and_the_score_is_their_mean(several: Finished) -> None:
    arm = several.comparison.arm("fine-tuned")
    scores = {one.training_seed: one.score for one in arm.seeds}
    overall = arm.metric("exact_match")
    assert overall is not None and overall.interval is not None
    assert list(scores) == [0, 1, 2]
    assert overall.interval.estimate == pytest.approx(sum(score or 0 for score in scores.values()) / 3)
    assert (overall.n, arm.n_questions) == (N_TEST, N_TEST)
    assert several.n_asked(0) == several.n_asked(1) == N_TEST
    assert several.comparison.arm("base").seeds == ()


def test_the_best_on_validation_is_deployed_and_not_the_best_on_test(several: Finished) -> None:
    assert [one.training_seed for one in several.comparison.arm("fine-tuned").seeds if one.deployed] == [2]
    # It alone is asked once more, one question at a time.
    assert several.n_asked(2) - several.n_asked(1) > LATENCY_QUESTIONS


def test_seeds_that_differ_widen_every_interval_of_the_arm(several: Finished, single: Finished) -> None:
    def width(finished: Finished) -> float:
        (difference,) = finished.comparison.differences
        return difference.interval.high - difference.interval.low

    assert width(several) > 1.5 * width(single)
    assert several.comparison.differences[0].test == "hierarchical bootstrap"
    overall = several.comparison.arm("fine-tuned").metric("exact_match")
    assert overall is not None and overall.interval is not None
    assert overall.interval.method == "Wilson, hierarchical bootstrap variance"


def test_one_seed_leaves_no_trace(single: Finished) -> None:
    assert single.comparison.arm("fine-tuned").seeds == ()
    rows = (single.folder / "results.jsonl").read_text().splitlines()
    assert {row["training_seed"] for row in map(json.loads, rows)} == {None}
    assert "training seed" not in (single.folder / "report.md").read_text()


def test_building_counts_all_trainings_and_training_anew_one(several: Finished, single: Finished) -> None:
    three, one = (finished.comparison.arm("fine-tuned").cost for finished in (several, single))
    assert three is not None and one is not None
    assert three.training_usd == pytest.approx(3 * one.training_usd)
    assert three.refresh_usd_per_month == pytest.approx(one.refresh_usd_per_month)


def test_a_recheck_comes_to_the_same_decision_from_all_seeds(several: Finished) -> None:
    path = several.folder / "decision.json"
    assert read_record(path.read_text("utf-8")).uses["fine-tuned"].n_trainings == 3
    found = recheck_file(path, lambda *_: "scripted", today=date.today())
    assert found.outcome is RecheckOutcome.HOLDS


def test_the_report_shows_the_score_of_each_seed(several: Finished) -> None:
    for name in ("report.md", "report.html"):
        text = (several.folder / name).read_text("utf-8")
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
    told = {(one.stage, one.arm) for one in seen if one.stage != "score" and one.arm != "majority"}
    # Loading ends before there is progress to tell.
    assert {(stage.stage, stage.arm) for stage in estimate.stages} == told | {("load", "")}
    tokens = {stage.arm: stage.input_tokens for stage in estimate.stages if stage.stage == "tune"}
    assert tokens["raft, seed 1"] > tokens["seed 1"] == tokens["seed 0"] > 0
    seeds = comparison.arm("fine-tuned").seeds
    assert [one.training_seed for one in seeds] == [0, 1]
    assert len({one.validation_loss for one in seeds}) == 2
    assert len(list((workplace.directory.root / "stages" / "adapters").iterdir())) == 4
