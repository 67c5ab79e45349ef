import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from advisor.data.dataset import Dataset, Split
from advisor.data.prompt import Prompt, QuestionOnly, reference_text
from advisor.decision.freshness import Freshness, Part, Refresh
from advisor.errors import DatasetError
from advisor.results.answer import BuildUsage, Pipeline
from advisor.results.comparison import ArmRole
from advisor.results.plain_data import from_plain
from lm.completion import GenerationConfig, Message, Messages, Role
from lm.errors import ConfigError
from lm.fake import FakeLM
from lm.model_identity import model_identity
from service.cli.app import main
from service.contract.scope import Scope
from service.jobs.job import run_command
from service.run.arm import Arm, answer_in_turn
from service.run.composition import LocalComposition
from service.run.finished.asking import FinishedComparison, read_finished
from service.run.finished.freshness import measure_freshness, write_freshness
from service.run.progress import Progress
from service.run.settings import ComparisonSettings
from service.run.side_run import read_side_result
from service.run.workflow import run_comparison
from service.store.api_keys import create_key
from service.store.comparisons.comparison_store import list_comparisons
from service.store.comparisons.runs import home_database
from service.store.key_budget import KeyBudget, KeySpentError
from service.store.tables import FRESHNESS_RUN

INDEX = BuildUsage(wall_s=7.0, embedding_tokens=70)
TRAINING = BuildUsage(wall_s=100.0, input_tokens=900)


class Facts:
    """What a retrieval prompt finds: the colour of each thing in the documents, before the question."""

    instruction = ""

    def __init__(self, dataset: Dataset) -> None:
        self._texts = {d.text.split()[1]: d.text.split()[-1].rstrip(".") for d in dataset.documents}
        self.fingerprint = f"facts {self._texts}"

    def build(self, questions: Any, model: Any, max_output_tokens: int) -> list[Prompt]:
        return [Prompt((Message(Role.USER, f"{self._texts.get(number(q), '?')} {q}"),)) for q in questions]


def number(question: str) -> str:
    return question.split()[-1].rstrip("?")


class Composition:
    """Retrieval that reads out what the documents say, and tuning that knows what it was trained on by heart."""

    stage_markers: Sequence[Path] = ()
    answered = staticmethod(answer_in_turn)

    def __init__(self, settings: ComparisonSettings, *_: object) -> None:
        self.settings = settings
        self.model = FakeLM(lambda messages: "I don't know.", name="scripted")
        self.embedder: Any = None
        self.judge = None
        self.n_closed = 0

    def model_of(self, _: str) -> Any:
        return self.model

    def arms(self, dataset: Dataset) -> Any:
        return (self.arm(kind, dataset) for kind in self.settings.arms)

    def arm(self, kind: str, dataset: Dataset) -> Arm:
        learnt = {number(e.question): reference_text(e) for e in dataset.split(Split.TRAIN)}

        def recall(messages: Messages) -> str:
            return learnt.get(number(messages[-1].content), "no idea")

        def read(messages: Messages) -> str:
            return messages[-1].content.split()[0]

        retrieves, tuned = kind in ("rag", "hybrid"), kind in ("fine-tuned", "hybrid")
        answer: Callable[[Messages], str] = {"rag": read, "fine-tuned": recall, "hybrid": recall}.get(
            kind, lambda _: "I don't know."
        )
        name = f"{kind} {sorted(learnt.items())}" if tuned else kind
        index, training = INDEX if retrieves else BuildUsage(), TRAINING if tuned else BuildUsage()
        pipeline = Pipeline(
            kind,
            FakeLM(answer, name=name),
            Facts(dataset) if retrieves else QuestionOnly(""),
            GenerationConfig(max_output_tokens=8),
            training + index,
        )
        return Arm(
            pipeline,
            ArmRole.CANDIDATE,
            kind,
            retrieves=retrieves,
            tuned=tuned,
            device="cpu",
            index_usage=index if tuned else BuildUsage(),
        )

    def close(self) -> None:
        self.n_closed += 1


def write_revision(folder: Path, numbers: range) -> Path:
    folder.mkdir(exist_ok=True)
    documents = [{"id": f"d{i}", "title": f"Thing {i}", "text": f"Thing {i} is coloured n{i}."} for i in numbers]
    facts = [{"group": f"g{i}", "answers": [f"n{i}"], "document_id": f"d{i}"} for i in numbers]
    for name, rows in (("documents.jsonl", documents), ("answers.jsonl", facts)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def compare_and_change(workplace: Any) -> FinishedComparison:
    """A comparison of arms with perfect memories, whose later editions change thirty facts, sixteen of them trained."""
    settings = replace(workplace.settings, arms=("base", "rag", "fine-tuned", "hybrid"), limit=60)
    run_comparison(settings, workplace.directory, Composition, "scripted")
    write_revision(workplace.folder / "v2", range(30))
    return read_finished(workplace.directory, "latest")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, workplace_class: Any) -> Any:
    """A workplace that no test may change."""
    return workplace_class(tmp_path_factory.mktemp("freshness"))


