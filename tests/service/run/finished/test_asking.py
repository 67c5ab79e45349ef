import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lm.errors import ConfigError, TuningForkError
from service.run.finished.asking import open_arm, read_finished


def ask(workplace: Any, kind: str, question: str) -> str:
    finished = read_finished(workplace.directory, "latest")
    with open_arm(workplace.directory, finished, kind, compose=workplace.compose) as pipeline:
        return str(pipeline.answer([question])[0].text)


def test_an_arm_answers_as_it_was_compared(compared: Any) -> None:
    assert ask(compared, "few-shot", "Which colour has number 4?") == "c4"
    assert ask(compared, "base", "Which colour has number 4?") == "c0"
    assert compared.compositions[-1].n_closed == 1


def test_it_is_opened_from_another_folder_than_it_was_made_in(
    workplace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workplace.run(replace(workplace.settings, dataset="./tiny"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert ask(workplace, "base", "Which colour has number 4?") == "c0"


def test_an_arm_that_was_not_compared_is_refused_with_the_choices(compared: Any) -> None:
    with pytest.raises(ConfigError, match="has no pipeline 'rag'; it has base, few-shot"):
        ask(compared, "rag", "Why?")


def test_data_changed_since_are_refused(compared: Any) -> None:
    path = compared.folder / "documents.jsonl"
    path.write_text(path.read_text().replace("c7.", "purple."))
    with pytest.raises(ConfigError, match="the dataset .* has changed since the comparison tiny-.*compare again"):
        ask(compared, "base", "Why 1?")


def test_a_model_changed_since_is_refused(compared: Any, report_folder: Path) -> None:
    path = report_folder / "report.json"
    report = json.loads(path.read_text())
    report["hashes"]["pipeline base"] = "another"
    path.write_text(json.dumps(report))
    with pytest.raises(ConfigError, match="what base is built of has changed"):
        ask(compared, "base", "Why 1?")
    assert compared.compositions[-1].n_closed == 1


def test_data_gone_since_are_named(compared: Any) -> None:
    compared.folder.rename(compared.folder.with_name("moved"))
    with pytest.raises(TuningForkError, match=r"tiny: there is no such folder"):
        ask(compared, "base", "Why 1?")


def test_a_damaged_file_is_named_with_the_remedy(compared: Any, report_folder: Path) -> None:
    for path in (report_folder / "settings.json", report_folder / "report.json"):
        whole = path.read_text()
        for damage in ("", "{", "[]", "{}", '{"schema_version": 1}'):
            path.write_text(damage)
            with pytest.raises(ConfigError, match=f"{path.name} is missing or damaged; run the same `tuningfork compa"):
                read_finished(compared.directory, "latest")
        path.write_text(whole)
