"""`tuningfork ask`: questions to an arm of a finished comparison, given or typed."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from advisor.results.answer import Pipeline
from lm.errors import ConfigError, TuningForkError
from service.cli.options import BaseModel, ComparisonArgument, Home
from service.cli.terminal import plain_console, replace_unreadable, show_error
from service.store.data_directory import DataDirectory, ServiceHoldsError

if TYPE_CHECKING:
    from service.run.composition import Stages

_OUT = plain_console()


def ask(
    comparison: ComparisonArgument,
    question: Annotated[
        str | None,
        typer.Argument(metavar="QUESTION", help="Left out: questions are read one a line.", show_default=False),
    ] = None,
    pipeline: Annotated[
        str | None, typer.Option(help="Which arm answers. [default: the recommended one]", show_default=False)
    ] = None,
    base_model: BaseModel = None,
    home: Home = None,
) -> None:
    """Put questions to an arm of a finished comparison.

    Shows the answer, the passages it was given, its tokens and seconds.
    """
    from advisor.report.arms import pivot_arm
    from service.cli.console_answer import print_answer
    from service.run.asking import open_arm, read_finished
    from service.run.base_model import with_base_model

    if question is not None:
        question = _checked_question(question)
    directory = DataDirectory.from_environment(home)
    finished = read_finished(directory, comparison)
    finished = replace(finished, settings=with_base_model(finished.settings, base_model))
    kind = pipeline or pivot_arm(finished.comparison) or finished.settings.arm_ids[0]
    with stages_for_opening(directory) as stages, open_arm(directory, finished, kind, stages=stages) as arm:
        if question is not None:
            print_answer(_OUT, arm.answer([question])[0])
        else:
            _ask_all(arm, _typed_questions(f"{kind}> "))


@contextmanager
def stages_for_opening(directory: DataDirectory) -> "Iterator[Stages | None]":
    """None where what is missing may be built here; copies to open where a service holds the data directory."""
    with ExitStack() as stack:
        try:
            stack.enter_context(directory.lock())
            yield None
        except ServiceHoldsError:
            from service.serving.opened_stages import OpenedStages

            yield OpenedStages(Path(stack.enter_context(TemporaryDirectory(prefix="tuning-fork-"))))


def _ask_all(arm: Pipeline, questions: Iterator[str]) -> None:
    """Answer one after the other; a question that fails costs only itself, and the exit code."""
    from service.cli.console_answer import print_answer

    n_failed = 0
    for question in questions:
        try:
            print_answer(_OUT, arm.answer([question])[0])
        except TuningForkError as error:
            show_error(str(error))
            n_failed += 1
    if n_failed and not sys.stdin.isatty():
        raise typer.Exit(2)


def _typed_questions(prompt: str) -> Iterator[str]:
    """Lines of standard input until it ends or says exit; empty ones are passed over."""
    replace_unreadable(sys.stdin)
    is_typed = sys.stdin.isatty()
    while True:
        try:
            line = _OUT.input(prompt) if is_typed else input()
        except EOFError:
            if is_typed:
                _OUT.print()
            return
        if line.strip() in ("exit", "quit"):
            return
        if line.strip():
            yield line.strip()


def _checked_question(question: str) -> str:
    if not question.strip():
        raise ConfigError("the question is empty; write one in quotes, or leave it out to type several")
    try:
        question.encode()
    except UnicodeEncodeError:
        raise ConfigError("the question is not readable UTF-8; check the terminal's encoding") from None
    return question.strip()
