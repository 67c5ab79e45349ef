import pytest

from advisor.data.dataset import Example, Split
from advisor.data.prompt import RetrievedChunk
from advisor.metrics.grounding import grounding, is_backed, mean_backed
from advisor.results.answer import Answer
from lm.completion import FinishReason, Usage

EXAMPLE = Example("q", "How long is the warranty?", ("24 months",), ("d",), "g", Split.TEST)


def answered(text: str, *passages: str, used: bool = True) -> Answer:
    chunks = tuple(RetrievedChunk(f"d#{i}", "d", "Kettles", said, 0.5, used) for i, said in enumerate(passages))
    return Answer(text, Usage(), FinishReason.STOP, chunks, "")


@pytest.mark.parametrize(
    ("text", "passages", "share"),
    [
        ("24 months", ["The warranty lasts 24 months."], 1.0),
        ("It is 24 months.", ["The warranty lasts 24 MONTHS!"], 1.0),
        ("36 months", ["The warranty lasts 24 months."], 0.5),
        ("Three years", ["The warranty lasts 24 months."], 0.0),
        ("24 months for kettles", ["It lasts 24", "months."], 1.0),
        ("နှစ်နှစ်", ["အာမခံသက်တမ်းသည် နှစ်နှစ် ဖြစ်သည်။"], 1.0),
        ("保修期两年", ["保修期为两年。"], 0.75),
        ("عامان", ["مدة الضمان عامان."], 1.0),
        ("It is", ["Nothing alike."], 1.0),
    ],
)
def test_the_share_of_an_answers_content_that_its_passages_hold(text: str, passages: list[str], share: float) -> None:
    assert grounding(EXAMPLE, answered(text, *passages)).value == pytest.approx(share)


def test_without_passages_or_without_content_nothing_is_scored() -> None:
    assert grounding(EXAMPLE, answered("24 months")).value is None
    assert grounding(EXAMPLE, answered("24 months", "24 months", used=False)).value is None
    assert grounding(EXAMPLE, answered("I don't know.", "24 months")).value is None
    assert grounding(EXAMPLE, answered(" ", "24 months")).value is None


def test_an_answer_is_backed_by_one_passage_and_not_by_many_together() -> None:
    text = "red blue green white kettles"
    assert is_backed(answered(text, "Red, blue and green.", "x"))
    assert not is_backed(answered("red blue green white", "Red.", "Blue.", "Green.", "White."))
    backed, made_up = answered("24 months", "It lasts 24 months."), answered("ten years", "It lasts 24 months.")
    assert mean_backed([backed, made_up, answered("I don't know.", "x")]) == 0.5
    assert mean_backed([answered("I don't know.")]) is None
