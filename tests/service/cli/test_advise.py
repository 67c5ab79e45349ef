import io
import json
from pathlib import Path

import pytest

from advisor.advice.questionnaire import load_questionnaire, read_answers, template
from service.cli.app import main

ANSWERS = 'knowledge = "facts"\nrarity = "rare"\nlabelled_examples = 300\nchange_rate = "weekly"\ndeletion = true\n'


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["advise", *arguments])
    return int(caught.value.code or 0)


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.toml"
    path.write_text(ANSWERS, encoding="utf-8")
    return path


def test_a_file_of_answers_gives_a_ranking_with_reasons_and_studies(
    answers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--answers", str(answers)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.startswith("Start with rag")
    assert "Ovadia 2023, arXiv 2312.05934" in shown
    assert "ruled out" in shown
    assert "Still open, those first that can change most" in shown
    assert f"tuningfork compare DATASET --prior {answers}" in shown


def test_json_output_is_the_whole_recommendation(answers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--answers", str(answers), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["arm"] == "rag"
    assert [one["arm"] for one in found["ranking"]][-1] == "fine-tuned"
    assert found["answers"]["labelled_examples"] == 300


def test_the_template_goes_to_standard_output_and_can_be_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--template"]) == 0
    written = capsys.readouterr().out
    assert written == template()
    path = tmp_path / "t.toml"
    path.write_text(written, encoding="utf-8")
    assert read_answers(path) == {}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('knowlege = "facts"\n', "line 1: there is no question 'knowlege'; did you mean knowledge?"),
        ('\nknowledge = "fact"\n', "line 2: knowledge is 'fact'"),
        ('documents = 0\ncitations = "required"\n', "contradict each other"),
    ],
)
def test_unfit_answers_end_with_exit_code_2_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, complaint: str
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(content, encoding="utf-8")
    assert run(["--answers", str(path)]) == 2
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert captured.out == ""


def typed(monkeypatch: pytest.MonkeyPatch, lines: dict[str, str]) -> None:
    """Standard input that answers the named questions and skips the others."""
    asked = [lines.get(question.id, "") for question in load_questionnaire().questions]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(asked) + "\n"))


def test_questions_are_asked_one_by_one_and_may_be_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    typed(
        monkeypatch,
        {"knowledge": "1", "labelled_examples": "1,200", "benefits": "quality, 3", "must_abstain": "y"},
    )
    saved = tmp_path / "mine.toml"
    assert run(["--json", "--save", str(saved)]) == 0
    captured = capsys.readouterr()
    expected = {
        "knowledge": "facts", "labelled_examples": 1200.0, "benefits": ["quality", "latency"], "must_abstain": "yes"
    }  # fmt: skip
    assert json.loads(captured.out)["answers"] == expected
    assert "What does the model lack today?" in captured.err
    assert read_answers(saved) == expected | {"benefits": ("quality", "latency")}


def test_the_end_of_input_ends_the_questions_honestly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("question-answering\n"))
    assert run([]) == 0
    assert "Not enough answers" in capsys.readouterr().out


def test_what_is_no_answer_or_contradicts_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, {"knowledge": "9\nfacts", "tunable": "own-weights", "licence": "forbids\nallows"})
    assert run(["--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["answers"] == {"knowledge": "facts", "tunable": "own-weights", "licence": "allows"}
    assert "knowledge is '9'; give one of facts, form, both" in captured.err
    assert "That contradicts an earlier answer" in captured.err


def test_answers_are_never_overwritten(answers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--answers", str(answers), "--save", str(answers)]) == 2
    assert "already exists" in capsys.readouterr().err
    assert answers.read_text(encoding="utf-8") == ANSWERS
