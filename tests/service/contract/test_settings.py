from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import ValidationError

from lm.errors import ConfigError
from lm.setting import declared_settings
from service.cli.app import app
from service.cli.ci.config import read_ci_config
from service.contract.schemas import ComparisonRequest
from service.contract.settings import EFFORTS, DeclaredSettings, Effort, resolve
from service.run.settings import ComparisonSettings

DECLARED = declared_settings(DeclaredSettings)
OTHER: dict[str, Any] = {
    "task": "extraction",
    "model": "hf:org/name",
    "arms": ["rag", "app=external:http://h/v1"],
    "declared": ["app.build_usd=2.0"],
    "embedder": "hf:org/other",
    "judge": "openai:judge",
    "overlap_tokens": 2,
    "constrain": "off",
    "method": "dora",
    "tune_on": "questions+documents",
    "retriever": "hybrid",
    "reranker": "hf:org/cross-encoder",
    "passage_order": "best-last",
    "embedding_dimensions": 256,
    "chroma": "http://127.0.0.1:8000",
    "device": "cpu",
    "dtype": "float32",
    "revision": "v1.0",
    "target_modules": "q_proj,v_proj",
    "schedule": "linear",
    "loss": "focal",
    "precision": "float32",
    "batch_size": 16,
    "adapter_slowdown": 2.0,
    "machine": "runpod-h200",
}
"""A value of each setting that is not made up by its type."""


def other(one: Any) -> Any:
    """A value that is not the default."""
    if one.inner:
        return {part.name: other(part) for part in one.inner}
    if one.name in OTHER:
        return OTHER[one.name]
    return {bool: True, int: 4, float: 0.25}[one.kind]


LOCAL = ("trust_remote_code", "chroma")
GIVEN = {one.name: other(one) for one in DECLARED if one.name not in ("dataset", "race") and one.kind is not Path}


def test_options_are_named_once() -> None:
    options = [part.option for one in DECLARED for part in (one.inner or (one,))]
    assert len(options) == len(set(options))


def test_what_can_be_set_in_one_place_can_be_set_in_all(tmp_path: Path) -> None:
    """But a task, which uploaded datasets have, over REST; and a model's code and servers, but on the command line."""
    settings = ComparisonSettings.from_json({"dataset": "x"} | GIVEN)
    command = typer.main.get_command(app).commands["compare"]  # type: ignore[attr-defined]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {part.option for one in DECLARED if one.name != "dataset" for part in (one.inner or (one,))} <= options

    remote = {name: value for name, value in GIVEN.items() if name not in ("task", *LOCAL)}
    request = ComparisonRequest(dataset="x", **remote)
    assert request.model_dump(mode="json", include=set(remote)) == {n: settings.to_json()[n] for n in remote}

    lines, tables = ['dataset = "x"', "[comparison]"], []
    for name, value in GIVEN.items():
        if isinstance(value, dict):
            tables += [f"[comparison.{name}]", *(f"{n} = {toml(v)}" for n, v in value.items())]
        elif name not in LOCAL:
            lines.append(f"{name} = {toml(value)}")
    file = tmp_path / "tuning-fork.toml"
    file.write_text("\n".join([*lines, *tables, "[[gate.threshold]]", 'measure = "exact_match"', "at_least = 0.5"]))
    read = read_ci_config(file).settings.to_json()
    assert {name: read[name] for name in remote} == {name: settings.to_json()[name] for name in remote}


def toml(value: Any) -> str:
    return repr(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


@pytest.mark.parametrize("effort", Effort)
def test_an_effort_sets_what_is_not_set_itself(effort: Effort) -> None:
    resolved = resolve({"effort": effort.value, "training_seeds": 2})
    assert "effort" not in resolved
    assert resolved == {**EFFORTS[effort], "training_seeds": 2}


def test_efforts_set_settings_that_there_are_and_standard_is_the_default() -> None:
    assert {name for changes in EFFORTS.values() for name in changes} <= {one.name for one in DECLARED}
    assert ComparisonSettings("x", **resolve({"effort": "standard"})) == ComparisonSettings("x")
    for effort in Effort:
        ComparisonSettings("x", **resolve({"effort": effort}))
    with pytest.raises(ConfigError, match="effort is 'lazy'; give one of quick"):
        resolve({"effort": "lazy"})
    with pytest.raises(ValidationError):
        ComparisonRequest(dataset="x", effort="lazy")


def test_arms_are_read_by_their_older_name() -> None:
    assert resolve({"pipelines": ["base"]}) == resolve({"arms": ["base"], "pipelines": ["base"]}) == {"arms": ["base"]}
    with pytest.raises(ConfigError, match="arms and pipelines name different arms"):
        resolve({"arms": ["base"], "pipelines": ["rag"]})
