"""Tests that may be looked at after every block of questions: wealth from bets against a hypothesis.

Whoever bets on "the mean is above m" at fair odds cannot expect to gain while it is not, and reaches 1/alpha times the
stake with probability at most alpha, ever (Ville's inequality). Wealth at any moment one likes is thus evidence.

Source:
    Waudby-Smith & Ramdas 2023, "Estimating means of bounded random variables by betting", JRSS B 86, arXiv:2010.09686
    (a grid of constant bets); Ramdas, Grünwald, Vovk & Shafer 2022, "Game-theoretic statistics and safe anytime-valid
    inference", arXiv:2210.01948.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Shares of the largest bet that cannot ruin. The stake is spread evenly over them, so that whichever suits the true
# mean and spread soon holds most of the wealth; more of them changed the questions needed by less than 1 %.
FRACTIONS = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9])
_BISECTIONS = 30


@dataclass(frozen=True)
class Payoffs:
    """One block of independent units, whose values have a mean over the block that the test is about.

    Attributes:
        values: Shape (..., n_units), each within [-worths, worths].
        worths: Shape (n_units,), at least 0, mean 1: how much each unit counts in the mean over the block.
    """

    values: Floats
    worths: Floats


def log_wealth(payoffs: Payoffs, mean: float) -> Floats:
    """Logarithm of what each fraction's bet on "above `mean`" makes of one unit of money in this block.

    Every unit of a block is bet on with the same stake. Units may differ in what they expect, as questions of different
    slices do: if only the mean over the block is at most `mean`, then by the inequality of arithmetic and geometric
    means the expected product of the factors is at most 1, since independent factors average at most 1.

    Args:
        mean: In (-1, 1).
    Returns:
        Shape (..., n_fractions).
    """
    stakes = FRACTIONS / (payoffs.worths.max() * (1 + mean))
    gains = payoffs.values - mean * payoffs.worths
    return np.asarray(np.log1p(gains[..., None] * stakes).sum(axis=-2))


def log_evidence(wealth: Floats) -> Floats:
    """Logarithm of the wealth over all fractions, stakes spread evenly: shape (..., n_fractions) to (...)."""
    top = wealth.max(axis=-1)
    return np.asarray(top + np.log(np.exp(wealth - top[..., None]).mean(axis=-1)))


def lower_confidence_sequence(blocks: Sequence[Payoffs], log_threshold: float) -> float:
    """The largest mean that betting on "above it" has refuted after some block; -1 without any.

    With a threshold of log(1/alpha) the true mean is below the bound, after any block, with probability at most alpha.

    Args:
        blocks: In the order they came; values of shape (n_units,).
    """
    low, high = -1.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _ever_reached(blocks, middle, log_threshold):
            low = middle
        else:
            high = middle
    return low


def most_log_evidence(blocks: Sequence[Payoffs], mean: float) -> float:
    """The largest log evidence for "above `mean`" after any of the blocks, at least 0."""
    if not blocks:
        return 0.0
    wealth = np.cumsum([log_wealth(block, mean) for block in blocks], axis=0)
    return max(0.0, float(log_evidence(wealth).max()))


def _ever_reached(blocks: Sequence[Payoffs], mean: float, log_threshold: float) -> bool:
    # Falls in `mean`, since every factor does: the refuted means are an interval, and bisection finds its end.
    return most_log_evidence(blocks, mean) >= log_threshold
