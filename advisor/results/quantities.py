"""How numbers are written for people. A missing value is a dash, never a zero."""

import math
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from advisor.results.comparison import Comparison, Interval

MISSING = "–"
_MINUS = "−"


@dataclass(frozen=True, slots=True)
class ScoreScale:
    """How a metric is written: shares of 1 as points out of 100, anything wider as it was measured."""

    factor: float
    unit: str

    def value(self, score: float | None) -> str:
        """A score with one decimal (wider scales: three significant digits)."""
        if score is None or not math.isfinite(score):
            return MISSING
        return self._write(score)

    def interval(self, interval: Interval | None) -> str:
        """`61.3 [55.0, 67.2]`."""
        if interval is None or not math.isfinite(interval.estimate):
            return MISSING
        if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
            return f"{self._write(interval.estimate)} [no interval]"
        return f"{self._write(interval.estimate)} [{self._write(interval.low)}, {self._write(interval.high)}]"

    def difference(self, interval: Interval) -> str:
        """`+5.2 [−0.3, +10.9]`: a difference always carries its sign."""
        if not math.isfinite(interval.estimate):
            return MISSING
        if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
            return f"{self._signed(interval.estimate)} [no interval]"
        # Shares of 1 differ by 1 at most, however little a handful of questions shows.
        reach = 1.0 if self.factor != 1 else math.inf
        low, high = max(interval.low, -reach), min(interval.high, reach)
        return f"{self._signed(interval.estimate)} [{self._signed(low)}, {self._signed(high)}]"

    def _write(self, score: float) -> str:
        scaled = score * self.factor
        return _minus(f"{scaled + 0.0:.1f}" if self.factor != 1 else f"{scaled:.3g}")

    def _signed(self, score: float) -> str:
        text = self._write(score)
        return text if text.startswith(_MINUS) or not text.strip("0.") else f"+{text}"


POINTS = ScoreScale(100.0, "points")
AS_MEASURED = ScoreScale(1.0, "units of the metric")


def scale_of(comparison: Comparison, metric: str) -> ScoreScale:
    """Points for metrics that stay within 1; perplexity and its like would be nonsense times 100."""
    estimates = [
        summary.interval.estimate
        for arm in comparison.arms
        for summary in arm.metrics
        if summary.metric == metric and summary.interval is not None
    ]
    return scale_of_scores(estimates)


def scale_of_scores(scores: Iterable[float | None]) -> ScoreScale:
    """The same where no comparison is at hand, from the means of one metric."""
    return AS_MEASURED if any(score is not None and abs(score) > 1 for score in scores) else POINTS


UNDER_A_CENT = "under a cent"


def usd(amount: float | None) -> str:
    """Whole dollars from 1,000 on, cents below: what nobody can act on is rounded away."""
    if amount is None or not math.isfinite(amount):
        return MISSING
    if amount < 0:
        return _MINUS + usd(-amount) if amount <= -0.005 else UNDER_A_CENT
    if 0 < amount < 0.005:
        return UNDER_A_CENT
    return "$0" if amount == 0 else f"${amount:,.0f}" if amount >= 999.5 else f"${amount:.2f}"


def exact_usd(amount: float | None) -> str:
    """A price or a limit: cents from one dollar on, three significant digits below."""
    if amount is None or not math.isfinite(amount) or amount == 0 or abs(amount) >= 1:
        return usd(amount)
    if amount < 0:
        return _MINUS + exact_usd(-amount)
    if amount < 1e-6:
        return "<$0.000001"
    whole, decimals = f"{amount:.{2 - math.floor(math.log10(amount))}f}".split(".")
    return f"${whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"


def seconds(duration_s: float | None) -> str:
    """`0.084 s`, `12.3 s`, `2 min 5 s`, `3 h 20 min`."""
    if duration_s is None or not math.isfinite(duration_s):
        return MISSING
    if duration_s == 0:
        return "0 s"
    if duration_s < 0.001:
        return "<0.001 s"
    if duration_s < 1:
        return f"{duration_s:.3f} s"
    if duration_s < 119.5:
        return f"{significant(duration_s)} s"
    minutes, rest_s = divmod(round(duration_s), 60)
    if minutes < 120:
        return f"{minutes} min {rest_s} s"
    hours, rest_minutes = divmod(minutes, 60)
    return f"{hours:,} h {rest_minutes} min"


def count(number: float | None) -> str:
    """A count of questions or tokens, with thousands set apart; means below 100 keep one decimal."""
    if number is None or not math.isfinite(number):
        return MISSING
    if float(number).is_integer() or number >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}"


def significant(number: float | None) -> str:
    """Three significant digits, without exponents."""
    if number is None or not math.isfinite(number):
        return MISSING
    if number == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(number))))
    return _minus(f"{number:,.{decimals}f}")


def rounded(number: float | None) -> str:
    """Three significant digits and no more, for figures that are no more exact: `3,100`, `12.5`, `0.05`."""
    if number is None or not math.isfinite(number):
        return MISSING
    if number >= 1e10:
        return "over 10 billion"
    if 0 < number < 0.001:
        return "<0.001"
    kept = float(f"{number:.3g}")
    return _minus(f"{kept:,.0f}" if abs(kept) >= 1000 else f"{kept:g}")


def p_value(probability: float | None) -> str:
    """Three decimals; `<0.001` below them."""
    if probability is None or not math.isfinite(probability):
        return MISSING
    return "<0.001" if probability < 0.001 else f"{probability:.3f}"


def percent(share: float | None) -> str:
    """A share of 1 as whole percents, with the ends kept honest."""
    if share is None or not math.isfinite(share):
        return MISSING
    if 0 < share < 0.005:
        return "<1 %"
    if 0.995 <= share < 1:
        return ">99 %"
    return f"{share * 100:.0f} %"


def percent_in_digits(share: float | None) -> str:
    """A share of 1 as percents with at most three digits: `32.5 %`."""
    if share is None or not math.isfinite(share):
        return MISSING
    return f"{rounded(share * 100)} %"


def usd_range(interval: Interval | None, factor: float = 1.0) -> str:
    """`[$0.90, $1.10]`, or nothing where no spread was measured or it is within a cent."""
    if interval is None or not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return ""
    if max(abs(interval.low), abs(interval.high)) * factor < 0.005:
        return ""
    return f"[{usd(interval.low * factor)}, {usd(interval.high * factor)}]"


def unscored(number: int) -> str:
    """`unscored 3`, or nothing where all were scored."""
    return f"unscored {number:,}" if number else ""


def clip(text: str, limit: int) -> str:
    """The text in at most `limit` characters, never cut before a combining sign; an ellipsis says that it goes on."""
    if len(text) <= limit:
        return text
    end = limit - 1
    while end > 0 and (unicodedata.category(text[end])[0] == "M" or "\u200d" in text[end - 1 : end + 1]):
        end -= 1
    return text[:end].rstrip() + "…"


def _minus(text: str) -> str:
    if text.startswith("-"):
        return text[1:] if not text.strip("-0.") else _MINUS + text[1:]
    return text
