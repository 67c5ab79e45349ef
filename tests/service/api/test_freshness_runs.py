from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from advisor.decision.freshness import Refresh
from service.contract.comparison_state import ComparisonState
from service.jobs.job import JobEnd, run_job
from service.run.finished.freshness_run import run_freshness
from service.run.progress import Progress
from service.run.side_run import work_on
from service.store.comparisons.comparison_store import find_comparison
from service.store.tables import FRESHNESS_RUN
from tests.service.api.conftest import Api
from tests.service.conftest import write_dataset
from tests.service.run.finished.test_freshness import Composition, write_revision

PATH = "/v1/freshness-runs"


class OnDisk(Composition):
    """Arms that rest on an index of this data directory."""

    def __init__(self, settings: Any, directory: Any, *_: object) -> None:
        super().__init__(settings)
        marker = directory.stage("indexes", "new-documents") / "whole.json"
        marker.parent.mkdir(exist_ok=True)
        self.stage_markers = [marker]


def compare(api: Api, client: TestClient, folder: Path) -> str:
    """The id of a finished comparison of arms with perfect memories, on an upload that has later editions."""
    write_revision(write_dataset(folder, 30) / "v2", range(9))
    paths = [path for path in folder.rglob("*") if path.is_file()]
    files = [("files", (path.relative_to(folder).as_posix(), path.read_bytes())) for path in paths]
    body = {"dataset": client.post("/v1/datasets", files=files).json()["version"], "arms": ["base", "rag"], "limit": 30}
    comparison_id: str = client.post("/v1/comparisons", json=body).json()["id"]
    end = run_job(api.engine, api.context.directory, comparison_id, Composition, lambda *_: "scripted")
    assert end is JobEnd.OVER
    return comparison_id


def work(api: Api, run_id: str, on_progress: Callable[[Progress], None] = lambda _: None) -> None:
    api.move(FRESHNESS_RUN + run_id, ComparisonState.RUNNING)
    stored = find_comparison(api.engine, FRESHNESS_RUN + run_id)
    work_on(api.engine, api.context.directory, stored, on_progress, partial(run_freshness, compose=OnDisk))


def test_arms_are_asked_again_and_what_that_made_goes_with_the_comparison(
    api: Api, client: TestClient, tmp_path: Path
) -> None:
    comparison_id = compare(api, client, tmp_path / "tiny")
    body, key = {"comparison_id": comparison_id}, {"Idempotency-Key": "nightly"}
    sent = client.post(PATH, json=body, headers=key)
    assert sent.status_code == 202
    run = sent.json()
    path = f"{PATH}/{run['id']}"
    assert (sent.headers["location"], run["state"], run["result"]) == (path, "queued", None)
    assert client.post(PATH, json=body, headers=key).json()["id"] == run["id"]
    assert api.submitted[-1] == FRESHNESS_RUN + run["id"]
    assert client.delete(f"/v1/comparisons/{comparison_id}").status_code == 409
    assert client.post(f"{path}/cancel").json()["state"] == "cancelled"
    assert client.post(f"{path}/resume").json()["state"] == "queued"
    told: list[Progress] = []
    work(api, run["id"], told.append)
    assert {one.arm for one in told} == {"base", "rag", "rag, re-indexed"}
    ended = client.get(path, params={"wait_s": 5}).json()
    assert (ended["state"], ended["comparison_id"]) == ("succeeded", comparison_id)
    assert (ended["result"]["n_facts"], ended["result"]["comparison"]) == (9, comparison_id)
    stale = {(one["arm"], one["refresh"]): one["parts"][0]["is_stale"]["interval"] for one in ended["result"]["states"]}
    assert [stale["rag", done]["estimate"] for done in (Refresh.NOTHING, Refresh.REINDEXED)] == [1, 0]
    listed = client.get(PATH, params={"comparison_id": comparison_id}).json()
    assert [one["id"] for one in listed["items"]] == [run["id"]]
    assert client.get(PATH, params={"comparison_id": "another"}).json()["total"] == 0
    assert client.get("/v1/comparisons").json()["total"] == 1
    others = {path.name: path.read_text() for path in write_revision(tmp_path / "others", range(6)).iterdir()}
    unknown = {"answers.jsonl": '{"group": "g0", "answers": ["x"], "document_id": "none"}'}
    for changed, why in ((unknown, "answers.jsonl:1: the document"), ({"answers.jsonl": "[" * 100}, "nested more")):
        refused = client.post(PATH, json=body | {"files": others | changed})
        assert (refused.status_code, why in refused.text, str(tmp_path) in refused.text) == (422, True, False)
    other = client.post(PATH, json=body | {"files": others}).json()["id"]
    work(api, other)
    assert client.get(f"{PATH}/{other}").json()["result"]["n_facts"] == 6
    assert client.delete(f"{PATH}/{other}").status_code == 204
    index = api.context.directory.root / "stages" / "indexes" / "new-documents"
    assert index.is_dir()
    assert client.delete(f"/v1/comparisons/{comparison_id}").status_code == 204
    assert client.get(path).status_code == 404
    assert not index.exists()


@pytest.mark.parametrize(
    ("finished", "status", "told"), [(None, 404, "no comparison"), (False, 409, "once it has succeeded")]
)
def test_only_finished_comparisons_are_asked_again(
    api: Api, client: TestClient, finished: bool | None, status: int, told: str
) -> None:
    if finished is False:
        api.add_comparison("some")
    reply = client.post(PATH, json={"comparison_id": "some"})
    assert (reply.status_code, told in reply.text) == (status, True)
