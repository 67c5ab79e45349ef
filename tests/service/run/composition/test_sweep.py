"""Settings of retrieval chosen on validation questions, with a model that copies from the passages it reads."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import create_engine

from advisor.data.dataset import Dataset, Split
from advisor.data.files import load_dataset
from advisor.metrics.registry import metric
from advisor.money.prices import load_prices
from lm.completion import Messages
from lm.errors import ConfigError
from lm.fake import FakeLM
from service.run.composition import sweep as sweeping
from service.run.composition.sweep import RetrievalSweep, Sweep
from service.run.progress import silent
from service.run.settings import ComparisonSettings, RetrieverKind
from service.run.spending import Spending
from service.store.comparisons.runs import home_database


class Blind:
    """An embedder to which all texts are nearly alike, so that only shared words find anything."""

    name = fingerprint = "blind"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.random.default_rng(0).standard_normal((len(texts), 16)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) + 2 for text in texts]


def copies(messages: Messages) -> str:
    """The colour of the thing that is asked for, where a passage tells it."""
    text = messages[-1].content
    number = re.findall(r"\d+", text.rpartition("Question:")[2])[0]
    found = re.search(rf"Thing {number} is coloured (c\d+)", text)
    return found.group(1) if found else "unknown"


class ScriptedParts:
    def __init__(self, settings: ComparisonSettings) -> None:
        self._settings = settings

    def model(self, spec: str) -> FakeLM:
        return FakeLM(copies, name="copies", context_tokens=4096)

    def embedder(self) -> Blind:
        return Blind()


@pytest.fixture
def sweep(workplace: Any, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.setattr(sweeping, "LoadedParts", ScriptedParts)
    monkeypatch.setattr(sweeping, "CHUNK_TOKENS", (128,))
    monkeypatch.setattr(sweeping, "OVERLAP_SHARES", (0.0,))
    dataset = load_dataset(workplace.folder)
    settings = replace(workplace.settings, arms=("base", "rag"), top_k=1, sweep=True)
    with home_database(workplace.directory) as database:
        spending = Spending(settings, load_prices(None))
        return RetrievalSweep(
            settings, dataset, workplace.directory, database, metric("exact_match"), silent, spending
        ).run()


def test_it_takes_the_ranking_that_finds_the_answers_and_tells_what_else_is_as_good(sweep: Sweep) -> None:
    assert sweep.chosen["retriever"] != RetrieverKind.DENSE
    chosen = next(row for row in sweep.tried if all(row[name] == value for name, value in sweep.chosen.items()))
    given = next(row for row in sweep.tried if row["top_k"] == 1 and row["retriever"] == "dense" and row["n_asked"])
    assert chosen["hit_rate"] > given["hit_rate"]
    assert chosen["score"] > given["score"]
    assert sweep.chosen in sweep.as_good
    assert sweep.cost["input_tokens"] > 0


def test_retrieval_is_judged_before_any_answer_and_few_points_are_asked(sweep: Sweep) -> None:
    asked = [row for row in sweep.tried if row["n_asked"]]
    assert len(asked) <= len(sweeping.TOP_KS) + 2 < len(sweep.tried)


def test_what_it_chose_is_what_the_arms_are_built_with(sweep: Sweep, workplace: Any) -> None:
    settings = workplace.settings.with_retrieval(sweep.to_json())
    assert {name: getattr(settings, name) for name in sweeping.CHOSEN} == dict(sweep.chosen)
    assert settings.arms == workplace.settings.arms
    assert workplace.settings.with_retrieval(None) == workplace.settings


def test_without_validation_questions_it_is_refused(workplace: Any) -> None:
    dataset: Dataset = load_dataset(workplace.folder)
    spending = Spending(workplace.settings, load_prices(None))
    none = replace(dataset, examples=tuple(e for e in dataset.examples if e.split is not Split.VALIDATION))
    with pytest.raises(ConfigError, match="a sweep chooses on validation questions, and tiny has 0"):
        RetrievalSweep(
            workplace.settings,
            none,
            workplace.directory,
            create_engine("sqlite://"),
            metric("exact_match"),
            silent,
            spending,
        )
