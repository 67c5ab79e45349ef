from dataclasses import FrozenInstanceError

import pytest

from lm.completion import Completion, FinishReason, GenerationConfig, Message, Role, Usage


def test_usage_adds_up_field_by_field() -> None:
    assert Usage(1, 2, 3, 0.5) + Usage(10, 20, 30, 0.25) == Usage(11, 22, 33, 0.75)
    assert sum([Usage(1, 1), Usage(2, 2)], Usage()) == Usage(3, 3)


def test_roles_and_reasons_are_the_words_used_on_the_wire() -> None:
    assert [str(role) for role in Role] == ["system", "user", "assistant"]
    assert [str(reason) for reason in FinishReason] == ["stop", "length", "content_filter", "failed"]


def test_decoding_is_greedy_unless_asked_otherwise() -> None:
    assert GenerationConfig().temperature == 0


def test_values_cannot_change_after_they_were_recorded() -> None:
    completion = Completion("x", Usage(), FinishReason.STOP)
    for value, name in ((completion, "text"), (completion.usage, "input_tokens"), (Message(Role.USER, "x"), "content")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, "y")
