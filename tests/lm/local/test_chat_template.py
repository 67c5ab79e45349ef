from pathlib import Path
from typing import Any

import pytest
import transformers

from lm.completion import Message, Role
from lm.errors import LanguageModelError
from lm.local.chat_template import PLAIN_STOP, ChatTemplate

SYSTEM, USER = Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "How long?")
CHAT = [SYSTEM, USER, Message(Role.ASSISTANT, "Two years."), Message(Role.USER, "Why?")]
TURNS = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }} {% endfor %}"


@pytest.fixture
def tokenizer(tiny_tokenizer_folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(tiny_tokenizer_folder)


def test_the_models_own_template_is_used(tokenizer: Any) -> None:
    template = ChatTemplate(tokenizer)
    assert template.render([SYSTEM, USER]) == "<|bos|><|system|> Be brief.<|end|><|user|> How long?<|end|><|assistant|>"
    assert template.stop == ()


def test_model_without_template_gets_plain_turns_and_stops_at_the_next(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    template = ChatTemplate(tokenizer)
    assert template.render(CHAT) == (
        "<|bos|>Be brief.\n\nUser: How long?\nAssistant: Two years.<|end|>\nUser: Why?\nAssistant:"
    )
    assert template.stop == PLAIN_STOP
    assert tokenizer.chat_template


def test_system_text_goes_to_the_first_user_turn_where_the_role_is_refused(tokenizer: Any) -> None:
    refusal = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    tokenizer.chat_template = refusal + TURNS
    assert ChatTemplate(tokenizer).render(CHAT) == "[user] Be brief.\n\nHow long? [assistant] Two years. [user] Why? "


def test_system_text_survives_a_template_that_drops_it_silently(tokenizer: Any) -> None:
    tokenizer.chat_template = TURNS.replace("in messages", "in messages if m['role'] != 'system'")
    assert ChatTemplate(tokenizer).render([SYSTEM, USER]) == "[user] Be brief.\n\nHow long? "
    assert ChatTemplate(tokenizer).render([SYSTEM]) == "[user] Be brief. "
    assert ChatTemplate(tokenizer).render([USER]) == "[user] How long? "


def test_turns_a_template_refuses_are_an_error_that_names_them(tokenizer: Any) -> None:
    refusal = "{% if messages | length > 1 %}{{ raise_exception('roles must alternate') }}{% endif %}"
    tokenizer.chat_template = refusal + TURNS
    with pytest.raises(LanguageModelError, match=r"refuses the turns \(user, user\): roles must alternate"):
        ChatTemplate(tokenizer).render([USER, USER])


def test_reasoning_models_are_asked_not_to_think_aloud(tokenizer: Any) -> None:
    tokenizer.chat_template = "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
    assert ChatTemplate(tokenizer).render([USER]) == "<think></think>"
