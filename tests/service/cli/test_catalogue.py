import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.cli.app import main

if TYPE_CHECKING:
    from conftest import Workplace


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["catalogue", *arguments])
    return int(caught.value.code or 0)


def test_the_table_fits_80_columns_and_shows_openness(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([]) == 0
    shown = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80
    assert "yes/yes/yes" in shown
    assert "no/no/no" in shown


def test_one_family_can_be_listed_with_all_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--family", "olmo", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {model["family"] for model in found} == {"OLMo"}
    assert all(model["sources"] and model["as_of"] for model in found)


def test_an_unknown_family_ends_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--family", "nope"]) == 2
    assert "it has Claude, DeepSeek, Falcon, GPT" in capsys.readouterr().err


def test_a_comparison_is_shown_at_the_prices_of_hosted_models_and_drawn(
    compared: "Workplace", capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    finished = compared.run()
    home = ["--home", str(compared.directory.root)]
    picture = tmp_path / "picture.svg"
    assert run(["--picture", str(picture), *home]) == 0
    shown = capsys.readouterr().out
    assert "GPT-4o mini" in shown
    assert "few-shot" in shown
    assert picture.read_text(encoding="utf-8").startswith("<svg")
    assert run(["--comparison", finished.id, "--json", *home]) == 0
    points = json.loads(capsys.readouterr().out)
    assert {point["arm"] for point in points["measured"]} == {"base", "few-shot"}
    assert {(price["arm"], price["model"]) for price in points["hosted_prices"]} >= {
        (arm, model) for arm in ("base", "few-shot") for model in ("GPT-4o mini", "GPT-5 mini")
    }


def test_a_picture_in_a_folder_that_is_not_there_is_refused(
    compared: "Workplace", capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    compared.run()
    assert run(["--picture", str(tmp_path / "no" / "x.svg"), "--home", str(compared.directory.root)]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_prices_of_no_comparison_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["--comparison", "latest", "--home", str(tmp_path)]) == 2
    assert "no finished comparison" in capsys.readouterr().err
