import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from advisor.advice.prior import PriorOutcome
from advisor.decision.record import Recheck, RecheckOutcome, read_record
from lm.errors import ConfigError, LanguageModelError, TuningForkError
from lm.model_identity import model_identity
from service.cli.app import main
from service.run.finished.recheck import find_record, recheck_file
from service.run.workflow import run_comparison
from service.store.data_directory import DataDirectory

if TYPE_CHECKING:
    from conftest import Workplace

TODAY = date.today()


@pytest.fixture
def decided(report_folder: Path) -> Path:
    """The record of a finished comparison."""
    return report_folder / "decision.json"


def check(path: Path, today: date = TODAY, **options: object) -> Recheck:
    return recheck_file(path, lambda *_: "scripted", today=today, **options)  # type: ignore[arg-type]


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_run_puts_its_decision_on_file_and_it_holds(decided: Path, compared: "Workplace") -> None:
    record = read_record(decided.read_text(encoding="utf-8"))
    assert record.arm == "few-shot"
    assert record.flips
    assert set(record.uses) == {"base", "few-shot"}
    calls = compared.n_calls
    found = check(decided)
    assert (found.outcome, found.recommended, found.changes) == (RecheckOutcome.HOLDS, "few-shot", ())
    assert compared.n_calls == calls


def test_other_documents_questions_and_models_are_told_apart(decided: Path, compared: "Workplace") -> None:
    rewrite(compared.folder / "documents.jsonl", "Thing 1 is coloured c1.", "Thing 1 is coloured red.")
    found = check(decided)
    assert (found.outcome, found.changes) == (RecheckOutcome.UNKNOWN, ("documents: changed",))
    rewrite(compared.folder / "questions.jsonl", "Which colour has number 1?", "What colour has number 1?")
    assert check(decided).changes == ("documents: changed", "test questions: changed")
    other = recheck_file(decided, lambda *_: "another", today=TODAY)
    assert other.changes[-1] == "model: changed"


def test_data_and_models_that_are_gone_are_named_and_nothing_is_claimed(decided: Path, compared: "Workplace") -> None:
    def identify(*_: object) -> str:
        raise LanguageModelError("no such model")

    assert "The model cannot be read: no such model" in recheck_file(decided, identify, today=TODAY).explanation
    (compared.folder / "documents.jsonl").unlink()
    found = check(decided)
    assert found.outcome is RecheckOutcome.UNKNOWN
    assert "The data cannot be read" in found.explanation


def test_the_last_day_is_the_declared_one(workplace: "Workplace") -> None:
    comparison = workplace.run(replace(workplace.settings, valid_days=7))
    path = workplace.directory.comparison(comparison.id) / "decision.json"
    last = date.fromisoformat(comparison.created_at[:10]) + timedelta(days=7)
    assert check(path, last).outcome is RecheckOutcome.HOLDS
    late = check(path, last + timedelta(days=1))
    assert (late.outcome, late.expired) == (RecheckOutcome.UNKNOWN, True)


@pytest.mark.parametrize("valid_days", [0, 4000])
def test_an_impossible_validity_is_refused_before_anything_runs(workplace: "Workplace", valid_days: int) -> None:
    with pytest.raises(ConfigError, match=f"valid_days is {valid_days}"):
        replace(workplace.settings, valid_days=valid_days)


