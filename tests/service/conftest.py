"""A small dataset, and a composition whose arms are scripted: the workflow as it is, with no model behind it."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from advisor.data.dataset import Dataset
from advisor.data.prompt import FewShot, QuestionOnly
from advisor.results.answer import Pipeline
from advisor.results.comparison import ArmRole, Comparison
from lm.completion import GenerationConfig, Messages
from lm.embedding import Embedder
from lm.fake import FakeLM
from lm.language_model import LanguageModel
from service.run.arm import Arm, answer_in_turn
from service.run.progress import OnProgress, silent
from service.run.settings import ComparisonSettings
from service.run.workflow import run_comparison
from service.store.data_directory import DataDirectory

CARD = """
name = "tiny"
task = "question-answering"
language = "en"
licence = "CC0-1.0"
metrics = ["exact_match", "token_f1", "abstention"]
description = "Colours of things."
"""


def write_dataset(folder: Path, n_facts: int = 90, *, card: str = CARD) -> Path:
    """One document a fact; two thirds of the facts are trained on; each is tested in one wording, some unanswerable."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = [{"id": f"d{i}", "title": f"Thing {i}", "text": f"Thing {i} is coloured c{i}."} for i in range(n_facts)]
    questions = []
    for i in range(n_facts):
        common = {"answers": [f"c{i}"], "document_ids": [f"d{i}"], "group": f"g{i}"}
        if i % 3:
            split = "validation" if i % 9 == 1 else "train"
            questions.append({"id": f"a{i}", "question": f"Colour of thing {i}?", "split": split, **common})
        questions.append({"id": f"t{i}", "question": f"Which colour has number {i}?", "split": "test", **common})
    questions += [
        {"id": f"u{i}", "question": f"Who painted {i}?", "answers": [], "answerable": False, "split": "test"}
        for i in range(n_facts // 10)
    ]
    for name, rows in (("documents.jsonl", documents), ("questions.jsonl", questions)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "dataset.toml").write_text(card)
    return folder


class OneHotEmbedder:
    """Equal texts are alike, others are not."""

    name = "one-hot"
    fingerprint = "one-hot"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.eye(len(texts), 4096, dtype=np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


class ScriptedComposition:
    """Two candidates over one scripted model, and a reference. Counts what it is asked."""

    stage_markers: Sequence[Path] = ()
    answered = staticmethod(answer_in_turn)

    def __init__(self, settings: ComparisonSettings, answer: Callable[[Messages], str], context_tokens: int) -> None:
        self.settings = settings
        self.model: LanguageModel = FakeLM(answer, name="scripted", context_tokens=context_tokens)
        self.embedder: Embedder = OneHotEmbedder()
        self.judge: LanguageModel | None = None
        self.n_closed = 0

    @property
    def n_calls(self) -> int:
        assert isinstance(self.model, FakeLM)
        return len(self.model.calls)

    def model_of(self, _: str) -> LanguageModel:
        return self.model

    def arms(self, dataset: Dataset) -> Iterator[Arm]:
        for kind in (*self.settings.arms, "majority"):
            yield self.arm(kind, dataset)

    def arm(self, kind: str, dataset: Dataset) -> Arm:
        generation = GenerationConfig(max_output_tokens=dataset.card.max_output_tokens)
        if kind == "majority":
            constant = FakeLM(lambda _: "c1", name="always c1")
            return Arm(Pipeline(kind, constant, QuestionOnly(""), generation), ArmRole.REFERENCE, "always c1")
        asked = QuestionOnly(dataset.card.instruction)
        builder = asked if kind == "base" else FewShot.from_training(dataset.training_view())
        return Arm(Pipeline(kind, self.model, builder, generation), ArmRole.CANDIDATE, kind, device="cpu")

    def close(self) -> None:
        self.n_closed += 1


class Workplace:
    """A data directory, a dataset and the means to run comparisons in it."""

    def __init__(self, root: Path) -> None:
        self.directory = DataDirectory(root / "home")
        self.folder = write_dataset(root / "tiny")
        self.settings = ComparisonSettings(str(self.folder), arms=("base", "few-shot"))
        self.compositions: list[ScriptedComposition] = []
        self.answer: Callable[[Messages], str] = answer_well
        self.context_tokens = 4096

    def compose(self, settings: ComparisonSettings, _: DataDirectory, __: OnProgress) -> ScriptedComposition:
        self.compositions.append(ScriptedComposition(settings, self.answer, self.context_tokens))
        return self.compositions[-1]

    def run(self, settings: ComparisonSettings | None = None, on_progress: OnProgress = silent) -> Comparison:
        return run_comparison(
            settings or self.settings, self.directory, self.compose, "scripted", on_progress=on_progress
        )

    @property
    def n_calls(self) -> int:
        return sum(composition.n_calls for composition in self.compositions)


def answer_well(prompt: Messages) -> str:
    """Right where worked examples are given and the number is even, otherwise wrong."""
    number = "".join(filter(str.isdigit, prompt[-1].content))
    return f"c{number}" if len(prompt) > 1 and int(number) % 2 == 0 else "c0"


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


@pytest.fixture(scope="session")
def compared_once(workplace_class: type[Workplace], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compared")
    workplace_class(root).run()
    return root


@pytest.fixture
def compared(compared_once: Path, workplace_class: type[Workplace], tmp_path: Path) -> Workplace:
    """A workplace of the test's own in which a comparison has finished: run once, copied for each test."""
    workplace = workplace_class(tmp_path)
    shutil.copytree(compared_once / "home", workplace.directory.root)
    for path in workplace.directory.root.glob("comparisons/*/*.json"):
        path.write_text(path.read_text(encoding="utf-8").replace(str(compared_once), str(tmp_path)), encoding="utf-8")
    return workplace


@pytest.fixture
def report_folder(compared: Workplace) -> Path:
    (folder,) = (compared.directory.root / "comparisons").iterdir()
    return folder


@pytest.fixture(scope="session")
def comparison(compared_once: Path) -> Comparison:
    """A finished comparison, not to be changed."""
    return Workplace(compared_once).run()


@pytest.fixture(scope="session")
def workplace_class() -> type[Workplace]:
    return Workplace
