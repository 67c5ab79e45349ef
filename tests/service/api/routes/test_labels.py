"""The labelling queue over HTTP, on rows of finished comparisons."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, insert, update

from advisor.data.dataset import Example, Slice, Split
from advisor.data.files import HUMAN_LABELS_FILE
from advisor.data.prompt import RetrievedChunk
from advisor.evidence.human_labels import label_values, load_human_labels
from advisor.evidence.prediction_powered import MIN_LABELS
from advisor.evidence.records import record_line
from advisor.metrics.human import PREFERENCE
from advisor.results.answer import Answer
from advisor.results.comparison import QuestionRecord
from advisor.results.score import Score
from lm.completion import FinishReason, Usage
from service.api.app import create_app
from service.api.context import ServiceContext
from service.api.service_settings import ServiceSettings
from service.contract.comparison_state import ComparisonState
from service.store.comparisons.comparison_store import create_comparison
from service.store.data_directory import DECISION_FILE, RECORDS_FILE, DataDirectory
from service.store.database import writing
from service.store.tables import comparisons, report_files

LOCAL = "http://127.0.0.1:8000"
N = 20
URL = "/v1/comparisons/now/labels"
PAIRS = "/v1/comparisons/now/pairs"


@pytest.fixture
def client(engine: Engine, tmp_path: Path) -> Iterator[TestClient]:
    context = ServiceContext(engine, DataDirectory(tmp_path), lambda _: None, ServiceSettings())
    with TestClient(create_app(context), base_url=LOCAL, client=("127.0.0.1", 50_000)) as client:
        yield client


def record(arm: str, i: int, text: str) -> QuestionRecord:
    passages = (RetrievedChunk("d#0", "d", "", f"passage {i}", 1.0),) if arm == "rag" else ()
    answer = Answer(text, Usage(), FinishReason.STOP, passages, "hash")
    scores = {"faithfulness": Score(float(text == "same"))}
    return QuestionRecord(
        arm, f"q{i}", f"Question {i}?", ("same",), (), Slice.NEW_CASE, f"g{i}", f"c{i}", answer, scores
    )


@pytest.fixture
def finished(engine: Engine) -> None:
    """Two candidates that answer every second question alike, and a reference that is never shown."""
    create_comparison(engine, comparison_id="now", name="n", dataset="tiny", settings={"pipelines": ["base", "rag"]})
    rows = [
        record(arm, i, "same" if i % 2 else f"{arm} {i}") for arm in ("base", "rag", "oracle-context") for i in range(N)
    ]
    files = {
        RECORDS_FILE: "".join(record_line(row) + "\n" for row in rows),
        DECISION_FILE: json.dumps({"metric": "faithfulness"}),
    }
    with writing(engine) as connection:
        contents = [{"comparison_id": "now", "name": n, "content": t.encode()} for n, t in files.items()]
        connection.execute(insert(report_files), contents)
        connection.execute(update(comparisons).values(state=ComparisonState.SUCCEEDED))


def asked(client: TestClient, voter: str = "") -> Any:
    reply = client.get(URL, params={"voter": voter})
    assert reply.status_code == 200, reply.text
    return reply.json()


def said(client: TestClient, shown: dict[str, Any], good: bool | None, voter: str = "") -> Any:
    body = {"example_id": shown["example_id"], "answer": shown["answer"], "good": good, "voter": voter}
    reply = client.post(URL, json=body)
    assert reply.status_code == 201, reply.text
    return reply.json()


def labelled_by(client: TestClient, voter: str) -> list[dict[str, Any]]:
    """All that one person is asked, everything called right but for answers of base."""
    seen, queue = [], asked(client, voter)
    while (shown := queue["next"]) is not None:
        seen.append(shown)
        queue = said(client, shown, not shown["answer"].startswith("base"), voter)
    return seen


@pytest.mark.usefixtures("finished")
def test_every_answer_is_asked_for_once_in_an_order_of_chance(client: TestClient) -> None:
    seen = labelled_by(client, "ada")
    assert len(seen) == N // 2 + 2 * (N // 2)  # what both gave alike is one answer; the reference's are none
    assert len({(one["example_id"], one["answer"]) for one in seen}) == len(seen)
    order = list(dict.fromkeys(one["example_id"] for one in seen))
    assert order != sorted(order, key=lambda one: int(one[1:]))
    queue = asked(client, "ada")
    assert queue["n_by_arm"] == {"base": N, "rag": N}
    assert (queue["metric"], queue["n_needed"], queue["n_voters"]) == ("faithfulness", MIN_LABELS, 1)
    assert queue["n_with_metric"] == len(seen)
    assert queue["with_metric"]["low"] < queue["with_metric"]["estimate"] < queue["with_metric"]["high"]
    assert queue["between_people"] is None


@pytest.mark.usefixtures("finished")
def test_a_second_person_sees_what_is_shared_and_nothing_else(client: TestClient) -> None:
    first, second = labelled_by(client, "ada"), labelled_by(client, "bob")
    assert 0 < len(second) < len(first) / 2
    queue = asked(client, "bob")
    assert queue["n_between_people"] == len(second)
    assert queue["n_voters"] == 2


@pytest.mark.usefixtures("finished")
def test_labels_come_out_as_the_file_that_a_comparison_reads(client: TestClient, tmp_path: Path) -> None:
    seen = labelled_by(client, "ada")
    said(client, seen[0], None, "ada")  # taken back
    said(client, seen[1], True, "ada")
    said(client, seen[1], False, "ada")  # replaced
    reply = client.get(f"{URL}.jsonl")
    assert reply.headers["content-type"].startswith("application/x-ndjson")
    (tmp_path / HUMAN_LABELS_FILE).write_bytes(reply.content)
    examples = [Example(f"q{i}", "?", ("same",), (), f"g{i}", Split.TEST) for i in range(N)]
    found = load_human_labels(tmp_path, examples)
    values = label_values(found)
    assert len(found) == len(values) == len(seen) - 1
    assert values[seen[1]["example_id"], "faithfulness", seen[1]["answer"]] == 0
    assert {label.passages for label in found if label.answer.startswith("rag")} == {
        (f"passage {i}",) for i in range(0, N, 2) if f"q{i}" != seen[0]["example_id"] or seen[0]["answer"][:3] != "rag"
    }


def pairs_of(client: TestClient, voter: str) -> list[dict[str, Any]]:
    """All pairs that one person is asked about; the answer of rag is always preferred."""
    seen, queue = [], client.get(f"{PAIRS}?voter={voter}").json()
    while (shown := queue["next"]) is not None:
        seen.append(shown)
        better = next(text for text in (shown["first"], shown["second"]) if text.startswith("rag"))
        body = {"example_id": shown["example_id"], "better": better, "voter": voter}
        queue = client.post(PAIRS, json=body).json()
    return seen


@pytest.mark.usefixtures("finished")
def test_pairs_of_different_answers_are_voted_on_blindly_and_become_labels(client: TestClient, tmp_path: Path) -> None:
    seen, others = pairs_of(client, "ada"), pairs_of(client, "bob")
    assert len(seen) == N // 2  # where both say the same there is nothing to choose
    assert 0 < len(others) < len(seen)
    assert {one["first"].split()[0] for one in seen} == {"base", "rag"}  # either may stand first
    (tally,) = client.get("/v1/comparisons/now/votes").json()["items"]
    assert (tally["n_first"], tally["n_second"]) == (0, len(seen) + len(others))
    (tmp_path / HUMAN_LABELS_FILE).write_bytes(client.get(f"{URL}.jsonl").content)
    examples = [Example(f"q{i}", "?", ("same",), (), f"g{i}", Split.TEST) for i in range(N)]
    values = label_values(load_human_labels(tmp_path, examples))
    assert values["q0", PREFERENCE, "rag 0"] == 1
    assert values["q0", PREFERENCE, "base 0"] == 0
    refused = client.post(PAIRS, json={"example_id": "q0", "better": "made up"})
    assert refused.status_code == 422
    assert "no pair of now holds this answer" in refused.json()["detail"]


@pytest.mark.usefixtures("finished")
def test_an_answer_that_nobody_gave_is_refused(client: TestClient) -> None:
    reply = client.post(URL, json={"example_id": "q0", "answer": "made up", "good": True})
    assert reply.status_code == 422
    assert "no candidate of now gave this answer" in reply.json()["detail"]
    assert asked(client)["n_voters"] == 0


def test_a_comparison_without_answers_has_no_queue(client: TestClient, engine: Engine) -> None:
    assert client.get(URL).status_code == 404
    create_comparison(engine, comparison_id="now", name="n", dataset="tiny", settings={"pipelines": ["base"]})
    assert client.get(URL).status_code == 409