@pytest.fixture(scope="module")
def finished(place: Any) -> FinishedComparison:
    return compare_and_change(place)


@pytest.fixture(scope="module")
def seen() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def found(place: Any, finished: FinishedComparison, seen: list[Progress]) -> Freshness:
    return measure_freshness(finished, place.directory, Composition, on_progress=seen.append)


def rates(freshness: Freshness, arm: str, refresh: Refresh, part: Part = Part.CHANGED) -> tuple[float, float, float]:
    state = next(s for s in freshness.states if (s.arm, s.refresh) == (arm, refresh))
    found = state.part(part)
    assert found is not None
    assert found.was_right.interval and found.is_right.interval and found.is_stale.interval
    return (
        round(found.was_right.interval.estimate, 3),
        round(found.is_right.interval.estimate, 3),
        round(found.is_stale.interval.estimate, 3),
    )


def test_each_arm_goes_stale_and_is_mended_by_what_it_is_made_of(found: Freshness) -> None:
    assert rates(found, "base", Refresh.NOTHING) == (0, 0, 0)
    assert rates(found, "rag", Refresh.NOTHING) == (1, 0, 1)
    assert rates(found, "rag", Refresh.REINDEXED) == (1, 1, 0)
    trained = pytest.approx((16 / 30, 0, 16 / 30), abs=1e-3)
    assert rates(found, "fine-tuned", Refresh.NOTHING) == trained
    assert rates(found, "hybrid", Refresh.REINDEXED) == trained
    assert rates(found, "fine-tuned", Refresh.RETUNED)[1:] == (pytest.approx(16 / 30, abs=1e-3), 0)
    assert rates(found, "fine-tuned", Refresh.RETUNED, Part.CHANGED_TRAINED) == (1, 1, 0)
    assert [(s.arm, s.refresh) for s in found.states if s.arm in ("base", "rag")] == [
        ("base", Refresh.NOTHING),
        ("rag", Refresh.NOTHING),
        ("rag", Refresh.REINDEXED),
    ]


def test_refreshes_cost_what_they_took_and_no_more(found: Freshness) -> None:
    took = {(s.arm, s.refresh): (s.index_s, s.training_s) for s in found.states}
    assert took["rag", Refresh.REINDEXED] == (7, 0)
    assert took["fine-tuned", Refresh.RETUNED] == (0, 100)
    assert took["hybrid", Refresh.REINDEXED] == (7, 0)
    assert took["hybrid", Refresh.RETUNED] == (7, 100)
    usd = {(s.arm, s.refresh): s.usd for s in found.states}
    assert usd["hybrid", Refresh.RETUNED] == pytest.approx(
        usd["rag", Refresh.REINDEXED] + usd["fine-tuned", Refresh.RETUNED]
    )
    assert usd["rag", Refresh.NOTHING] == 0


def test_all_changed_test_questions_are_asked_and_of_the_others_those_of_the_comparison(found: Freshness) -> None:
    state = found.states[0]
    changed, unchanged = state.part(Part.CHANGED), state.part(Part.UNCHANGED)
    assert changed and unchanged
    assert changed.is_right.n == 30
    assert 20 < unchanged.is_right.n < 60


def test_unchanged_questions_stay_as_right_as_they_were(found: Freshness) -> None:
    for state in found.states:
        unchanged = state.part(Part.UNCHANGED)
        assert unchanged and unchanged.change
        assert (unchanged.change.estimate, unchanged.is_stale.interval.estimate) == (0, 0)  # type: ignore[union-attr]


def test_the_result_lies_beside_the_reports_of_the_comparison(place: Any, found: Freshness) -> None:
    folder = place.directory.comparison(found.comparison)
    assert write_freshness(found, folder).parent == folder
    assert from_plain(Freshness, json.loads((folder / "freshness.json").read_text())) == found
    assert "30 facts changed in 30 documents" in (folder / "freshness.md").read_text()


def test_what_is_built_anew_is_told_apart(found: Freshness, seen: list[Progress]) -> None:
    assert {p.arm for p in seen} == {
        *("base", "rag", "rag, re-indexed", "fine-tuned", "fine-tuned, re-tuned"),
        *("hybrid", "hybrid, re-indexed", "hybrid, re-tuned"),
    }


def test_changed_data_are_refused(workplace: Any) -> None:
    finished = compare_and_change(workplace)
    path = workplace.folder / "questions.jsonl"
    path.write_text(path.read_text().replace("Which colour has", "Name the colour of"))
    with pytest.raises(ConfigError, match="the dataset .* has changed since the comparison"):
        measure_freshness(finished, workplace.directory, Composition)


