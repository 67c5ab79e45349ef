import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from advisor.data.dataset import Document
from lm.errors import LanguageModelError
from lm.fake import FakeLM
from service.contract.comparison_state import ComparisonState
from service.contract.scope import Scope
from service.jobs.job import JobEnd, run_job
from service.run.progress import Progress, silent
from service.run.question_run import write_questions
from service.run.settings import ComparisonSettings
from service.run.side_run import SideResult, SideRun, read_side_result, work_on
from service.store.api_keys import create_key
from service.store.comparisons.comparison_store import StoredComparison, create_comparison, find_comparison, set_state
from service.store.data_directory import DataDirectory
from service.store.database import writing
from service.store.dataset_store import find_dataset, read_version
from service.store.key_budget import KeyBudget, KeySpentError
from service.store.tables import QUESTION_RUN
from tests.rag.conftest import HashingEmbedder
from tests.rag.test_made_questions import DOCUMENTS, writer

RUN = f"{QUESTION_RUN}0123456789abcdef"


def create(engine: Engine, documents: list[Document], state: ComparisonState, **settings: Any) -> StoredComparison:
    rows = [{"id": one.id, "title": one.title, "text": one.text} for one in documents]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    files = {"documents.jsonl": content}
    create_comparison(engine, comparison_id=RUN, name="shop-questions", dataset="", settings=settings, files=files)
    with writing(engine) as connection:
        set_state(connection, RUN, state, expected=[ComparisonState.QUEUED])
    return find_comparison(engine, RUN)


def scripted(run: SideRun) -> SideResult:
    return write_questions(run, lambda parts: (FakeLM(writer, name=parts.model), HashingEmbedder(n_dimensions=512)))


def test_a_run_ends_as_a_version_whose_questions_are_marked_for_ever(engine: Engine, tmp_path: Path) -> None:
    run = create(engine, DOCUMENTS, ComparisonState.RUNNING, facts=12, unanswerable=0.0)
    told: list[Progress] = []
    work_on(engine, DataDirectory(tmp_path), run, told.append, scripted)
    ended = find_comparison(engine, RUN)
    assert (ended.state, told[-1].done, told[-1].total) == ("succeeded", 12, 12)
    assert ended.run_id is not None
    stored = find_dataset(engine, ended.run_id)
    assert stored.card.name == "shop-questions"
    assert [finding.check for finding in stored.findings].count("questions by a model") == 1
    examples = read_version(engine, DataDirectory(tmp_path), ended.run_id).examples
    assert {example.made_by for example in examples} == {"smollm2"}
    record = read_side_result(engine, RUN)
    assert record is not None
    assert record["kinds"]["answerable"] >= 12
    assert not list((tmp_path / "incoming").iterdir())


def test_what_nothing_can_be_asked_of_fails_with_the_reason(engine: Engine, tmp_path: Path) -> None:
    def silent_model(settings: ComparisonSettings) -> Any:
        raise LanguageModelError("the endpoint says no")

    run = create(engine, DOCUMENTS, ComparisonState.RUNNING)
    with pytest.raises(LanguageModelError, match="says no"):
        work_on(engine, DataDirectory(tmp_path), run, silent, partial(write_questions, load=silent_model))
    assert read_side_result(engine, RUN) is None


def test_a_job_takes_up_a_run_like_a_comparison(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    create(engine, DOCUMENTS, ComparisonState.QUEUED, model="openai:gpt-x")

    def never(*_: Any) -> Any:
        raise AssertionError

    assert run_job(engine, DataDirectory(tmp_path), RUN, never, never) is JobEnd.OVER
    ended = find_comparison(engine, RUN)
    assert ended.state == "failed"
    assert "OPENAI_API_KEY" in (ended.error or "")


def test_the_key_that_started_a_run_pays_for_it_until_its_limit(engine: Engine, tmp_path: Path) -> None:
    run = create(engine, DOCUMENTS, ComparisonState.RUNNING, model="openai:gpt-5-mini", facts=12, unanswerable=0.0)
    key, _ = create_key(engine, "team", [Scope.RUN], max_spend_usd=1e-6)
    budget = KeyBudget(engine, key.id)
    with pytest.raises(KeySpentError, match=r"the key may spend \$0\.00 more at endpoints"):
        work_on(engine, DataDirectory(tmp_path), replace(run, made_by=key.id), silent, scripted)
    left = budget.left_usd()
    assert left is not None
    assert left < 0
