"""OpenAI's own client against a real server; what it would not send, by hand."""

import importlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from service.api.errors import Problem
from service.api.routes.openai import resolve_model
from service.contract.comparison_state import ComparisonState
from service.contract.scope import Scope
from service.run.workflow import run_comparison
from service.store.api_keys import create_key
from service.store.data_directory import DataDirectory
from tests.service.serving.conftest import ScriptedLocal

CHAT = "/v1/chat/completions"
MODEL = "one/rag"
MESSAGES = [{"role": "user", "content": "Which colour has number 7?"}]
JSON = {"content-type": "application/json"}
TEXT = "you asked 7? with 1 turns"


@pytest.fixture
def client(address: tuple[str, Any]) -> Iterator[openai.OpenAI]:
    url, service = address
    secret = create_key(service.engine, "ci", [Scope.RUN])[1]
    with openai.OpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0) as client:
        yield client


def test_the_official_client_gets_a_completion_with_usage_and_sources(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=MESSAGES)  # type: ignore[arg-type]
    assert completion.choices[0].message.content == TEXT
    assert completion.choices[0].message.role == "assistant"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == MODEL
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 6
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + 6
    told = completion.model_extra["tuning_fork"]  # type: ignore[index]
    assert (told["comparison_id"], told["kind"], told["ignored_messages"]) == ("one", "rag", 0)
    assert len(told["sources"]) == 3
    assert told["embedding_tokens"] == 5


def test_the_official_client_streams(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=MESSAGES,  # type: ignore[arg-type]
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(piece or "" for piece in pieces) == TEXT
    assert len([piece for piece in pieces if piece]) > 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 6
    assert len(chunks[-2].model_extra["tuning_fork"]["sources"]) == 3  # type: ignore[index]
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


def test_a_stream_without_usage_asked_for_has_none(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))  # type: ignore[arg-type]
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_the_official_client_lists_models_and_asks_an_alias(address: Any, client: openai.OpenAI) -> None:
    _, service = address
    admin = {"Authorization": f"Bearer {create_key(service.engine, 'admin', [Scope.ADMIN])[1]}"}
    put = {"comparison_id": "one", "kind": "base"}
    assert service.client.put("/v1/deployments/production", json=put, headers=admin).status_code == 200
    service.add("failed", ComparisonState.FAILED)
    assert [model.id for model in client.models.list()] == ["production", "one/base", "one/few-shot", "one/rag"]
    assert client.models.retrieve("one/rag").id == "one/rag"
    assert client.models.retrieve("production").owned_by == "tuning-fork"
    completion = client.chat.completions.create(model="production", messages=MESSAGES)  # type: ignore[arg-type]
    assert completion.model_extra["tuning_fork"]["kind"] == "base"  # type: ignore[index]


def test_the_official_client_raises_its_own_errors(address: Any, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model 'one/hybrid'.*GET /v1/models") as missing:
        client.chat.completions.create(model="one/hybrid", messages=MESSAGES)  # type: ignore[arg-type]
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("staging")
    with pytest.raises(openai.BadRequestError, match="tools = .* is not supported") as refused:
        client.chat.completions.create(
            model=MODEL,
            messages=MESSAGES,  # type: ignore[arg-type]
            tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}],
        )
    assert refused.value.param == "tools"
    stranger = client.with_options(api_key="tf_wrong")
    with pytest.raises(openai.AuthenticationError, match="the key is unknown"):
        stranger.models.list()


def test_decoding_is_honoured(client: openai.OpenAI) -> None:
    def ask(**options: Any) -> Any:
        return client.chat.completions.create(model=MODEL, messages=MESSAGES, **options).choices[0]  # type: ignore[call-overload]

    assert (ask(max_tokens=2).message.content, ask(max_tokens=2).finish_reason) == ("you asked", "length")
    assert ask(max_completion_tokens=3).message.content == "you asked 7?"
    assert ask(stop="with").message.content == "you asked 7?"
    assert ask(stop=["turns", "7"]).message.content == "you asked"
    assert ask(temperature=0.7, seed=3, n=1, top_p=1, user="me").message.content == TEXT


def post(service: Any, **body: Any) -> Any:
    return service.client.post(CHAT, content=json.dumps({"model": MODEL, "messages": MESSAGES} | body), headers=JSON)


def test_the_last_message_is_the_question_and_the_others_are_told_to_be_unread(service: Any) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why 1?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
        {"role": "assistant", "content": "Because.", "refusal": None},
        {"role": "user", "content": [{"type": "text", "text": "And "}, {"type": "text", "text": "what 2?"}]},
    ]
    body = post(service, messages=messages).json()
    assert body["choices"][0]["message"]["content"] == "you asked 2? with 1 turns"
    assert body["tuning_fork"]["ignored_messages"] == 6


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"n": 2}, "n"),
        ({"top_p": 0.5}, "top_p"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 0}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"presence_penalty": 1.5}, "presence_penalty"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"temprature": 0}, "temprature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 4, "max_completion_tokens": 5}, "max_tokens"),
        ({"stop": list("abcde")}, "stop"),
        ({"temperature": 3}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "Go on"}]}, "messages"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, None),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages"),
    ],
)
def test_what_is_not_done_here_is_refused_in_openai_s_words(service: Any, change: Any, param: str | None) -> None:
    reply = post(service, **change)
    assert reply.status_code == 400
    assert reply.headers["content-type"] == "application/json"
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert param is None or error["param"] == param
    assert service.desk.models == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"stop": list("abcde")}, "stop holds 5 texts; 4 are allowed"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "images"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, "audio"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, "files"),
        ({"messages": [{"role": "user", "content": None}]}, "write a question"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", 1]}, "stop"),
    ],
)
def test_a_refusal_is_in_words_and_not_in_those_of_a_validator(service: Any, change: Any, told: str) -> None:
    message = post(service, **change).json()["error"]["message"]
    assert told in message
    assert "constrained" not in message and "Input should" not in message


