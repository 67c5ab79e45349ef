import pytest
from pydantic import BaseModel

from advisor.metrics.judge_reply import parse_reply


class Verdict(BaseModel):
    reason: str
    verdict: int


class MadeUp(BaseModel):
    question: str


GOOD = '{"reason": "so {it} is", "verdict": 1}'


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Here you are: {GOOD} I hope it helps.",
        f'<think>perhaps {{"reason": "no", "verdict": 0}}</think>{GOOD}',
        f'{{"output": {GOOD}}}',
        f"{{schema}} {GOOD}",
        '{"reason": "so {it} is", "verdict": "1"}',
    ],
)
def test_what_models_put_around_json_is_ignored(text: str) -> None:
    assert parse_reply(text, Verdict) == Verdict(reason="so {it} is", verdict=1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no JSON"),
        ("yes", "no JSON"),
        ('{"reason": "x"}', "verdict"),
        ('{"reason": "x", "verdict": 1', "delimiter"),
    ],
)
def test_an_unreadable_reply_says_why(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_reply(text, Verdict)


def test_a_blank_question_is_no_reply() -> None:
    with pytest.raises(ValueError, match="empty"):
        parse_reply('{"question": ""}', MadeUp)


def test_a_verdict_is_zero_or_one() -> None:
    with pytest.raises(ValueError, match="verdict: is 2"):
        parse_reply('{"reason": "", "verdict": 2}', Verdict)
