"""A gate as a team builds it on the page: the request that tries it, and the file that asks the same in CI."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lm.setting import declared_settings
from service.contract.settings import DeclaredSettings, resolve

_ALWAYS = ("model", "arms", "limit", "train_limit", "top_k", "chunk_tokens", "n_shots", "method", "max_epochs")
_NOT_IN_FILE = ("dataset", "task", "prices", "prior")


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
        dataset: Name of a bundled dataset, or of an uploaded one, whose files the repository then has to hold.
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
    settings = resolve(settings)
    tables = []
    for one in declared_settings(DeclaredSettings):
        value = settings.get(one.name)
        if value is None or one.name in _NOT_IN_FILE or one.setting.is_local:
            continue
        if one.inner:
            rows = [
                f"{part.name} = {_value(value[part.name])}"
                for part in one.inner
                if value.get(part.name) is not None and value[part.name] != part.default
            ]
            tables += ["", f"[comparison.{one.name}]", *rows] if rows else []
        elif one.name in _ALWAYS or value != one.default:
            lines.append(f"{one.name} = {_value(value)}")
    lines += tables
    for limit in draft.thresholds:
        lines += ["", "[[gate.threshold]]", f"arm = {_text(limit.arm)}", f"measure = {_text(limit.measure)}"]
        lines.append(f"{limit.key} = {limit.limit!r}")
    if draft.baseline is not None:
        lines += ["", "[gate.baseline]", f"name = {_text(draft.baseline)}"]
    return "\n".join(lines) + "\n"


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
