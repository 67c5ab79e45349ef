"""`tuning-fork.toml`: what `tuningfork ci` compares, and what is asked of the result."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from advisor.arms import REFERENCES, parse_arm
from advisor.data.dataset import DatasetCard
from advisor.gate.rules import RECOMMENDED, GateRules, read_gate_rules
from advisor.metrics.registry import JUDGE_METRICS
from lm.errors import ConfigError
from lm.registry import gguf_path
from lm.setting import read_settings
from service.contract.settings import resolve
from service.run.settings import ComparisonSettings
from service.store.bundled_datasets import bundled_datasets

_NOT_HERE = {
    "dataset": "write it at the top of the file",
    "launch_config": "how many processes train is a matter of the machine",
    "tensorboard": "where files are written is a matter of the machine",
    "trust_remote_code": "a file that anyone may change in a pull request must not run code that comes with a model",
}
_EXAMPLE = """dataset = "my-data"

[[gate.threshold]]
measure = "exact_match"
at_least = 0.6"""


@dataclass(frozen=True, slots=True)
class CiConfig:
    """One file.

    Attributes:
        settings: With absolute paths.
        comparison: The table `[comparison]` as written, for a server.
        baseline_path: Folder with report.json and results.jsonl of a stored comparison, or None.
        baseline_name: Name of a baseline of the server, or None.
        gate: The table `[gate]` as written, without where the baseline is.
    """

    settings: ComparisonSettings
    comparison: Mapping[str, Any]
    rules: GateRules
    gate: Mapping[str, Any]
    baseline_path: Path | None
    baseline_name: str | None


def read_ci_config(path: Path) -> CiConfig:
    """The file, checked.

    Raises:
        ConfigError: it is missing, no TOML, or a setting is unknown or wrong; names file and setting.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing; write one (docs/ci.md), for example:\n{_EXAMPLE}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML ({error})") from None
    try:
        return _config(raw, path.resolve().parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _config(raw: dict[str, Any], folder: Path) -> CiConfig:
    _refuse_unknown(raw, {"dataset", "comparison", "gate"}, "the file")
    dataset = raw.get("dataset")
    if not isinstance(dataset, str) or not dataset:
        raise ConfigError('dataset is missing; add a line like dataset = "my-data" at the top')
    gate = dict(_table(raw, "gate"))
    if not gate:
        raise ConfigError("the table [gate] is missing, so nothing is asked; see docs/ci.md")
    path, name = None, None
    if isinstance(gate.get("baseline"), dict):
        gate["baseline"] = dict(gate["baseline"])
        path = _where(gate["baseline"].pop("path", None), "path")
        name = _where(gate["baseline"].pop("name", None), "name")
    comparison = dict(_table(raw, "comparison"))
    settings, rules = _settings(dataset, comparison, folder), read_gate_rules(gate)
    _refuse_unmeasured(settings, rules)
    return CiConfig(
        settings,
        comparison,
        rules,
        gate,
        folder / path if path is not None else None,
        name,
    )


def _refuse_unmeasured(settings: ComparisonSettings, rules: GateRules) -> None:
    """Tell before anything runs that the gate asks of an arm, or of a judge, that is not there."""
    asked = [(f"gate.threshold number {i}", t.arm) for i, t in enumerate(rules.thresholds, 1)]
    asked += [("gate.baseline", arm) for arm in (rules.baseline.arms if rules.baseline else ())]
    for where, arm in asked:
        if arm not in (RECOMMENDED, *settings.arm_ids, *REFERENCES):
            raise ConfigError(
                f"{where}: the comparison has no arm {arm!r}; it has {', '.join(settings.arm_ids)}; add it to arms of "
                "[comparison], or ask for another"
            )
    for where, measure in _measures(rules):
        if measure in JUDGE_METRICS and settings.judge is None:
            raise ConfigError(f"{where}: {measure} needs a judge; add judge to [comparison], or ask for another")


def refuse_other_metrics(rules: GateRules, card: DatasetCard) -> None:
    """Of metrics a comparison measures those that the card names, and a judge's.

    Raises:
        ConfigError: the gate asks for another; names it.
    """
    for where, measure in _measures(rules):
        if measure not in (*card.metrics, *JUDGE_METRICS):
            raise ConfigError(
                f"{where}: {measure} is not measured on the dataset {card.name}; add it to `metrics` in dataset.toml, "
                f"or ask for one of: {', '.join(card.metrics)}"
            )


def _measures(rules: GateRules) -> list[tuple[str, str]]:
    """Metrics that are asked for, with where."""
    found = [(f"gate.threshold number {i}", t.measure) for i, t in enumerate(rules.thresholds, 1) if t.is_metric]
    return found + [("gate.baseline", name) for name in (rules.baseline.metrics if rules.baseline else ())]


def _table(raw: dict[str, Any], name: str) -> dict[str, Any]:
    value = raw.get(name, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{name} must be a table; write [{name}]")
    return value


def _where(value: object, key: str) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise ConfigError(f"gate.baseline, {key}: must be a text, not {value!r}")
    return value


def _settings(dataset: str, comparison: Mapping[str, Any], folder: Path) -> ComparisonSettings:
    for name, why in _NOT_HERE.items():
        if name in comparison:
            raise ConfigError(f"comparison.{name} has no place here: {why}")
    is_bundled = dataset in bundled_datasets()
    given = {**comparison, "dataset": dataset if is_bundled else str((folder / Path(dataset).expanduser()).resolve())}
    for name in ("model", "embedder", "judge"):
        if isinstance(given.get(name), str):
            given[name] = _from_folder(given[name], folder)
    if isinstance(given.get("arms"), list):
        given["arms"] = [_arm_from_folder(arm, folder) if isinstance(arm, str) else arm for arm in given["arms"]]
    for name in ("prices", "prior"):
        if isinstance(given.get(name), str):
            given[name] = str((folder / Path(given[name]).expanduser()).resolve())
    return read_settings(ComparisonSettings, resolve(given), "comparison")


def _from_folder(spec: str, folder: Path) -> str:
    """A model's name; where it is a folder or a GGUF file beside the file, its absolute path."""
    if (gguf := gguf_path(spec)) is not None:
        return f"gguf:{folder / gguf}"
    name = spec.removeprefix("hf:")
    is_local = spec.startswith("hf:") or ":" not in spec
    return f"hf:{(folder / name).resolve()}" if is_local and "/" in name and (folder / name).is_dir() else spec


def _arm_from_folder(text: str, folder: Path) -> str:
    arm = parse_arm(text)
    model = _from_folder(arm.model, folder) if arm.model and arm.row.generates else arm.model
    is_path = arm.row.source in ("FILE", "PATH")
    source = str((folder / Path(arm.source).expanduser()).resolve()) if is_path else arm.source
    return str(replace(arm, model=model, source=source))


def _refuse_unknown(raw: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = [name for name in raw if name not in known]
    if unknown:
        raise ConfigError(f"{where} has no setting {unknown[0]!r}; it has {', '.join(sorted(known))}")