@pytest.mark.parametrize(
    "earlier",
    [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "function", "name": "f", "content": "42"},
        {"role": "developer", "content": "Be brief."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}], "name": "me"},
    ],
)
def test_earlier_turns_that_are_not_read_are_of_any_kind(service: Any, earlier: Any) -> None:
    messages = [{"role": "user", "content": "Why 1?"}, earlier, *MESSAGES]
    reply = post(service, messages=messages)
    assert (reply.status_code, reply.json()["tuning_fork"]["ignored_messages"]) == (200, 2)


def test_neutral_values_of_what_is_not_done_are_taken(service: Any) -> None:
    neutral = {
        "n": 1,
        "tools": [],
        "tool_choice": "auto",
        "logprobs": False,
        "response_format": {"type": "text"},
        "frequency_penalty": 0.0,
        "logit_bias": {},
        "stream": None,
        "stop": None,
    }
    assert post(service, **neutral).json()["choices"][0]["message"]["content"] == TEXT


def test_a_comparison_without_a_result_is_not_tried_again_and_again(service: Any) -> None:
    service.add("waiting", ComparisonState.RUNNING)
    reply = post(service, model="waiting/rag")
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "model_not_ready")
    assert "can be asked once it has succeeded" in reply.json()["error"]["message"]


def test_failures_after_the_first_piece_end_the_stream_with_an_error(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(service)  # loads the model

    def broken(*_: object) -> Iterator[str]:
        from lm.errors import LanguageModelError

        yield "you"
        raise LanguageModelError("the endpoint is down; start it")

    monkeypatch.setattr(service.desk.models[0], "stream", broken)
    reply = post(service, stream=True)
    rows = [json.loads(line.removeprefix("data: ")) for line in reply.text.split("\n") if line]
    assert rows[1]["choices"][0]["delta"]["content"] == "you"
    assert rows[-1]["error"]["message"] == "the endpoint is down; start it"
    assert "[DONE]" not in reply.text


@pytest.mark.parametrize(
    "model", ["one\0/rag", "one/ra\0g", "pro\0duction", "one/rag/", "/rag", "one/", "/", "One Two", "x" * 65, "one/r\n"]
)
def test_what_can_be_no_model_is_not_found_whatever_the_database(engine: Any, model: str) -> None:
    with pytest.raises(Problem, match="there is no model") as missing:
        resolve_model(engine, model)
    assert missing.value.status == 404


def test_keys_are_asked_for_in_openai_s_shape(service: Any) -> None:
    secret = create_key(service.engine, "reader", [Scope.READ])[1]
    missing = post(service)
    assert (missing.status_code, missing.json()["error"]["code"]) == (401, "invalid_api_key")
    service.client.headers["Authorization"] = f"Bearer {secret}"
    narrow = post(service)
    assert (narrow.status_code, narrow.json()["error"]["type"]) == (403, "permission_error")
    assert service.client.get("/v1/models").status_code == 200


@pytest.mark.parametrize(("measured_so", "asked", "ignored"), [(True, "before", 1), (False, "alone", 3)])
def test_earlier_turns_are_read_by_an_arm_that_was_measured_with_them(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch, measured_so: bool, asked: str, ignored: int
) -> None:
    # The package names the router as it names the module.
    module = importlib.import_module("service.api.routes.openai")
    monkeypatch.setattr(module, "holds_history", lambda *_: measured_so)
    earlier = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Which colour has number 5?"},
        {"role": "assistant", "content": [{"type": "text", "text": "Red."}]},
    ]
    completion = client.chat.completions.create(model=MODEL, messages=[*earlier, *MESSAGES])  # type: ignore[list-item]
    assert completion.model_extra["tuning_fork"]["ignored_messages"] == ignored  # type: ignore[index]
    text = completion.choices[0].message.content or ""
    assert ("Red." in text) == (asked == "before")


def test_another_comparison_takes_a_served_arm_for_an_outside_service(
    address: tuple[str, Any], compared: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, service = address
    monkeypatch.setenv("TUNING_FORK_MODEL_URL", f"{url}/v1")
    monkeypatch.setenv("TUNING_FORK_MODEL_API_KEY", create_key(service.engine, "ci", [Scope.RUN])[1])
    workplace, servable = compared
    folder = shutil.copytree(workplace.folder, tmp_path / "data")
    card = folder / "dataset.toml"
    card.write_text(card.read_text().replace('"abstention"]', '"abstention", "recall@3"]'))
    arms = (f"app=external:{url}/v1@{MODEL}",)
    settings = replace(servable.settings, dataset=str(folder), arms=arms, limit=30)
    comparison = run_comparison(settings, DataDirectory(tmp_path / "home"), ScriptedLocal, "")
    app = comparison.arm("app")
    recall = app.metric("recall@3")
    assert recall is not None and recall.interval is not None and recall.n > 0
    assert app.input_tokens is not None and app.input_tokens > 0
    records = (tmp_path / "home" / "comparisons" / comparison.id / "results.jsonl").read_text("utf-8")
    sources = json.loads(records.splitlines()[0])["answer"]["retrieved"]
    assert len(sources) == 3
    assert all(source["document_id"].startswith("d") and source["text"] for source in sources)
