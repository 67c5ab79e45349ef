"""What a gate asks of a comparison: thresholds, and no loss against a baseline."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from math import isfinite
from typing import Any

from advisor.data.dataset import Slice
from advisor.metrics.corpus import CORPUS_METRICS
from advisor.metrics.registry import METRICS
from lm.errors import ConfigError

RECOMMENDED = "recommended"
LATENCIES = ("p50_latency_s", "p95_latency_s")
COSTS = ("usd_per_query", "usd_per_month", "usd_per_correct_answer", "build_usd")


class WhenUnclear(StrEnum):
    """What becomes of a check whose interval holds the limit: the questions show neither that it is kept nor broken."""

    PASS = "pass"
    FAIL = "fail"
    CANNOT_COMPARE = "cannot compare"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A limit for one arm.

    Attributes:
        arm: Name of an arm, or `recommended`: the one the comparison recommends.
        measure: A metric of the dataset, one of `LATENCIES` (seconds) or one of `COSTS` (US dollars).
        at_least: Lowest value allowed. at_most: highest; one of the two is given.
        slice: The slice of the test questions it is about; None weighs all by production traffic. Metrics only.
    """

    measure: str
    arm: str = RECOMMENDED
    at_least: float | None = None
    at_most: float | None = None
    slice: Slice | None = None

    def __post_init__(self) -> None:
        _require_measure(self.measure, (*METRICS, *CORPUS_METRICS, *LATENCIES, *COSTS))
        if (self.at_least is None) == (self.at_most is None):
            raise ConfigError(f"the threshold on {self.measure} needs one of at_least and at_most")
        if not isfinite(self.limit):
            raise ConfigError(f"the threshold on {self.measure} is {self.limit}; give a finite number")
        if self.is_metric and not 0 <= self.limit <= 1 and self.measure in METRICS:
            raise ConfigError(
                f"the threshold on {self.measure} is {self.limit:g}; scores run from 0 to 1, so 70 points are 0.7"
            )
        if not self.is_metric and (self.limit < 0 or self.at_most is None):
            raise ConfigError(f"the threshold on {self.measure} must be an at_most of at least 0")
        if not self.is_metric and self.slice is not None:
            raise ConfigError(f"{self.measure} is not measured by slice; leave slice out")

    @property
    def is_metric(self) -> bool:
        """Whether it is about the quality of answers."""
        return self.measure not in LATENCIES + COSTS

    @property
    def limit(self) -> float:
        """The value that must not be passed."""
        limit = self.at_least if self.at_least is not None else self.at_most
        return float(limit) if limit is not None else float("nan")


