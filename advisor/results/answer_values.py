"""What answers are worth to the team that serves them."""

from dataclasses import dataclass
from typing import Annotated

from lm.setting import Setting, check_settings


@dataclass(frozen=True, slots=True)
class AnswerValues:
    """Declared worth of one answer, in US dollars.

    A graded score counts in part as right and for the rest as wrong. An abstention where nothing answers the question
    is right.
    """

    right_usd: Annotated[
        float,
        Setting(
            "What a right answer brings you, in US dollars; arms are then compared by net value.",
            ge=0,
            le=1e15,
            unset="by score",
            option="--right-answer-usd",
        ),
    ]
    wrong_usd: Annotated[
        float, Setting("What a wrong answer costs you, in US dollars.", ge=0, le=1e15, option="--wrong-answer-usd")
    ] = 0.0
    abstention_usd: Annotated[
        float, Setting('What an "I don\'t know" costs you where an answer exists, in US dollars.', ge=0, le=1e15)
    ] = 0.0

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def worst_usd(self) -> float:
        """What the worst answer costs."""
        return max(self.wrong_usd, self.abstention_usd)

    @property
    def range_usd(self) -> float:
        """What lies between the best answer and the worst: the worth of one whole point of score."""
        return self.right_usd + self.worst_usd
