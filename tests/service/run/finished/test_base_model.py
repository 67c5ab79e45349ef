"""Comparisons whose base model no longer comes with the program, asked with a folder in its place."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers

from lm.model_identity import model_identity
from service.cli.app import main
from service.run.composition import LocalComposition
from service.run.workflow import run_comparison
from tests.conftest import save_tiny_model


@pytest.fixture
def run(workplace: Any, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command line over a comparison of `pocket`, whose weights were those of the tiny model."""
    settings = replace(workplace.settings, model=f"hf:{tiny_model_folder}", arms=("base",), limit=30)
    made = run_comparison(settings, workplace.directory, LocalComposition, model_identity(settings.model))
    path = workplace.directory.comparison(made.id) / "settings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model": "pocket"}))
    monkeypatch.setenv("TUNING_FORK_HOME", str(workplace.directory.root))

    def run_command(*arguments: str) -> int:
        with pytest.raises(SystemExit) as exit_:
            main(list(arguments))
        return int(exit_.value.code or 0)

    return run_command


def test_a_copy_of_the_base_model_answers_and_no_other(
    run: Callable[..., int],
    tiny_model_folder: Path,
    tiny_tokenizer_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ask = ("ask", "latest", "Which colour has number 4?")
    assert run(*ask) == 2
    assert "the base model is no longer shipped; give `--base-model DIR`" in capsys.readouterr().err

    copy = shutil.copytree(tiny_model_folder, tmp_path / "copy")
    assert run(*ask, "--base-model", str(copy)) == 0
    assert capsys.readouterr().out.strip()

    config = transformers.AutoConfig.from_pretrained(tiny_model_folder)
    config.num_hidden_layers = 1
    other = save_tiny_model(config, tiny_tokenizer_folder, tmp_path / "other")
    for command in (ask, ("freshness", "latest", "--v2", str(tmp_path))):
        assert run(*command, "--base-model", str(other)) == 2
    told = capsys.readouterr().err
    assert told.count("is not the model that the comparison tiny-") == 1
