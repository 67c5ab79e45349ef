import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from lm.completion import Completion, FinishReason, GenerationConfig, Message, Messages, Role, Usage
from lm.constraint import JsonSchema, OneOf
from lm.endpoint.openai_compatible import OpenAICompatibleModel
from lm.endpoint.response_format import WRAPPER_TOKENS
from lm.errors import ConfigError, LanguageModelError

URL = "http://localhost:8000/v1"
CONFIG = GenerationConfig(max_output_tokens=8, batch_size=4)
PROMPT: Messages = (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "How long is the warranty?"))
Handler = Callable[[httpx2.Request], httpx2.Response]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "OPENAI_API_KEY",
        "TUNING_FORK_MODEL_API_KEY",
        "TUNING_FORK_MODEL_URL",
        "AZURE_OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "OPENAI_API_VERSION",
    ):
        monkeypatch.delenv(name, raising=False)


def _model(
    handler: Handler, *, model: str = "small", base_url: str | None = URL, **options: Any
) -> OpenAICompatibleModel:
    client = httpx2.Client(transport=httpx2.MockTransport(handler))
    return OpenAICompatibleModel(model, base_url=base_url, http_client=client, **options)


def _reply(
    text: str | None, *, finish_reason: str = "stop", usage: tuple[int, int] | None = (20, 3)
) -> httpx2.Response:
    body: dict[str, Any] = {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "small",
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text}}],
    }
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return httpx2.Response(200, json=body)


def _error(status: int, message: str = "no", *, code: str | None = None, param: str | None = None) -> httpx2.Response:
    body = {"error": {"message": message, "code": code, "param": param}}
    return httpx2.Response(status, json=body, headers={"retry-after-ms": "1"})


def _sent(request: httpx2.Request) -> dict[str, Any]:
    return dict(json.loads(request.content))


def test_request_carries_messages_and_settings_and_the_reply_its_usage() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return _reply(" Two years. ")

    completion = _model(answer).generate([PROMPT], CONFIG)[0]
    assert completion.text == "Two years."
    assert completion.finish_reason is FinishReason.STOP
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (20, 3)
    assert str(seen[0].url) == f"{URL}/chat/completions"
    assert _sent(seen[0]) == {
        "model": "small",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "How long is the warranty?"},
        ],
        "max_tokens": 8,
        "temperature": 0.0,
        "stream": False,
    }


