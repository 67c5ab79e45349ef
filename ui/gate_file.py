"""A gate as a team builds it on the page: the request that tries it, and the file that asks the same in CI."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from service.contract.schemas import ComparisonRequest

_SETTINGS = ("model", "pipelines", "limit", "train_limit", "top_k", "chunk_tokens", "n_shots", "method", "max_epochs")
_WHERE_CHANGED = (
    *("seed", "embedder", "overlap_tokens", "tune_on", "raft_gold_share", "training_seeds", "race", "judge"),
    *("constrain", "margin", "coverage", "adapter_slowdown"),
)
_TABLES = ("traffic", "constraints", "values")


@dataclass(frozen=True, slots=True)
class ThresholdDraft:
    """One limit."""

    arm: str
    measure: str
    word: Literal["at least", "at most"]
    limit: float

    @property
    def key(self) -> str:
        """Its name in a file and a request."""
        return self.word.replace(" ", "_")


@dataclass(frozen=True, slots=True)
class GateDraft:
    """What is asked of a comparison.

    Attributes:
        dataset: Name of a bundled data set, or of an uploaded one, whose files the repository then has to hold.
        is_uploaded: Whether it was uploaded.
    """

    dataset: str
    is_uploaded: bool
    thresholds: tuple[ThresholdDraft, ...]
    baseline: str | None = None


def gate_rules(draft: GateDraft) -> dict[str, Any]:
    """The body of a request that tries the gate."""
    rules: dict[str, Any] = {
        "thresholds": [{"arm": one.arm, "measure": one.measure, one.key: one.limit} for one in draft.thresholds]
    }
    if draft.baseline is not None:
        rules["baseline"] = {"name": draft.baseline}
    return rules


def gate_toml(draft: GateDraft, settings: Mapping[str, Any]) -> str:
    """The text of tuning-fork.toml.

    Args:
        settings: Those of the comparison. The ones that shape an answer are written out, others where they are not the
            default.
    """
    folder = "  # a folder of your repository with these files" if draft.is_uploaded else ""
    lines = [f"dataset = {_text(draft.dataset)}{folder}", "", "[comparison]"]
    changed = [name for name in _WHERE_CHANGED if settings.get(name) != _default(name)]
    lines += [f"{name} = {_value(settings[name])}" for name in (*_SETTINGS, *changed) if settings.get(name) is not None]
    for table in _TABLES:
        default = _default(table) or {}
        rows = [
            f"{name} = {_value(value)}"
            for name, value in (settings.get(table) or {}).items()
            if value is not None and value != default.get(name)
        ]
        lines += ["", f"[comparison.{table}]", *rows] if rows else []
    for one in draft.thresholds:
        lines += ["", "[[gate.threshold]]", f"arm = {_text(one.arm)}", f"measure = {_text(one.measure)}"]
        lines.append(f"{one.key} = {one.limit!r}")
    if draft.baseline is not None:
        lines += ["", "[gate.baseline]", f"name = {_text(draft.baseline)}"]
    return "\n".join(lines) + "\n"


def _default(name: str) -> Any:
    """What a comparison takes where nothing is said, as plain data."""
    default = ComparisonRequest.model_fields[name].default
    return default.model_dump(mode="json") if isinstance(default, BaseModel) else default


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(one) for one in value)}]"
    return _text(value) if isinstance(value, str) else str(value)


def _text(text: str) -> str:
    """A basic string of TOML, whatever the text holds."""
    escaped = "".join(
        f"\\u{ord(letter):04x}" if ord(letter) < 32 or ord(letter) == 127 else letter
        for letter in text.replace("\\", "\\\\").replace('"', '\\"')
    )
    return f'"{escaped}"'
