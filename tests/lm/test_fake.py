import pytest

from lm.completion import FinishReason, GenerationConfig, Message, Role
from lm.errors import LanguageModelError
from lm.fake import FakeLM

CONFIG = GenerationConfig(max_output_tokens=3)


def _ask(text: str) -> tuple[Message, ...]:
    return (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, text))


def test_script_answers_by_the_last_message() -> None:
    model = FakeLM({"a": "one", "b": "two"})
    assert [completion.text for completion in model.generate([_ask("b"), _ask("a")], CONFIG)] == ["two", "one"]


def test_question_outside_the_script_is_an_error_that_names_it() -> None:
    with pytest.raises(LanguageModelError, match=r"'fake' has no answer for 'c'"):
        FakeLM({"a": "one"}).generate([_ask("c")], CONFIG)


def test_rule_sees_the_whole_prompt() -> None:
    model = FakeLM(lambda prompt: prompt[0].content.upper())
    assert model.generate([_ask("x")], CONFIG)[0].text == "BE BRIEF."


def test_words_are_tokens() -> None:
    model = FakeLM({"how long is it": "two whole years"}, seconds_per_answer=0.5)
    usage = model.generate([_ask("how long is it")], CONFIG)[0].usage
    assert (usage.input_tokens, usage.output_tokens, usage.latency_s) == (6, 3, 0.5)


def test_long_answers_are_cut_and_say_so() -> None:
    completion = FakeLM({"a": "one two three four"}).generate([_ask("a")], CONFIG)[0]
    assert (completion.text, completion.finish_reason) == ("one two three", FinishReason.LENGTH)
    assert completion.usage.output_tokens == 3


def test_calls_are_kept() -> None:
    model = FakeLM({"a": "one"})
    assert model.calls == []
    model.generate([_ask("a")], CONFIG)
    assert model.calls == [[_ask("a")]]


def test_fingerprint_follows_the_name() -> None:
    assert FakeLM({}, name="x").fingerprint == FakeLM({"a": "b"}, name="x").fingerprint
    assert FakeLM({}, name="x").fingerprint != FakeLM({}, name="y").fingerprint
