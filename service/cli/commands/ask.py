"""`tuningfork ask`: questions to an arm of a finished comparison, given or typed."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from advisor.data.prompt import RetrievedChunk
from advisor.results.answer import Answer
from lm.completion import FinishReason, Usage
from lm.errors import ConfigError, TuningForkError
from service.cli.options import BaseModel, ComparisonArgument, Home
from service.cli.terminal import plain_console, replace_unreadable, show_error
from service.store.data_directory import DataDirectory, ServiceHoldsError

if TYPE_CHECKING:
    from service.contract.query_schemas import ServedAnswerView

KEY_VARIABLE = "TUNING_FORK_API_KEY"

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

    Shows the answer, the passages it was given, its tokens and seconds. A service that works in the data directory
    answers in place of this command; if it asks for a key, set TUNING_FORK_API_KEY.
    """
    from advisor.report.arms import pivot_arm
    from service.cli.console_answer import print_answer
    from service.run.finished.asking import open_arm, read_finished
    from service.run.finished.base_model import with_base_model
    from service.store.comparisons.runs import find_finished, home_database

    if question is not None:
        question = _checked_question(question)
    directory = DataDirectory.from_environment(home)
    finished = read_finished(directory, comparison)
    finished = replace(finished, settings=with_base_model(finished.settings, base_model))
    kind = pipeline or pivot_arm(finished.comparison) or finished.settings.arm_ids[0]
    with ExitStack() as stack:
        try:
            stack.enter_context(directory.lock())
        except ServiceHoldsError as held:
            if base_model is not None:
                raise ConfigError("the running service answers; give --base-model to `tuningfork serve`") from None
            with home_database(directory) as engine:
                comparison_id = find_finished(engine, directory, comparison).id
            answer = stack.enter_context(_asking_service(held, comparison_id, kind))
        else:
            arm = stack.enter_context(open_arm(directory, finished, kind))

            def answer(asked: str) -> Answer:
                return arm.answer([asked])[0]

        if question is not None:
            print_answer(_OUT, answer(question))
        else:
            _ask_all(answer, _typed_questions(f"{kind}> "))


@contextmanager
def _asking_service(held: ServiceHoldsError, comparison_id: str, kind: str) -> Iterator[Callable[[str], Answer]]:
    """Questions go to the service that holds the data directory; while it loads a model, they wait."""
    from service.contract.client import ServiceClient, ServiceError
    from service.contract.query_schemas import ServedAnswerView

    if held.address is None:
        raise held
    with ServiceClient(held.address, os.environ.get(KEY_VARIABLE)) as client:

        def answer(question: str) -> Answer:
            is_told = False
            while True:
                try:
                    return _answer(ServedAnswerView(**client.ask(comparison_id, kind, [question])[0]))
                except ServiceError as error:
                    if error.status != 503 or error.retry_after_s is None:
                        raise
                    if not is_told:
                        plain_console(stderr=True).print("The service is loading the model.")
                        is_told = True
                    time.sleep(error.retry_after_s)

        yield answer


def _answer(view: "ServedAnswerView") -> Answer:
    tokens = view.tokens
    return Answer(
        text=view.text,
        usage=Usage(tokens.input_tokens, tokens.output_tokens, tokens.embedding_tokens, latency_s=view.latency_s),
        finish_reason=FinishReason(view.finish_reason),
        retrieved=tuple(
            RetrievedChunk(one.chunk_id, one.document_id, one.title, one.text, one.score or 0.0, one.used)
            for one in view.sources
        ),
        prompt_hash="",
    )


def _ask_all(answer: Callable[[str], Answer], questions: Iterator[str]) -> None:
    """Answer one after the other; a question that fails costs only itself, and the exit code."""
    from service.cli.console_answer import print_answer

    n_failed = 0
    for question in questions:
        try:
            print_answer(_OUT, answer(question))
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
