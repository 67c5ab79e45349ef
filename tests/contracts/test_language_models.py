"""One suite that every kind of language model passes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from lm.completion import Completion, FinishReason, GenerationConfig, Message, Messages, Role
from lm.endpoint.openai_compatible import OpenAICompatibleModel
from lm.fake import FakeLM
from lm.language_model import LanguageModel
from lm.local.huggingface import load_huggingface_model

KINDS = ["fake", "huggingface", "huggingface with adapter", "openai"]
CONFIG = GenerationConfig(max_output_tokens=6, batch_size=2)
QUESTIONS = ["How long is the warranty?", "Why?", "Does the guarantee cover the filter, and for how long does it?"]
PROMPTS: list[Messages] = [(Message(Role.SYSTEM, "Be brief."), Message(Role.USER, text)) for text in QUESTIONS]


def _scripted(prompt: str) -> str:
    return f"{len(prompt)} is the answer to a question that goes on for long."


def _serve(request: httpx2.Request) -> httpx2.Response:
    """An endpoint whose tokens are words."""
    sent = json.loads(request.content)
    words = _scripted(sent["messages"][-1]["content"]).split(" ")[: sent["max_tokens"]]
    n_input = sum(len(message["content"].split()) for message in sent["messages"])
    head: dict[str, Any] = {"id": "1", "created": 0, "model": "m"}
    if sent["stream"]:
        pieces = [words[0], *(f" {word}" for word in words[1:])]
        choices = [{"index": 0, "delta": {"content": piece}, "finish_reason": None} for piece in pieces]
        choices[-1]["finish_reason"] = "length"
        rows = [json.dumps({**head, "object": "chat.completion.chunk", "choices": [choice]}) for choice in choices]
        text = "".join(f"data: {row}\n\n" for row in rows) + "data: [DONE]\n\n"
        return httpx2.Response(200, text=text, headers={"content-type": "text/event-stream"})
    message = {"role": "assistant", "content": " ".join(words)}
    return httpx2.Response(
        200,
        json={
            **head,
            "object": "chat.completion",
            "choices": [{"index": 0, "finish_reason": "length", "message": message}],
            "usage": {
                "prompt_tokens": n_input,
                "completion_tokens": len(words),
                "total_tokens": n_input + len(words),
            },
        },
    )


@pytest.fixture(scope="module")
def models(tiny_model_folder: Path, tiny_adapter_folders: tuple[Path, Path]) -> Iterator[dict[str, LanguageModel]]:
    base = load_huggingface_model(tiny_model_folder, device="cpu")
    with httpx2.Client(transport=httpx2.MockTransport(_serve)) as client:
        yield {
            "fake": FakeLM(lambda prompt: _scripted(prompt[-1].content)),
            "huggingface": base,
            "huggingface with adapter": base.with_adapter(tiny_adapter_folders[0], "tuned"),
            "openai": OpenAICompatibleModel("m", base_url="http://localhost:8000/v1", http_client=client),
        }


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, models: dict[str, LanguageModel]) -> LanguageModel:
    return models[request.param]


def _texts(completions: list[Completion]) -> list[str]:
    return [completion.text for completion in completions]


def test_speaks_the_protocol(model: LanguageModel) -> None:
    assert isinstance(model, LanguageModel)
    assert model.name
    assert model.context_tokens > 0


def test_one_completion_a_prompt_in_order(model: LanguageModel) -> None:
    forwards = _texts(model.generate(PROMPTS, CONFIG))
    assert len(forwards) == len(PROMPTS)
    assert len(set(forwards)) == len(PROMPTS)
    assert _texts(model.generate(PROMPTS[::-1], CONFIG)) == forwards[::-1]


def test_no_prompts_give_no_completions(model: LanguageModel) -> None:
    assert model.generate([], CONFIG) == []


def test_greedy_answers_repeat(model: LanguageModel) -> None:
    assert _texts(model.generate(PROMPTS, CONFIG)) == _texts(model.generate(PROMPTS, CONFIG))


def test_stream_joins_to_the_answer_of_a_batch_of_one(model: LanguageModel) -> None:
    for prompt in PROMPTS:
        assert "".join(model.stream(prompt, CONFIG)) == model.generate([prompt], CONFIG)[0].text


def test_stream_returns_the_completion_it_was_of(model: LanguageModel) -> None:
    for prompt in PROMPTS:
        pieces = model.stream(prompt, CONFIG)
        with pytest.raises(StopIteration) as ended:
            while True:
                next(pieces)
        streamed, whole = ended.value.value, model.generate([prompt], CONFIG)[0]
        assert (streamed.text, streamed.finish_reason) == (whole.text, whole.finish_reason)
        if model.name != "openai:m@http://localhost:8000/v1":  # that one streams without telling its usage
            assert streamed.usage.output_tokens == whole.usage.output_tokens
        assert 0 < streamed.usage.input_tokens <= model.count_tokens(prompt)


def test_usage_is_counted_within_its_limits(model: LanguageModel) -> None:
    for prompt, completion in zip(PROMPTS, model.generate(PROMPTS, CONFIG), strict=True):
        assert 0 < completion.usage.input_tokens <= model.count_tokens(prompt)
        assert 0 < completion.usage.output_tokens <= CONFIG.max_output_tokens
        assert completion.usage.latency_s >= 0
        assert completion.usage.embedding_tokens == 0


def test_an_answer_cut_by_the_limit_says_so(model: LanguageModel) -> None:
    completion = model.generate(PROMPTS[:1], GenerationConfig(max_output_tokens=2))[0]
    assert completion.finish_reason is FinishReason.LENGTH
    assert completion.usage.output_tokens == 2


def test_text_has_no_white_space_around_it(model: LanguageModel) -> None:
    assert all(text == text.strip() for text in _texts(model.generate(PROMPTS, CONFIG)))


def test_longer_prompts_have_more_tokens(model: LanguageModel) -> None:
    shorter, longer = PROMPTS[1], (*PROMPTS[1], Message(Role.ASSISTANT, "Because."), Message(Role.USER, "And then?"))
    assert 0 < model.count_tokens(shorter) < model.count_tokens(longer)


def test_stop_texts_end_an_answer_and_are_cut_off(model: LanguageModel) -> None:
    whole = model.generate(PROMPTS[:1], CONFIG)[0].text
    mark = whole[2]
    config = GenerationConfig(max_output_tokens=6, stop=(mark,))
    completion = model.generate(PROMPTS[:1], config)[0]
    assert completion.text == whole[: whole.index(mark)].strip()
    assert completion.finish_reason is FinishReason.STOP
    assert "".join(model.stream(PROMPTS[0], config)) == completion.text


def test_fingerprints_are_stable_and_tell_models_apart(models: dict[str, LanguageModel]) -> None:
    first = [model.fingerprint for model in models.values()]
    assert first == [model.fingerprint for model in models.values()]
    assert len(set(first)) == len(KINDS)