def test_seed_is_sent_only_when_sampling() -> None:
    seen: list[dict[str, Any]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(_sent(request))
        return _reply("x")

    _model(answer).generate([PROMPT], GenerationConfig(temperature=0.7, seed=11))
    assert (seen[0]["temperature"], seen[0]["seed"]) == (0.7, 11)


def test_answers_keep_the_callers_order_and_requests_stay_within_the_batch_size() -> None:
    lock = threading.Lock()
    first_in = threading.Event()
    running, most = 0, 0

    def answer(request: httpx2.Request) -> httpx2.Response:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        number = int(_sent(request)["messages"][0]["content"])
        if number == 0:
            first_in.wait(timeout=10)
        elif number == 3:
            first_in.set()
        with lock:
            running -= 1
        return _reply(str(number))

    prompts = [(Message(Role.USER, str(i)),) for i in range(12)]
    completions = _model(answer).generate(prompts, CONFIG)
    assert [completion.text for completion in completions] == [str(i) for i in range(12)]
    assert 2 <= most <= CONFIG.batch_size


def test_no_prompts_send_nothing() -> None:
    assert _model(lambda request: pytest.fail("asked")).generate([], CONFIG) == []


def test_missing_usage_is_estimated_from_above() -> None:
    model = _model(lambda request: _reply("Two years.", usage=None))
    usage = model.generate([PROMPT], CONFIG)[0].usage
    assert usage.input_tokens == model.count_tokens(PROMPT) > 15
    assert usage.output_tokens == 5


def test_finish_reasons_and_an_empty_answer_are_told_apart() -> None:
    for given, expected in (
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("content_filter: PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER),
    ):
        completion = _model(lambda request, given=given: _reply(None, finish_reason=given)).generate([PROMPT], CONFIG)[
            0
        ]
        assert (completion.text, completion.finish_reason) == ("", expected)


def test_stop_texts_are_sent_and_cut_off_even_if_the_server_ignores_them() -> None:
    seen: list[dict[str, Any]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(_sent(request))
        return _reply("Two years.\nQuestion: more", finish_reason="length")

    completion = _model(answer).generate([PROMPT], GenerationConfig(stop=("\nQuestion:",)))[0]
    assert (completion.text, completion.finish_reason) == ("Two years.", FinishReason.STOP)
    assert seen[0]["stop"] == ["\nQuestion:"]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_passing_failures_are_tried_again(status: int) -> None:
    replies = iter([_error(status), _error(status), _reply("fine")])
    assert _model(lambda request: next(replies)).generate([PROMPT], CONFIG)[0].text == "fine"


def test_retries_are_bounded_and_a_rate_limit_says_what_to_do() -> None:
    calls: list[int] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        calls.append(1)
        return _error(429, "slow down")

    with pytest.raises(LanguageModelError, match=r"rate limit or quota: .*slow down.*lower batch_size"):
        _model(answer, max_retries=2).generate([PROMPT], CONFIG)
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (_error(401), r"refused the key \(HTTP 401\); set TUNING_FORK_MODEL_API_KEY"),
        (_error(403), r"refused the key \(HTTP 403\)"),
        (_error(404), r"the model 'small' at http://localhost:8000/v1 does not exist .*ends in /v1"),
        (_error(400, "This model's maximum context length is 4096 tokens"), r"no room for an answer .*4096 tokens"),
        (_error(400, "too long", code="context_length_exceeded"), "no room for an answer"),
        (_error(400, "bad messages"), r"failed \(HTTP 400\): .*bad messages"),
        (
            httpx2.Response(200, text="<html>hello</html>"),
            r"not with a chat completion; the base URL usually ends in /v1",
        ),
        (httpx2.Response(200, json={"models": []}), r"not with a chat completion; the base URL usually ends in /v1"),
    ],
)
def test_lasting_failures_are_explained_and_not_tried_again(reply: httpx2.Response, message: str) -> None:
    calls: list[int] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        calls.append(1)
        return reply

    with pytest.raises(LanguageModelError, match=message):
        _model(answer).generate([PROMPT], CONFIG)
    assert len(calls) == 1


def test_unreachable_endpoint_is_named_with_the_remedy() -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("connection refused", request=request)

    with pytest.raises(
        LanguageModelError, match=r"cannot reach http://localhost:8000/v1 \(connection refused\); start"
    ):
        _model(refuse, max_retries=0).generate([PROMPT], CONFIG)


def test_timeout_is_named() -> None:
    def hang(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadTimeout("late", request=request)

    with pytest.raises(LanguageModelError, match="did not answer in time"):
        _model(hang, max_retries=0).generate([PROMPT], CONFIG)


def test_one_failure_fails_the_batch() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return _error(400, "bad") if _sent(request)["messages"][0]["content"] == "3" else _reply("fine")

    prompts = [(Message(Role.USER, str(i)),) for i in range(8)]
    with pytest.raises(LanguageModelError, match="bad"):
        _model(answer).generate(prompts, CONFIG)


def test_refused_max_tokens_is_renamed_and_remembered() -> None:
    seen: list[dict[str, Any]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent = _sent(request)
        seen.append(sent)
        if "max_tokens" in sent:
            return _error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return _reply("fine")

    model = _model(answer)
    assert [model.generate([PROMPT], CONFIG)[0].text for _ in range(2)] == ["fine", "fine"]
    assert [sent.get("max_completion_tokens") for sent in seen] == [None, 8, 8]


def test_settings_a_reasoning_model_refuses_are_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        sent = _sent(request)
        for name in ("temperature", "stop"):
            if name in sent:
                return _error(400, "unsupported value", param=name)
        return _reply("fine. Stop")

    completion = _model(answer).generate([PROMPT], GenerationConfig(stop=("Stop",)))[0]
    assert completion.text == "fine."
    assert [record.args for record in caplog.records] == [
        (f"openai:small@{URL}", "temperature"),
        (f"openai:small@{URL}", "stop"),
    ]


LABELS = GenerationConfig(max_output_tokens=8, constraint=OneOf(("billing", "other")))
OPEN_RECORD = GenerationConfig(max_output_tokens=8, constraint=JsonSchema('{"type": "object"}'))


def _takes(n_refusals: int, error: httpx2.Response, seen: list[dict[str, Any]]) -> Handler:
    """An endpoint that refuses its first requests with a constraint."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(_sent(request))
        asked = [sent for sent in seen if "response_format" in sent]
        if "response_format" in seen[-1] and len(asked) <= n_refusals:
            return error
        return _reply('{"answer": "billing"}' if "response_format" in seen[-1] else "It is billing.")

    return answer


def test_labels_are_asked_for_by_response_format_and_come_back_plain() -> None:
    seen: list[dict[str, Any]] = []
    completion = _model(_takes(0, _error(500), seen)).generate([PROMPT], LABELS)[0]
    assert (completion.text, completion.constraint_refused) == ("billing", False)
    schema = seen[0]["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["properties"]["answer"]["enum"] == ["billing", "other"]
    assert seen[0]["max_tokens"] == 8 + WRAPPER_TOKENS


def test_a_schema_is_asked_for_as_it_is_and_has_no_room_added() -> None:
    seen: list[dict[str, Any]] = []
    completion = _model(_takes(0, _error(500), seen)).generate([PROMPT], OPEN_RECORD)[0]
    assert completion.text == '{"answer": "billing"}'
    assert (seen[0]["response_format"]["json_schema"]["strict"], seen[0]["max_tokens"]) == (False, 8)


@pytest.mark.parametrize(
    "error",
    [
        _error(400, "Invalid schema for response_format 'answer': 'minLength' is not permitted.", param="x"),
        _error(400, "not supported", param="response_format"),
        _error(422, "unknown field response_format"),
    ],
)
def test_an_endpoint_without_constraints_is_asked_freely_from_then_on_and_each_answer_says_so(
    error: httpx2.Response, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[dict[str, Any]] = []
    model = _model(_takes(99, error, seen))
    completions = [model.generate([PROMPT], LABELS)[0] for _ in range(2)]
    assert [(c.text, c.constraint_refused) for c in completions] == [("It is billing.", True)] * 2
    strict = [sent["response_format"]["json_schema"]["strict"] if "response_format" in sent else None for sent in seen]
    assert strict == [True, False, None, None]
    assert seen[-1]["max_tokens"] == 8
    assert [str(record.args and record.args[1]) for record in caplog.records] == [  # type: ignore[index]
        "strict of response_format",
        "response_format",
    ]
    assert model.generate([PROMPT], CONFIG)[0].constraint_refused is False


def test_an_endpoint_that_refuses_only_strict_is_given_the_schema_without_it() -> None:
    seen: list[dict[str, Any]] = []
    completion = _model(_takes(1, _error(400, "no", param="response_format"), seen)).generate([PROMPT], LABELS)[0]
    assert (completion.text, completion.constraint_refused) == ("billing", False)
    assert [sent["response_format"]["json_schema"]["strict"] for sent in seen] == [True, False]


def test_refusals_at_the_same_time_drop_one_setting() -> None:
    both_in = threading.Barrier(2, timeout=10)

    def answer(request: httpx2.Request) -> httpx2.Response:
        if _sent(request)["response_format"]["json_schema"]["strict"]:
            both_in.wait()
            return _error(400, "no", param="response_format")
        return _reply('{"answer": "other"}')

    completions = _model(answer).generate([PROMPT] * 2, LABELS)
    assert [(c.text, c.constraint_refused) for c in completions] == [("other", False)] * 2


def test_tokens_that_the_endpoint_had_cached_are_told_within_the_prompt() -> None:
    def answer(details: Any) -> Usage:
        body = json.loads(_reply("x").content)
        body["usage"]["prompt_tokens_details"] = details
        return _model(lambda request: httpx2.Response(200, json=body)).generate([PROMPT], CONFIG)[0].usage

    assert [answer(d).cached_tokens for d in ({"cached_tokens": 16}, {"cached_tokens": 99}, {}, None)] == [16, 20, 0, 0]
    assert answer({"cached_tokens": 16}).input_tokens == 20


def _events(*pieces: str | None) -> httpx2.Response:
    rows = [
        {
            "id": "1",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "small",
            "choices": [{"index": 0, "delta": {} if piece is None else {"content": piece}, "finish_reason": None}],
        }
        for piece in pieces
    ]
    text = "".join(f"data: {json.dumps(row)}\n\n" for row in rows) + "data: [DONE]\n\n"
    return httpx2.Response(200, text=text, headers={"content-type": "text/event-stream"})


def test_stream_yields_pieces_that_join_to_the_answer() -> None:
    pieces = list(_model(lambda request: _events(None, " Two", " years", ". ", "")).stream(PROMPT, CONFIG))
    assert pieces == ["Two", " years", "."]


def test_stream_holds_back_what_may_become_a_stop_text() -> None:
    model = _model(lambda request: _events("Two years", "\nQues", "tion:", " more"))
    assert list(model.stream(PROMPT, GenerationConfig(stop=("\nQuestion:",)))) == ["Two years"]
    model = _model(lambda request: _events("Two years", "\nQues", "t done"))
    assert "".join(model.stream(PROMPT, GenerationConfig(stop=("\nQuestion:",)))) == "Two years\nQuest done"


def test_a_stream_that_has_to_be_unwrapped_comes_as_a_whole() -> None:
    def streamed(config: GenerationConfig) -> tuple[list[str], Completion]:
        stream = _model(lambda request: _events('{"ans', 'wer": "bil', 'ling"}')).stream(PROMPT, config)
        pieces: list[str] = []
        while True:
            try:
                pieces.append(next(stream))
            except StopIteration as end:
                return pieces, end.value

    pieces, completion = streamed(LABELS)
    assert (pieces, completion.text) == (["billing"], "billing")
    pieces, completion = streamed(OPEN_RECORD)
    assert (len(pieces), completion.text) == (3, '{"answer": "billing"}')


def test_of_an_answer_far_beyond_its_limit_no_more_is_read_than_the_limit_could_be() -> None:
    n_sent = 0

    def parts() -> Iterator[bytes]:
        nonlocal n_sent
        row = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
        row |= {"choices": [{"index": 0, "delta": {"content": "ab " * 1000}, "finish_reason": None}]}
        while True:
            n_sent += 1
            yield f"data: {json.dumps(row)}\n\n".encode()

    endless = httpx2.Response(200, content=parts(), headers={"content-type": "text/event-stream"})
    stream, pieces = _model(lambda request: endless).stream(PROMPT, CONFIG), []
    with pytest.raises(StopIteration) as end:
        while True:
            pieces.append(next(stream))
    whole = _model(lambda request: _reply("ab " * 100_000)).generate([PROMPT], CONFIG)[0]
    for completion in (end.value.value, whole):
        assert completion.text.startswith("ab ab")
        assert CONFIG.max_output_tokens < len(completion.text) < 1000
        assert completion.finish_reason is FinishReason.LENGTH
    assert "".join(pieces) == end.value.value.text
    assert n_sent < 100


def test_stream_failures_are_explained() -> None:
    with pytest.raises(LanguageModelError, match="HTTP 404"):
        list(_model(lambda request: _error(404)).stream(PROMPT, CONFIG))
    broken = httpx2.Response(
        200, text='data: {"error": {"message": "out of memory"}}\n\n', headers={"content-type": "text/event-stream"}
    )
    with pytest.raises(LanguageModelError, match="out of memory"):
        list(_model(lambda request: broken).stream(PROMPT, CONFIG))


def test_a_stream_without_any_choice_is_no_answer() -> None:
    page = httpx2.Response(200, text="<html>Sign in</html>", headers={"content-type": "text/html"})
    with pytest.raises(LanguageModelError, match="not with a chat completion"):
        list(_model(lambda request: page).stream(PROMPT, CONFIG))


def _key_sent(model_options: dict[str, Any]) -> str:
    seen: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.headers.get("authorization") or request.headers.get("api-key") or "")
        return _reply("x")

    _model(answer, **model_options).generate([PROMPT], CONFIG)
    return seen[0]


def test_keys_go_only_where_they_belong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert _key_sent({"base_url": None}) == "Bearer sk-openai"
    assert _key_sent({"base_url": URL}) == "Bearer none"
    for unencrypted in ("http://api.openai.com/v1", "http://firm.openai.azure.com/openai/v1"):
        assert _key_sent({"base_url": unencrypted}) == "Bearer none"
    monkeypatch.setenv("OPENAI_BASE_URL", URL)
    assert _key_sent({"base_url": None}) == _key_sent({"base_url": URL}) == "Bearer sk-openai"
    monkeypatch.setenv("TUNING_FORK_MODEL_API_KEY", "tf")
    monkeypatch.setenv("TUNING_FORK_MODEL_URL", "http://other:1/v1")
    assert _key_sent({"base_url": "http://other:1/v1"}) == "Bearer tf"


def test_openai_without_a_key_is_refused_at_once() -> None:
    with pytest.raises(LanguageModelError, match=r"https://api.openai.com/v1 needs a key; set OPENAI_API_KEY"):
        OpenAICompatibleModel("gpt-5-mini")
    with pytest.raises(LanguageModelError, match="AZURE_OPENAI_API_KEY"):
        OpenAICompatibleModel("mine", base_url="https://firm.openai.azure.com")


def test_azure_is_asked_the_azure_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "az")
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return _reply("x")

    for base_url in ("https://firm.openai.azure.com", "https://firm.openai.azure.com/openai/v1"):
        _model(answer, model="mine", base_url=base_url).generate([PROMPT], CONFIG)
    assert seen[0].url.path == "/openai/deployments/mine/chat/completions"
    assert seen[0].url.params["api-version"] == "2024-10-21"
    assert seen[0].headers["api-key"] == "az"
    assert seen[1].url.path == "/openai/v1/chat/completions"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "http://", "http://me:secret@host/v1"])
def test_urls_that_cannot_be_asked_are_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        OpenAICompatibleModel("small", base_url=url)
    assert "secret" not in str(caught.value)


def test_name_fingerprint_and_context_tell_endpoints_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    hosted, local = OpenAICompatibleModel("m"), OpenAICompatibleModel("m", base_url=URL + "/")
    assert (hosted.name, local.name) == ("openai:m", f"openai:m@{URL}")
    assert hosted.fingerprint != local.fingerprint
    assert (hosted.context_tokens, local.context_tokens) == (128_000, 8_192)
    assert OpenAICompatibleModel("m", base_url=URL, context_tokens=500).context_tokens == 500


def test_latency_is_the_share_of_the_batch() -> None:
    completions = _model(lambda request: _reply("x")).generate([PROMPT] * 3, CONFIG)
    assert len({completion.usage.latency_s for completion in completions}) == 1
    assert sum((completion.usage for completion in completions), Usage()).latency_s > 0


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<think>\nTwo, or three?\n</think>\n\nTwo years.", "Two years."),
        ("Two, or three? </think>Two years.", "Two years."),
        ("<think>a</think><think>b</think>Two years.", "Two years."),
        ("<think>Two, or", ""),
        ("<thin ice>", "<thin ice>"),
        ([{"type": "text", "text": "Two "}, {"type": "text", "text": "years."}], "Two years."),
        (
            [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Two."}],
            "Two.",
        ),
        ([{"type": "image_url"}, None, "x"], ""),
        (None, ""),
        (7, ""),
    ],
)
def test_the_answer_is_the_text_after_reasoning_however_it_is_sent(content: Any, text: str) -> None:
    assert _model(lambda _: _reply(content)).generate([PROMPT], CONFIG)[0].text == text


@pytest.mark.parametrize(
    ("code", "message"),
    [("content_filter", "no"), ("ResponsibleAIPolicyViolation", "no"), (None, "Azure's content management policy.")],
)
def test_a_prompt_the_filter_refuses_is_unanswered_and_the_others_go_on(code: str | None, message: str) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        refused = "warranty" in request.content.decode()
        return _error(400, message, code=code, param="prompt") if refused else _reply("Two.")

    other = (Message(Role.USER, "How many?"),)
    refused, answered = _model(answer).generate([PROMPT, other], CONFIG)
    assert (refused.text, refused.finish_reason) == ("", FinishReason.CONTENT_FILTER)
    assert answered.text == "Two."


def test_the_filter_is_known_by_azure_s_inner_error_too() -> None:
    body = {"error": {"code": "BadRequest", "message": "no", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}
    completion = _model(lambda _: httpx2.Response(400, json=body)).generate([PROMPT], CONFIG)[0]
    assert completion.finish_reason is FinishReason.CONTENT_FILTER


@pytest.mark.parametrize("message", [{"content": None, "refusal": "I can't help."}, {"refusal": "I can't help."}])
def test_a_model_that_declines_is_read_by_its_own_words(message: dict[str, Any]) -> None:
    body = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}]}
    completion = _model(lambda _: httpx2.Response(200, json=body)).generate([PROMPT], CONFIG)[0]
    assert (completion.text, completion.finish_reason) == ("I can't help.", FinishReason.STOP)


def test_a_withheld_answer_has_no_message_at_all() -> None:
    body = {"choices": [{"index": 0, "finish_reason": "content_filter"}]}
    completion = _model(lambda _: httpx2.Response(200, json=body)).generate([PROMPT], CONFIG)[0]
    assert (completion.text, completion.finish_reason) == ("", FinishReason.CONTENT_FILTER)
