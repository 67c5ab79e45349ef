"""What answers are worth to the team that serves them."""

from dataclasses import dataclass

from lm.errors import ConfigError


@dataclass(frozen=True, slots=True)
class AnswerValues:
    """Declared worth of one answer, in US dollars.

    A graded score counts in part as right and for the rest as wrong. An abstention where nothing answers the question
    is right.

    Attributes:
        right_usd: What a right answer brings.
        wrong_usd: What a wrong answer costs.
        abstention_usd: What "I don't know" costs where an answer exists.
    """

    right_usd: float
    wrong_usd: float = 0.0
    abstention_usd: float = 0.0

    def __post_init__(self) -> None:
        for name in ("right_usd", "wrong_usd", "abstention_usd"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ConfigError(f"{name} is {value}; give an amount in US dollars of at least 0")

    @property
    def worst_usd(self) -> float:
        """What the worst answer costs."""
        return max(self.wrong_usd, self.abstention_usd)

    @property
    def range_usd(self) -> float:
        """What lies between the best answer and the worst: the worth of one whole point of score."""
        return self.right_usd + self.worst_usd
