"""Figures of outside arms that nobody measured here: declared by people, unknown otherwise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from lm.errors import ConfigError


@dataclass(frozen=True, slots=True)
class DeclaredFigures:
    """What was declared of one arm; None is not known.

    Attributes:
        build_usd: What building it anew costs: training, indexing, people's time if that is to count.
        usd_per_question: What a question to it costs.
    """

    build_usd: float | None = None
    usd_per_question: float | None = None


def parse_declared(texts: Sequence[str], arms: Sequence[str]) -> Mapping[str, DeclaredFigures]:
    """Figures by arm, of texts like `app.build_usd=120`.

    Args:
        arms: Ids of the outside arms.

    Raises:
        ConfigError: one names no such arm or figure, or is no amount.
    """
    names = [figure.name for figure in fields(DeclaredFigures)]
    declared = {arm: DeclaredFigures() for arm in arms}
    for text in texts:
        left, _, value = text.partition("=")
        arm, _, figure = left.strip().rpartition(".")
        try:
            amount = float(value)
        except ValueError:
            amount = -1.0
        if arm not in declared or figure not in names or not 0 <= amount < float("inf"):
            outside = ", ".join(arms) or "there is none"
            raise ConfigError(
                f"declared has {text!r}; give ARM.FIGURE=USD, ARM of the outside arms ({outside}), FIGURE of "
                f"{', '.join(names)}, USD at least 0"
            )
        declared[arm] = replace(declared[arm], **{figure: amount})
    return declared
