import json

import pytest
from fastapi.testclient import TestClient

from service.api.auth import RateLimits
from service.api.routes.shares import PER_MINUTE
from service.contract.scope import Scope
from tests.service.api.conftest import Api


@pytest.fixture
def finished(api: Api, finished_files: dict[str, bytes]) -> str:
    api.finish(api.add_comparison("tiny"), finished_files)
    return "tiny"


def link(client: TestClient, comparison_id: str) -> str:
    made = client.post(f"/v1/comparisons/{comparison_id}/share")
    assert made.status_code == 201
    return str(made.json()["path"])


def test_whoever_has_the_link_sees_the_verdict_without_a_key(
    api: Api, finished: str, finished_files: dict[str, bytes]
) -> None:
    path = link(api.client(key=api.key(Scope.RUN)), finished)
    shown = api.client(host="10.0.0.1").get(path)
    assert shown.status_code == 200
    report = json.loads(finished_files["report.json"])
    assert report["recommendation"]["headline"] in shown.text
    assert all(arm["kind"] in shown.text for arm in report["arms"])
    assert shown.headers["Cache-Control"] == "no-store"
    assert shown.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in shown.headers["Content-Security-Policy"]


def test_no_text_of_the_data_is_on_a_shared_page(
    api: Api, client: TestClient, finished: str, finished_files: dict[str, bytes]
) -> None:
    body = client.get(link(client, finished)).text
    records = [json.loads(line) for line in finished_files["results.jsonl"].splitlines()]
    texts = {text for one in records for text in (one["question"], one["example_id"], *one["references"])}
    texts |= {one["answer"]["text"] for one in records}
    texts |= {passage["text"] for one in records for passage in one["answer"]["retrieved"]}
    report = json.loads(finished_files["report.json"])
    texts |= {item for finding in report["findings"] for item in finding["items"]}
    texts |= {report["card"]["name"], report["card"]["description"], report["dataset_hash"]}
    assert texts - {""}
    assert not [text for text in texts if len(text) > 3 and text in body]


@pytest.mark.parametrize("token", ["x", "tfs_" + "x" * 43, "tfs_é"])
def test_an_unknown_link_opens_nothing(client: TestClient, token: str) -> None:
    assert client.get(f"/v1/shared/{token}").status_code == 404


def test_a_revoked_link_opens_nothing(client: TestClient, finished: str) -> None:
    path = link(client, finished)
    assert client.delete(f"/v1/comparisons/{finished}/share").status_code == 204
    assert client.get(path).status_code == 404


def test_a_new_link_ends_the_one_before(client: TestClient, finished: str) -> None:
    before, now = link(client, finished), link(client, finished)
    assert [client.get(path).status_code for path in (before, now)] == [404, 200]


def test_the_link_of_a_deleted_comparison_opens_nothing(client: TestClient, finished: str) -> None:
    path = link(client, finished)
    assert client.delete(f"/v1/comparisons/{finished}").status_code == 204
    assert client.get(path).status_code == 404


def test_what_is_not_finished_has_no_verdict_to_share(api: Api, client: TestClient) -> None:
    assert client.post(f"/v1/comparisons/{api.add_comparison('waits')}/share").status_code == 409
    assert client.post("/v1/comparisons/nothing/share").status_code == 404


def test_who_may_only_read_can_neither_share_nor_end_it(api: Api, finished: str) -> None:
    reader = api.client(key=api.key(Scope.READ))
    assert reader.post(f"/v1/comparisons/{finished}/share").status_code == 403
    assert reader.delete(f"/v1/comparisons/{finished}/share").status_code == 403


def test_a_link_cannot_be_opened_without_end(client: TestClient, finished: str) -> None:
    # Time stands still: a slow machine would be given the next minute's share.
    client.app.state.rate_limits = RateLimits(lambda: 0.0)  # type: ignore[attr-defined]
    path = link(client, finished)
    statuses = [client.get(path).status_code for _ in range(PER_MINUTE + 5)]
    assert statuses[0] == 200
    assert statuses[-1] == 429
