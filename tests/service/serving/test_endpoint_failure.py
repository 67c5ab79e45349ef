"""A hosted model that fails while the service is well: told as such, and not as a mistake of the caller."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import httpx2
import pytest
from sqlalchemy import Engine

from advisor.results.json_report import json_report
from lm.completion import GenerationConfig, Message, Role
from lm.endpoint.connection import guard_connections
from lm.endpoint.openai_compatible import OpenAICompatibleModel
from lm.errors import ConfigError, LanguageModelError
from rag.errors import IndexingError
from rag.openai_embedder import OpenAIEmbedder
from service.api.service_settings import ServiceSettings
from service.contract.comparison_state import ComparisonState
from service.contract.scope import Scope
from service.run.workflow import run_comparison
from service.safety.endpoint_guard import AllowedEndpoints, EndpointGuard
from service.safety.guarded_transport import guarded_client
from service.serving.arms import Arms
from service.serving.endpoint_failure import endpoint_failure
from service.serving.errors import EndpointFailedError, EndpointTimeoutError
from service.serving.limits import ServingLimits
from service.serving.pipelines import ServedPipelines
from service.serving.servable import Servable, read_servable
from service.store.api_keys import create_key, list_keys
from service.store.key_budget import KeyBudget
from tests.service.serving.conftest import HostedLocal
from tests.service.serving.hosted_endpoint import BROKEN_OFF, HostedEndpoint

ANSWERS = "/v1/comparisons/one/pipelines/base/answers"
SIDE_BY_SIDE = "/v1/comparisons/one/answers"
CHAT = "/v1/chat/completions"
BODIES: dict[str, Any] = {
    ANSWERS: {"questions": ["Why 7?"]},
    f"{ANSWERS}/stream": {"question": "Why 7?"},
    SIDE_BY_SIDE: {"question": "Why 7?"},
    CHAT: {"model": "one/base", "messages": [{"role": "user", "content": "Why 7?"}]},
}
TROUBLES = {
    "down": (None, 502, "cannot be reached", "start it, or try again later"),
    "broken": (500, 502, "failed (HTTP 500)", "see what it logs"),
    "overloaded": (503, 502, "failed (HTTP 503)", "try again later"),
    "no key": (401, 502, "failed (HTTP 401)", "the operator sets it in the environment"),
    "unknown model": (404, 502, "failed (HTTP 404)", "start the model there"),
    "rate limit": (429, 502, "failed (HTTP 429)", "raise the quota"),
    "late gateway": (504, 504, "failed (HTTP 504)", "try again later"),
    "silent": ("silent", 504, "is late", "try again later"),
}


@pytest.fixture
def database_kind() -> str:
    """One kind: no endpoint knows which it is."""
    return "sqlite"


def served_here(service: Any, hosted: Any, limits: ServingLimits | None = None) -> ServedPipelines:
    directory, limits = hosted[0].directory, limits or ServingLimits()
    read = partial(read_servable, service.engine, directory)
    return ServedPipelines(directory, read, limits=limits, arms=Arms(directory, limits))


@pytest.fixture
def service(engine: Engine, hosted: tuple[Any, Servable], service_class: Any) -> Iterator[Any]:
    """The service with its own client of endpoints, in this process."""
    service = service_class(engine, hosted, None)
    service.app.state.served = served_here(service, hosted)
    with service.client:
        yield service


@pytest.fixture
def trouble(endpoint: HostedEndpoint) -> Iterator[Callable[[str], tuple[int, str, str]]]:
    """Lets trouble begin, and says how it must be told."""

    def begin(name: str) -> tuple[int, str, str]:
        endpoint.trouble, *expected = TROUBLES[name]
        if name == "down":
            endpoint.stop()
        return tuple(expected)  # type: ignore[return-value]

    yield begin
    endpoint.trouble = None
    endpoint.stop()
    endpoint.start()


def ask(service: Any, address: str) -> Any:
    return service.client.post(address, json=BODIES[address])


def test_a_hosted_model_answers(service: Any) -> None:
    for address in BODIES:
        assert ask(service, address).status_code == 200, address


def test_a_key_pays_for_what_it_asks_and_is_refused_at_its_limit(service: Any) -> None:
    model = {"usd_per_million_input_tokens": 1000, "usd_per_million_output_tokens": 1000}
    told = {"source": "a test", "as_of": "2026-01-01"}
    service.settings |= {"price_list": told | {"models": {"m": model | told}}}
    service.add("priced")
    bodies = {address.replace("one", "priced"): body for address, body in BODIES.items()}
    bodies[CHAT] = BODIES[CHAT] | {"model": "priced/base"}
    key, secret = create_key(service.engine, "limited", [Scope.RUN], max_spend_usd=0.001 + 0.022 * len(bodies))
    service.client.headers["Authorization"] = f"Bearer {secret}"
    for address, body in bodies.items():
        assert service.client.post(address, json=body).status_code == 200, address
    assert list_keys(service.engine)[0].spent_usd > 0.02 * len(bodies)
    KeyBudget(service.engine, key.id).spend(1.0)
    for address, body in bodies.items():
        refused = service.client.post(address, json=body)
        if address.endswith("priced/answers"):
            assert all("may spend $0.00 more" in arm["error"] for arm in refused.json()["arms"])
        else:
            # OpenAI's clients would try 409 again and again.
            status = 400 if address == CHAT else 409
            assert (refused.status_code, "may spend $0.00 more" in refused.text) == (status, True), address
    unpriced = create_key(service.engine, "other", [Scope.RUN], max_spend_usd=1)[1]
    refused = service.client.post(ANSWERS, json=BODIES[ANSWERS], headers={"Authorization": f"Bearer {unpriced}"})
    assert (refused.status_code, "has no price" in refused.text) == (422, True)


def test_a_service_of_ones_own_is_paid_by_the_key_as_declared_and_else_refused(
    service: Any, hosted: tuple[Any, Servable], endpoint: HostedEndpoint, trouble: Any
) -> None:
    workplace, servable = hosted
    arms, declared = (f"app=external:{endpoint.url}",), ("app.usd_per_question=0.25",)
    settings = replace(servable.settings, arms=arms, declared=declared)
    service.report = json_report(run_comparison(settings, workplace.directory, HostedLocal, "hosted")).encode()
    service.settings |= {"arms": arms, "declared": declared}
    service.add("two")
    service.settings |= {"declared": ()}
    service.add("undeclared")
    secret = create_key(service.engine, "limited", [Scope.RUN], max_spend_usd=0.4)[1]
    service.client.headers["Authorization"] = f"Bearer {secret}"

    def asked(comparison_id: str) -> Any:
        address = f"/v1/comparisons/{comparison_id}/pipelines/app/answers"
        return service.client.post(address, json=BODIES[ANSWERS])

    (told,) = asked("two").json()["answers"]
    assert (told["cost_usd"], list_keys(service.engine)[0].spent_usd) == (0.25, 0.25)
    refused = asked("undeclared")
    assert (refused.status_code, "or with ARM.usd_per_question declared" in refused.text) == (422, True)
    trouble("overloaded")
    failed = asked("two")
    assert (failed.status_code, "gave no answer" in failed.text) == (502, True)
    assert list_keys(service.engine)[0].spent_usd == 0.25


def test_what_the_operator_lists_no_more_is_neither_asked_nor_deployed_nor_resumed(service: Any) -> None:
    service.add("stopped", ComparisonState.FAILED)
    context = service.app.state.context
    service.app.state.context = replace(context, settings=ServiceSettings(allow_models=("hf:org/*",)))
    deploying = "/v1/deployments/production"
    deployment = {"comparison_id": "one", "kind": "base"}
    replies = {address: ask(service, address) for address in BODIES}
    replies |= {deploying: service.client.put(deploying, json=deployment)}
    replies |= {"resume": service.client.post("/v1/comparisons/stopped/resume")}
    for address, reply in replies.items():
        assert (reply.status_code, "`tuningfork serve --allow-models`" in reply.text) == (403, True), address
    service.app.state.context = replace(
        context, settings=ServiceSettings(allow_models=("openai:m@http://127.0.0.1:*",))
    )
    assert ask(service, SIDE_BY_SIDE).status_code == 200
    assert service.client.put(deploying, json=deployment).status_code == 200
    service.app.state.context = context
    # Without a list a key names no such model, but asks what was compared.
    key = {"Authorization": f"Bearer {create_key(service.engine, 'k', [Scope.RUN])[1]}"}
    assert service.client.post(ANSWERS, json=BODIES[ANSWERS], headers=key).status_code == 200


@pytest.mark.parametrize("name", [name for name in TROUBLES if name != "silent"])
def test_an_endpoint_that_fails_is_named_with_the_remedy(
    service: Any, endpoint: HostedEndpoint, trouble: Any, name: str
) -> None:
    ask(service, ANSWERS)
    status, *told = trouble(name)
    for address in BODIES:
        reply = ask(service, address)
        assert reply.status_code == status, (address, reply.text)
        if address == CHAT:
            error = reply.json()["error"]
            assert error["type"] == "server_error"
            detail = error["message"]
        else:
            assert reply.headers["content-type"] == "application/problem+json"
            detail = reply.json()["detail"]
        assert f"127.0.0.1:{endpoint.port}/v1" in detail
        assert all(part in detail for part in told), detail
        assert "sk-secret" not in reply.text


def test_a_page_instead_of_an_answer_is_the_endpoint_s_failure(service: Any, endpoint: HostedEndpoint) -> None:
    endpoint.trouble = "<html>Back soon</html>"
    try:
        reply = ask(service, ANSWERS)
    finally:
        endpoint.trouble = None
    assert reply.status_code == 502
    assert f"{endpoint.url} responded, but not with a chat completion" in reply.json()["detail"]


def test_an_endpoint_that_is_silent_is_named_in_time(
    engine: Engine, hosted: Any, service_class: Any, endpoint: HostedEndpoint, trouble: Any
) -> None:
    service = service_class(engine, hosted, None)
    service.app.state.served = served_here(service, hosted, ServingLimits(timeout_s=0.5))
    with service.client:
        assert ask(service, ANSWERS).status_code == 200
        status, *told = trouble("silent")
        for address in BODIES:
            reply = ask(service, address)
            assert reply.status_code == status == 504
            assert all(part in reply.text for part in (f"127.0.0.1:{endpoint.port}/v1", *told))
        endpoint.over.set()


def test_one_arm_that_answers_is_enough_for_a_side_by_side(service: Any, trouble: Any, hosted: Any) -> None:
    ask(service, SIDE_BY_SIDE)
    served = service.app.state.served
    answer = served.answer

    async def only_base(comparison_id: str, kind: str, questions: Any, *, budget: Any) -> Any:
        if kind == "base":
            return await answer(comparison_id, kind, questions, budget=budget)
        raise EndpointFailedError("the endpoint is down")

    served.answer = only_base
    body = ask(service, SIDE_BY_SIDE).json()
    assert [arm["error"] for arm in body["arms"]] == [None, "the endpoint is down"]


def test_an_answer_that_breaks_off_is_told_in_the_stream(service: Any, endpoint: HostedEndpoint, trouble: Any) -> None:
    endpoint.trouble = BROKEN_OFF
    *_, (name, problem) = [
        (block.split("\n")[0], json.loads(block.split("data: ")[1]))
        for block in ask(service, f"{ANSWERS}/stream").text.strip().split("\n\n")
    ]
    assert (name, problem["status"]) == ("event: problem", 502)
    assert "broke off" in problem["detail"]
    body = BODIES[CHAT] | {"stream": True}
    *_, last = service.client.post(CHAT, json=body).text.strip().split("\n\n")
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "endpoint_failed"


def test_a_question_that_the_endpoint_refuses_is_the_caller_s(service: Any, endpoint: HostedEndpoint) -> None:
    endpoint.trouble = 400
    try:
        replies = {address: ask(service, address).status_code for address in (ANSWERS, CHAT)}
    finally:
        endpoint.trouble = None
    assert replies == {ANSWERS: 422, CHAT: 400}


def test_an_address_that_the_service_does_not_connect_to_stays_the_caller_s_mistake(service: Any) -> None:
    guard_connections(EndpointGuard(AllowedEndpoints()).client_for)
    try:
        replies = {address: ask(service, address) for address in (ANSWERS, CHAT)}
    finally:
        guard_connections(None)
    assert {address: reply.status_code for address, reply in replies.items()} == {ANSWERS: 409, CHAT: 400}
    assert all("does not connect to '127.0.0.1'" in reply.text for reply in replies.values())


def failure_of(handler: Callable[[httpx2.Request], httpx2.Response], url: str = "https://user.example/v1") -> Any:
    with httpx2.Client(transport=httpx2.MockTransport(handler)) as client:
        return failure_with(client, url)


def failure_with(client: httpx2.Client, url: str) -> Any:
    model = OpenAICompatibleModel("m", base_url=url, http_client=client, max_retries=0)
    with pytest.raises(LanguageModelError) as raised:
        model.generate([(Message(Role.USER, "Why?"),)], GenerationConfig())
    return endpoint_failure(raised.value, None)


def test_time_running_out_on_the_line_is_a_timeout() -> None:
    def late(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("late", request=request)

    failure = failure_of(late)
    assert isinstance(failure, EndpointTimeoutError)
    assert "https://user.example/v1/chat/completions did not answer in time" in str(failure)


def test_a_hosted_embedder_that_fails_is_told_as_well() -> None:
    def broken(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(503, headers={"retry-after-ms": "1"})

    with httpx2.Client(transport=httpx2.MockTransport(broken)) as client:
        embedder = OpenAIEmbedder("e", base_url="https://user.example/v1", http_client=client)
        with pytest.raises(IndexingError) as raised:
            embedder.embed(["Why?"])
    failure = endpoint_failure(raised.value, None)
    assert "https://user.example/v1/embeddings failed (HTTP 503)" in str(failure)


def test_keys_in_an_address_are_not_repeated() -> None:
    failure = failure_of(lambda _: httpx2.Response(500), "https://user.example:81/v1?api-key=sk-secret")
    assert isinstance(failure, EndpointFailedError)
    assert "https://user.example:81/" in str(failure)
    assert "sk-secret" not in str(failure)


def test_an_address_that_turns_private_between_two_looks_is_refused_and_not_down() -> None:
    looks = iter([["93.184.215.14"], ["127.0.0.1"]])
    guard = EndpointGuard(AllowedEndpoints(), resolve=lambda *_: next(looks))
    guard.addresses("user.example", 443)
    with guarded_client(guard) as client:
        assert failure_with(client, "https://user.example/v1") is None


@pytest.mark.parametrize("error", [ConfigError("no"), LanguageModelError("no")])
def test_failures_of_this_machine_are_no_endpoint_s(error: Any) -> None:
    assert endpoint_failure(error, None) is None