def test_a_copied_record_needs_its_results_beside_it(decided: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "decision.json"
    copy.parent.mkdir()
    copy.write_bytes(decided.read_bytes())
    with pytest.raises(ConfigError, match=r"results\.jsonl is missing"):
        check(copy)
    (copy.parent / "results.jsonl").write_bytes(decided.with_name("results.jsonl").read_bytes())
    assert check(copy).outcome is RecheckOutcome.HOLDS
    rewrite(copy.parent / "results.jsonl", '"c0"', '"c9"')
    with pytest.raises(ConfigError, match="is not the file that the decision was made from"):
        check(copy)


def test_a_record_is_found_by_path_folder_and_comparison(decided: Path, compared: "Workplace") -> None:
    names = (str(decided), str(decided.parent), decided.parent.name, "latest")
    assert {find_record(compared.directory, name) for name in names} == {decided}
    decided.unlink()
    with pytest.raises(ConfigError, match="there is no decision record"):
        find_record(compared.directory, "latest")
    with pytest.raises(ConfigError, match="there is no finished comparison"):
        find_record(DataDirectory(compared.directory.root / "none"), "latest")


def test_impossible_values_are_refused_by_name(decided: Path) -> None:
    with pytest.raises(TuningForkError, match="coverage"):
        check(decided, coverage=1.5)
    with pytest.raises(TuningForkError, match="margin"):
        check(decided, margin=-1.0)


def test_a_run_that_lost_its_record_writes_it_anew_without_asking(decided: Path, compared: "Workplace") -> None:
    calls = compared.n_calls
    decided.unlink()
    compared.run()
    assert decided.is_file()
    assert compared.n_calls == calls


@pytest.fixture
def on_disk(workplace: "Workplace", tiny_model_folder: Path) -> Iterator[Path]:
    """A comparison whose model has files, as the command line identifies it."""
    settings = replace(workplace.settings, model=f"hf:{tiny_model_folder}")
    identity = model_identity(settings.model)
    folder = workplace.directory.comparison(
        run_comparison(settings, workplace.directory, workplace.compose, identity).id
    )
    # Scripted arms take no time to speak of; which of them took longer must not hang on a busy machine.
    record = json.loads((folder / "decision.json").read_text())
    record["uses"]["few-shot"]["seconds"] |= dict.fromkeys(("estimate", "low", "high"), 1.0)
    (folder / "decision.json").write_text(json.dumps(record))
    yield folder


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["recheck", *arguments])
    return int(caught.value.code or 0)


def test_the_exit_code_says_what_became_of_the_decision(
    on_disk: Path, workplace: "Workplace", capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(workplace.directory.root)]
    assert run(["latest", *home, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "holds"
    assert run([str(on_disk), "--queries-per-month", "123456"]) == 0
    shown = capsys.readouterr().out
    assert "Holds. It is still few-shot." in shown
    assert "traffic.queries_per_month: was 10,000, is 123,456" in shown
    # With so wide a margin the cheaper arm is as good.
    assert run([str(on_disk), "--margin", "0.99"]) == 1
    assert "No longer holds. few-shot was decided, and now it would be base." in capsys.readouterr().out
    rewrite(workplace.folder / "documents.jsonl", "Thing 1 is coloured c1.", "Thing 1 is coloured red.")
    assert run([str(on_disk)]) == 2
    assert "documents: changed" in capsys.readouterr().out


def test_another_dtype_than_that_of_the_comparison_is_named(on_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = on_disk / "decision.json"
    rewrite(record, '"dtype": ""', '"dtype": "float16"')
    assert run([str(on_disk)]) == 0
    assert "dtype: was float16, is float32 here" in capsys.readouterr().out
    rewrite(record, '"dtype": "float16"', '"dtype": "float32"')
    assert run([str(on_disk)]) == 0
    assert "dtype" not in capsys.readouterr().out


def test_a_damaged_record_ends_with_exit_code_2_and_its_name(on_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (on_disk / "decision.json").write_text("{")
    assert run([str(on_disk)]) == 2
    assert "decision.json: not JSON" in capsys.readouterr().err


def test_a_prior_is_set_beside_the_evidence_and_makes_another_report_of_the_same_answers(
    workplace: "Workplace", tmp_path: Path
) -> None:
    plain = workplace.run()
    calls = workplace.n_calls
    answers = tmp_path / "answers.toml"
    answers.write_text('knowledge = "form"\nlabelled_examples = 30\n', encoding="utf-8")
    settings = replace(workplace.settings, prior=answers)
    comparison = workplace.run(settings)
    assert comparison.prior_check is not None
    assert comparison.prior_check.outcome is PriorOutcome.CONFIRMED
    assert comparison.prior_check.prior.answers == {"knowledge": "form", "labelled_examples": 30.0}
    assert comparison.id != plain.id
    assert workplace.n_calls == calls
    assert workplace.run(settings) == comparison
    answers.write_text('knowledge = "facts"\nlabelled_examples = 30\n', encoding="utf-8")
    changed = workplace.run(settings).prior_check
    assert changed is not None
    assert changed.outcome is PriorOutcome.UNDECIDED


def test_a_prior_that_cannot_be_read_ends_the_run_before_anything_is_asked(
    workplace: "Workplace", tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="there is no such file of answers"):
        workplace.run(replace(workplace.settings, prior=tmp_path / "none.toml"))
    assert workplace.n_calls == 0
