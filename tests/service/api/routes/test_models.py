from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from advisor.money.prices import load_prices
from service.contract.scope import Scope
from service.serving import model_trial
from service.store.api_keys import create_key, list_keys
from tests.service.api.conftest import Api
from tests.service.serving.hosted_endpoint import HostedEndpoint

TRY = "/v1/models/try"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedEndpoint]:
    hosted = HostedEndpoint()
    monkeypatch.setenv("TUNING_FORK_ALLOWED_ENDPOINTS", "127.0.0.1")
    yield hosted
    hosted.stop()


def test_a_hosted_model_says_seconds_and_tokens(client: TestClient, endpoint: HostedEndpoint) -> None:
    found = client.post(TRY, json={"model": f"openai:m@{endpoint.url}"}).json()
    assert (found["is_ready"], found["tunable"], found["parameters"]) == (True, False, None)
    answer = found["answer"]
    assert (answer["text"], answer["input_tokens"], answer["output_tokens"]) == ("you asked", 20, 2)
    assert answer["question"] == model_trial.QUESTION
    assert answer["answer_s"] > 0
    assert "without a key" in found["message"]


def test_a_key_pays_for_the_answer_and_is_refused_where_its_cost_is_not_known(
    api: Api, endpoint: HostedEndpoint
) -> None:
    key, secret = create_key(api.engine, "limited", [Scope.RUN], max_spend_usd=1.0)
    priced, unpriced = (
        api.client(key=secret).post(TRY, json={"model": f"openai:{model}@{endpoint.url}"})
        for model in ("gpt-5.4-mini", "m")
    )
    price = load_prices().models["gpt-5.4-mini"]
    usd = (20 * price.usd_per_million_input_tokens + 2 * price.usd_per_million_output_tokens) / 1e6
    assert (priced.status_code, list_keys(api.engine)[0].spent_usd) == (200, pytest.approx(usd))
    assert (unpriced.status_code, "has no price" in unpriced.text) == (422, True)
    assert endpoint.n_asked == 1


@pytest.mark.parametrize(("trouble", "status"), [(401, 502), (500, 502), (504, 504), ("a page", 502)])
def test_an_endpoint_that_fails_is_told_as_a_problem(
    client: TestClient, endpoint: HostedEndpoint, trouble: int | str, status: int
) -> None:
    endpoint.trouble = trouble
    response = client.post(TRY, json={"model": f"openai:m@{endpoint.url}"})
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert "sk-secret" not in response.text


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("openai:m@http://169.254.169.254/v1", "169.254.169.254"),
        ("hf:/etc/passwd", "not a path of the server"),
        ("gguf:/srv/model.gguf", "hf:NAME"),
    ],
)
def test_what_a_comparison_refuses_is_not_tried(client: TestClient, model: str, told: str) -> None:
    response = client.post(TRY, json={"model": model})
    assert response.status_code == 422
    assert told in response.json()["detail"]


def test_a_model_that_is_not_here_is_not_fetched(
    client: TestClient,
) -> None:
    found = client.post(TRY, json={"model": "hf:nobody/has-this"}).json()
    assert (found["is_ready"], found["answer"], found["n_bytes"]) == (False, None, None)
    assert "will be downloaded when a comparison starts" in found["message"]


def test_a_key_that_is_missing_is_told(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    found = client.post(TRY, json={"model": "openai:m"}).json()
    assert (found["is_ready"], found["answer"]) == (False, None)
    assert "needs a key: set OPENAI_API_KEY" in found["message"]


def test_one_model_is_tried_at_a_time_and_by_who_may_run(api: Api, endpoint: HostedEndpoint) -> None:
    body = {"model": f"openai:m@{endpoint.url}"}
    with model_trial._one_at_a_time:
        busy = api.client().post(TRY, json=body)
        assert (busy.status_code, busy.headers["retry-after"]) == (429, "5")
        assert api.client().post(TRY, json={**body, "ask": False}).status_code == 200
    reader = api.client(key=api.key(Scope.READ), host="203.0.113.9").post(TRY, json=body)
    assert reader.status_code == 403
