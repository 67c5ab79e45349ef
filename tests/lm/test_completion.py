"""What answering costs adds up."""

from functools import reduce
from operator import add

from lm.completion import FinishReason, GenerationConfig, Message, Role, Usage


def test_usage_adds_up_in_every_unit() -> None:
    assert Usage(1, 2, 3, 0.5) + Usage(10, 20, 30, 0.25) == Usage(11, 22, 33, 0.75)
    assert reduce(add, [Usage(1, 1, 1, 1.0)] * 4, Usage()) == Usage(4, 4, 4, 4.0)


def test_decoding_is_greedy_unless_something_else_is_asked_for() -> None:
    assert GenerationConfig().temperature == 0.0
    assert GenerationConfig().stop == ()


def test_roles_and_reasons_are_the_words_of_the_chat_formats() -> None:
    assert [str(role) for role in Role] == ["system", "user", "assistant"]
    assert [str(reason) for reason in FinishReason] == ["stop", "length", "content_filter"]
    assert Message(Role.USER, "x") == Message(Role("user"), "x")
