"""`tuningfork advise`: the questionnaire on a terminal, and what the answers speak for."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from advisor.advice.prior import PriorRecommendation
from advisor.advice.questionnaire import (
    Answer,
    Question,
    contradictions,
    load_questionnaire,
    parse_answer,
    prior,
    read_answers,
    template,
)
from advisor.report.sections.prior import signed
from advisor.results.plain_data import to_json, to_plain
from lm.errors import ConfigError
from service.cli.terminal import plain_console, printable

_UNANSWERED_SHOWN = 5
_OUT = plain_console()
_DIALOGUE = plain_console(stderr=True)


def advise(
    answers: Annotated[
        Path | None,
        typer.Option(help="File of answers, .toml or .json. [default: you are asked]", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the recommendation as JSON.")] = False,
    as_template: Annotated[
        bool, typer.Option("--template", help="Write a file of all questions to fill in, and stop.")
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(help="New file for the answers, as `compare --prior` reads them.", show_default=False),
    ] = None,
) -> None:
    """Say which arms your answers about your case favour.

    They are what a team should know before it tunes anything. Nothing is run, and every question may be skipped. A
    measured comparison confirms or overrules the result.
    """
    given = read_answers(answers) if answers is not None else {}
    if as_template:
        typer.echo(template(given), nl=False)
        return
    if answers is None:
        given = _ask_all()
    recommendation = prior(given)
    if save is not None:
        _save(save, given)
    if as_json:
        typer.echo(to_json(to_plain(recommendation), indent=2))
        return
    _print(_OUT, recommendation)
    file = save or answers
    _OUT.print(f"Measure it: tuningfork compare DATASET{f' --prior {file}' if file else ''}", soft_wrap=True)


def _ask_all() -> dict[str, Answer]:
    """Answers typed in; the end of the input ends the questions, not the program."""
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="replace")
    questions = load_questionnaire().questions
    _DIALOGUE.print(f"{len(questions)} questions. An empty line skips one; Ctrl-D skips the rest.")
    given: dict[str, Answer] = {}
    section = ""
    for number, question in enumerate(questions, 1):
        if question.section != section:
            section = question.section
            _DIALOGUE.print(f"\n{section}", style="bold")
        _DIALOGUE.print(f"{number}. {question.ask}", soft_wrap=True)
        _DIALOGUE.print(Padding(Text(question.why, style="dim"), (0, 0, 0, 3)))
        for position, option in enumerate(question.options, 1):
            if question.kind != "yes-no":
                _DIALOGUE.print(f"   {position} {option.id}: {option.label}", soft_wrap=True)
        try:
            answer = _ask(question, given)
        except EOFError:
            _DIALOGUE.print()
            break
        if answer is not None:
            given[question.id] = answer
    return given


def _ask(question: Question, given: dict[str, Answer]) -> Answer | None:
    """One answer; asked again until it is one and contradicts none before it."""
    hint = {"number": question.unit, "yes-no": "yes or no"}.get(question.kind, "number or name")
    if question.several:
        hint = "numbers or names, separated by commas"
    while True:
        typed = _DIALOGUE.input(f"   ({hint}) > ")
        try:
            answer = parse_answer(question, _chosen(question, typed))
        except ConfigError as error:
            _DIALOGUE.print(f"   {printable(str(error))}", soft_wrap=True)
            continue
        if answer is None:
            return None
        clashes = contradictions({**given, question.id: answer})
        if not clashes:
            return answer
        _DIALOGUE.print(f"   That contradicts an earlier answer: {clashes[0].message}; {clashes[0].fix}.")


def _chosen(question: Question, typed: str) -> object:
    """What was typed, with numbers of options replaced by their names."""
    if question.kind == "number":
        return typed
    if question.kind == "yes-no":
        return {"y": "yes", "n": "no"}.get(typed.strip().lower(), typed.strip().lower())
    names = [option.id for option in question.options]
    parts = [part.strip().lower() for part in typed.split(",") if part.strip()]
    chosen = [names[int(part) - 1] if part.isdecimal() and 0 < int(part) <= len(names) else part for part in parts]
    return chosen if question.several or len(chosen) != 1 else chosen[0]


def _save(path: Path, given: dict[str, Answer]) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(template(given))
    except FileExistsError:
        raise ConfigError(f"{path} already exists and is not overwritten; choose another --save") from None
    except OSError as error:
        raise ConfigError(f"the answers cannot be written to {path}: {error.strerror}; choose another --save") from None


def _print(console: Console, recommendation: PriorRecommendation) -> None:
    console.print(recommendation.headline, style="bold", soft_wrap=True)
    if recommendation.answers:
        console.print(_ranking(recommendation))
    first = next((one for one in recommendation.ranking if one.arm == recommendation.arm), None)
    if first is not None and first.reasons:
        _list(
            console,
            f"For and against {first.arm}",
            [f"{signed(r.points)} {r.text} ({'; '.join(r.sources)})" for r in first.reasons],
        )
    _list(
        console, "Cautions", [f"{caution.text} ({'; '.join(caution.sources)})" for caution in recommendation.cautions]
    )
    questions = load_questionnaire()
    open_questions = [questions.question(name) for name in recommendation.unanswered[:_UNANSWERED_SHOWN]]
    left_out = len(recommendation.unanswered) - len(open_questions)
    more = [f"and {left_out} more"] if left_out else []
    _list(console, "Still open, those first that can change most", [f"{q.id}: {q.ask}" for q in open_questions] + more)


def _ranking(recommendation: PriorRecommendation) -> Table:
    table = Table("arm", "points", "what weighed most", box=SIMPLE_HEAD)
    for one in recommendation.ranking:
        reasons = one.ruled_out or one.reasons
        points = "ruled out" if one.ruled_out else signed(one.points)
        table.add_row(one.arm, points, reasons[0].text if reasons else "")
    return table


def _list(console: Console, title: str, lines: list[str]) -> None:
    if lines:
        console.print(title, style="bold")
        for line in lines:
            console.print(Padding(Text(line), (0, 0, 0, 2)))
        console.print()
