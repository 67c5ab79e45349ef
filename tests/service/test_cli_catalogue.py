import json

import pytest

from service.cli import main


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
    assert "it has Falcon, GPT" in capsys.readouterr().err