@dataclass(frozen=True, slots=True)
class BaselineRule:
    """How a stored comparison is compared with.

    Attributes:
        arms: Names of arms; `recommended` is the one the baseline recommends: what is shipped today.
        metrics: Metrics that must not fall; () is the one that decided the baseline.
        slices: Also within these slices, not only weighed by traffic.
        minimum_effect: Smallest fall that matters, in score units; smaller ones pass, however sure.
        max_latency_increase: Allowed growth of the p95 wait, .25 is a quarter; None does not look.
        max_cost_increase: Allowed growth of the cost of a question, likewise.
    """

    arms: tuple[str, ...] = (RECOMMENDED,)
    metrics: tuple[str, ...] = ()
    slices: tuple[Slice, ...] = ()
    minimum_effect: float = 0.02
    max_latency_increase: float | None = None
    max_cost_increase: float | None = None

    def __post_init__(self) -> None:
        if not self.arms:
            raise ConfigError("the baseline is compared for no arm; name some in arms, or leave the line out")
        for metric in self.metrics:
            _require_measure(metric, tuple(METRICS))
        if not 0 <= self.minimum_effect < 1:
            raise ConfigError(f"minimum_effect is {self.minimum_effect:g}; give score units, at least 0 and below 1")
        for name in ("max_latency_increase", "max_cost_increase"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ConfigError(f"{name} is {value:g}; give a share of at least 0, 0.25 for a quarter more")


@dataclass(frozen=True, slots=True)
class GateRules:
    """All that a gate asks.

    Attributes:
        baseline: None compares with nothing.
        unclear: What becomes of checks whose interval holds the limit.
        resolution: A breach of this size must be findable with power .8, in score units; a check on fewer questions
            that shows nothing says "cannot compare" rather than "pass".
        latency_tolerance: Share by which a measured wait may exceed its limit, as machines vary from run to run.
    """

    thresholds: tuple[Threshold, ...] = ()
    baseline: BaselineRule | None = None
    unclear: WhenUnclear = WhenUnclear.PASS
    resolution: float = 0.2
    latency_tolerance: float = 0.1

    def __post_init__(self) -> None:
        if not self.thresholds and self.baseline is None:
            raise ConfigError("the gate asks for nothing; give it a threshold or a baseline")
        if not 0 < self.resolution <= 1:
            raise ConfigError(f"resolution is {self.resolution:g}; give score units above 0 and up to 1")
        if not 0 <= self.latency_tolerance < float("inf"):
            raise ConfigError(f"latency_tolerance is {self.latency_tolerance:g}; give a share of at least 0")


def read_gate_rules(raw: Mapping[str, Any], where: str = "gate") -> GateRules:
    """Rules from a table of TOML or an object of JSON.

    Args:
        raw: Keys of `GateRules`, thresholds as a list of tables under `threshold`, and `baseline` as a table.
        where: Name of the table, for messages.

    Raises:
        ConfigError: a key is unknown, or a value of the wrong type or size; names table and key.
    """
    known = {"threshold", "baseline", "unclear", "resolution", "latency_tolerance"}
    _refuse_unknown(raw, known, where)
    thresholds = raw.get("threshold", [])
    if not isinstance(thresholds, list):
        raise ConfigError(f"{where}.threshold must be a list of tables; in TOML write [[{where}.threshold]]")
    values: dict[str, Any] = {
        "thresholds": tuple(
            _table(Threshold, table, f"{where}.threshold number {number}") for number, table in enumerate(thresholds, 1)
        )
    }
    if raw.get("baseline") is not None:
        values["baseline"] = _table(BaselineRule, raw["baseline"], f"{where}.baseline")
    if "unclear" in raw:
        values["unclear"] = _choice(WhenUnclear, raw["unclear"], f"{where}.unclear")
    for name in ("resolution", "latency_tolerance"):
        if name in raw:
            values[name] = _number(raw[name], f"{where}.{name}")
    rules: GateRules = _made(GateRules, values, where)
    return rules


def _table(kind: type[Any], raw: object, where: str) -> Any:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where} must be a table of settings")
    names = {field.name for field in fields(kind)}
    _refuse_unknown(raw, names, where)
    values: dict[str, Any] = {}
    for name, value in raw.items():
        at = f"{where}, {name}"
        if value is None:
            continue
        if name in ("measure", "arm"):
            values[name] = _text(value, at)
        elif name == "slice":
            values[name] = _choice(Slice, value, at)
        elif name in ("arms", "metrics", "slices"):
            if not isinstance(value, list | tuple):
                raise ConfigError(f"{at}: must be a list")
            values[name] = tuple(_choice(Slice, v, at) if name == "slices" else _text(v, at) for v in value)
        else:
            values[name] = _number(value, at)
    if kind is Threshold and "measure" not in values:
        raise ConfigError(f'{where} names no measure; add for example measure = "exact_match"')
    return _made(kind, values, where)


def _made(kind: type[Any], values: dict[str, Any], where: str) -> Any:
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _refuse_unknown(raw: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = [name for name in raw if name not in known]
    if unknown:
        raise ConfigError(f"{where} has no setting {unknown[0]!r}; it has {', '.join(sorted(known))}")


def _require_measure(name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise ConfigError(f"{name!r} is not measured; choose from: {', '.join(known)}")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}: must be a text, not {value!r}")
    return value


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{where}: must be a number, not {value!r}")
    return float(value)


def _choice(kind: type[StrEnum], value: object, where: str) -> Any:
    try:
        return kind(str(value))
    except ValueError:
        raise ConfigError(f"{where}: {value!r} is none of {', '.join(kind)}") from None