def test_facts_that_no_test_question_asks_for_are_refused(workplace: Any, tmp_path: Path) -> None:
    path = workplace.folder / "questions.jsonl"
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines() if '"t1"' not in line))
    run_comparison(replace(workplace.settings, arms=("rag",)), workplace.directory, Composition, "scripted")
    only_trained = write_revision(tmp_path / "one", range(1, 2))
    with pytest.raises(DatasetError, match="no test question asks for any of the 1 changed facts"):
        measure_freshness(
            read_finished(workplace.directory, "latest"),
            workplace.directory,
            Composition,
            revision_folder=only_trained,
        )


def test_changed_arms_are_refused(place: Any, finished: FinishedComparison) -> None:
    class Other(Composition):
        def arm(self, kind: str, dataset: Dataset) -> Arm:
            arm = super().arm(kind, dataset)
            return replace(arm, pipeline=replace(arm.pipeline, model=FakeLM(lambda _: "x", name="another")))

    made: list[Other] = []

    def compose(*arguments: Any) -> Other:
        made.append(Other(*arguments))
        return made[-1]

    with pytest.raises(ConfigError, match="what base is built of has changed since the comparison"):
        measure_freshness(finished, place.directory, compose)
    assert made[0].n_closed == 1


def test_a_data_set_without_later_editions_says_what_to_add(
    place: Any, finished: FinishedComparison, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match="there is no such folder, so it is not known what changed"):
        measure_freshness(finished, place.directory, Composition, revision_folder=tmp_path / "none")


def test_the_key_that_asks_pays_until_its_limit(place: Any, finished: FinishedComparison) -> None:
    class Hosted(Composition):
        def arm(self, kind: str, dataset: Dataset) -> Arm:
            return replace(super().arm(kind, dataset), spec=self.settings.arm(kind), device=None)

    hosted = replace(finished, settings=replace(finished.settings, model="openai:gpt-5-mini", arms=("base",)))
    with home_database(place.directory) as engine:
        key, _ = create_key(engine, "team", [Scope.RUN], max_spend_usd=1e-6)
        budget = KeyBudget(engine, key.id)
        with pytest.raises(KeySpentError, match=r"the key may spend \$0\.00 more at endpoints"):
            measure_freshness(hosted, place.directory, Hosted, budget=budget)
        assert (budget.left_usd() or 0) < 0


def test_the_command_asks_by_a_run_that_page_and_api_show(
    workplace: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_revision(workplace.folder / "v2", range(30))
    settings = replace(workplace.settings, arms=("rag",), limit=30)
    folder = run_command(settings, workplace.directory, Composition, lambda *_: "scripted")
    monkeypatch.setattr("service.run.finished.freshness_run.LocalComposition", Composition)
    with pytest.raises(SystemExit, match="0"):
        main(["freshness", "latest", "--home", str(workplace.directory.root)])
    assert "30 facts changed in 30 documents" in capfd.readouterr().out
    assert (folder / "freshness.md").is_file()
    with home_database(workplace.directory) as engine:
        (run,), _ = list_comparisons(engine, side_run=FRESHNESS_RUN, settings={"comparison_id": folder.name})
        assert read_side_result(engine, run.id) == json.loads((folder / "freshness.json").read_text())


@pytest.mark.slow
def test_a_real_model_is_asked_again_from_the_command_line(
    workplace: Any, tiny_reader_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = replace(
        workplace.settings,
        model=f"hf:{tiny_reader_folder}",
        arms=("rag", "raft", "nearest-question"),
        limit=16,
        train_limit=8,
        max_epochs=1,
        top_k=1,
    )
    run_comparison(settings, workplace.directory, LocalComposition, model_identity(settings.model))
    write_revision(workplace.folder / "v2", range(8))
    monkeypatch.setenv("TUNING_FORK_HOME", str(workplace.directory.root))
    with pytest.raises(SystemExit) as exit_:
        main(["freshness", "latest"])
    shown = capfd.readouterr()
    assert exit_.value.code == 0, shown.err
    assert "8 facts changed in 8 documents" in shown.out
    assert "tuning the adapter (raft, new documents)" in shown.out
    found = json.loads(next(workplace.directory.root.glob("comparisons/*/freshness.json")).read_text())
    assert {(s["arm"], s["refresh"]) for s in found["states"]} == {
        *(("rag", "nothing"), ("rag", "re-indexed")),
        *(("raft", "nothing"), ("raft", "re-indexed"), ("raft", "re-tuned")),
        *(("nearest-question", "nothing"), ("nearest-question", "re-tuned")),
    }
