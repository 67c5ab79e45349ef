"""Answers that were given elsewhere: a file of JSON lines or CSV, read into an arm and written from one.

A row has `id` of the question and `text` of the answer; and, where they are known, `passages` (each with `document_id`,
`title`, `text`, `score`, and `used`: false where it did not go into the prompt), `input_tokens`, `output_tokens`,
`embedding_tokens`, `cached_tokens`, `seconds`, `cost_usd` and `finish_reason`. In CSV `passages` is JSON, and an empty
cell is a figure that is not known.
"""

import csv
import io
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from advisor.data.prompt import RetrievedChunk
from advisor.errors import EvaluationError
from advisor.results.answer import SECONDS, TOKENS, Answer, read_passages
from advisor.results.comparison import QuestionRecord
from advisor.results.plain_data import to_json
from lm.completion import FinishReason, Source, Usage
from lm.files import sha256

_TOKENS = ("input_tokens", "output_tokens", "embedding_tokens", "cached_tokens")
_COLUMNS = ("id", "text", "passages", *_TOKENS, "seconds", "cost_usd", "finish_reason")
_SHOWN = 10


@dataclass(frozen=True)
class GivenAnswers:
    """The answers of one file.

    Attributes:
        answers: By question id.
        usd: What each answer cost, by question id, where that was told.
        content_hash: SHA-256 of the file.
    """

    answers: Mapping[str, Answer]
    usd: Mapping[str, float]
    content_hash: str


def read_answer_file(path: Path) -> str:
    """The text of a file of answers.

    Raises:
        EvaluationError: it is not there, or not in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path} cannot be read ({error}); give a file of answers in UTF-8") from None


def parse_answers(text: str, name: str, known: Collection[str], asked: Sequence[str]) -> GivenAnswers:
    """The answers in a text.

    Args:
        name: Of its file; ends in .csv where it is CSV.
        known: Ids of all questions of the dataset. asked: those that must be answered.

    Raises:
        EvaluationError: names each line that is wrong, doubled or of no question, and the ids that are missing.
    """
    problems: list[str] = []
    rows: dict[str, _Row] = {}
    lines: dict[str, int] = {}
    for line, raw in _raw_rows(text, problems, is_csv=name.lower().endswith(".csv")):
        try:
            question, row = _read_row(raw)
        except ValueError as error:
            problems.append(f"line {line}: {error}")
            continue
        if question in rows:
            problems.append(f"line {line}: {question!r} is answered in line {lines[question]} already")
        elif question not in known:
            problems.append(f"line {line}: {question!r} is no question of the dataset")
        else:
            rows[question], lines[question] = row, line
    if missing := [question for question in asked if question not in rows]:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        problems.append(f"no answer to {', '.join(missing[:_SHOWN])}{more}")
    if problems:
        rest = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise EvaluationError(f"{name}: {'; '.join([*problems[:_SHOWN], *rest])}; correct the file")
    answers = {question: row.answer for question, row in rows.items()}
    usd = {question: row.usd for question, row in rows.items() if row.usd is not None}
    return GivenAnswers(answers, usd, sha256(text))


def answer_lines(records: Sequence[QuestionRecord], usd_per_question: float | None) -> Iterator[str]:
    """Rows of an arm's answers, which `parse_answers` reads.

    Args:
        usd_per_question: What the comparison says that a question to it costs; None without a price.
    """
    for record in records:
        answer, usage = record.answer, record.answer.usage
        row: dict[str, Any] = {"id": record.example_id, "text": answer.text}
        if answer.retrieved:
            row["passages"] = [
                {
                    "document_id": chunk.document_id,
                    "title": chunk.title,
                    "text": chunk.text,
                    "score": chunk.score if math.isfinite(chunk.score) else None,
                }
                | ({} if chunk.used else {"used": False})
                for chunk in answer.retrieved
            ]
        if TOKENS not in answer.unknown:
            row |= {name: getattr(usage, name) for name in _TOKENS}
        if SECONDS not in answer.unknown:
            row["seconds"] = usage.latency_s
        if usd_per_question is not None:
            row["cost_usd"] = usd_per_question
        if answer.finish_reason is not FinishReason.STOP:
            row["finish_reason"] = answer.finish_reason.value
        yield to_json(row) + "\n"


@dataclass(frozen=True, slots=True)
class _Row:
    answer: Answer
    usd: float | None


def _raw_rows(text: str, problems: list[str], *, is_csv: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with the line that it ends in."""
    if is_csv:
        reader = csv.DictReader(io.StringIO(text, newline=""), restkey="")
        if unknown := [name for name in reader.fieldnames or () if name not in _COLUMNS]:
            problems.append(f"line 1: unknown columns {', '.join(map(repr, unknown))}; there are {', '.join(_COLUMNS)}")
            return
        for raw in reader:
            yield reader.line_num, {name: cell for name, cell in raw.items() if cell or name == "text"}
        return
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            raw = json.loads(content)
        except (ValueError, RecursionError):
            problems.append(f"line {line}: not JSON")
            continue
        if isinstance(raw, dict):
            yield line, {name: value for name, value in raw.items() if value is not None}
        else:
            problems.append(f"line {line}: no JSON object")


def _read_row(raw: Mapping[str, Any]) -> tuple[str, _Row]:
    """The question's id and its answer.

    Raises:
        ValueError: what is wrong with it, in words.
    """
    if unknown := [name for name in raw if name not in _COLUMNS]:
        raise ValueError(f"unknown field {unknown[0]!r}; there are {', '.join(_COLUMNS)}")
    question, text = raw.get("id"), raw.get("text")
    if not isinstance(question, str) or not question:
        raise ValueError("no id of a question")
    if not isinstance(text, str):
        raise ValueError(f"{question!r} has no text")
    tokens = {name: int(value) for name in _TOKENS if (value := _number(raw, name)) is not None}
    seconds, usd = _number(raw, "seconds"), _number(raw, "cost_usd")
    has_tokens = {"input_tokens", "output_tokens"} <= tokens.keys()
    unknown_figures = (*(() if has_tokens else (TOKENS,)), *(() if seconds is not None else (SECONDS,)))
    reason = raw.get("finish_reason", FinishReason.STOP)
    if reason not in list(FinishReason):
        raise ValueError(f"finish_reason is {reason!r}; give one of {', '.join(FinishReason)}")
    usage = Usage(**(tokens if has_tokens else {}), latency_s=seconds or 0.0)
    retrieved = _passages(raw.get("passages", []))
    answer = Answer(text, usage, FinishReason(reason), retrieved, sha256(question), unknown=unknown_figures)
    return question, _Row(answer, usd)


def _number(raw: Mapping[str, Any], name: str) -> float | None:
    value = raw.get(name)
    if value is None:
        return None
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} is {value!r}; give a number of at least 0, or leave it out")
    return number


def _passages(passages: Any) -> tuple[RetrievedChunk, ...]:
    if isinstance(passages, str):
        try:
            passages = json.loads(passages)
        except (ValueError, RecursionError):
            raise ValueError("passages is no JSON") from None
    if not isinstance(passages, list) or not all(isinstance(one, dict | str) for one in passages):
        raise ValueError("passages is no list of passages; give each a document_id, and if you like title and text")
    rows = [{"text": one} if isinstance(one, str) else one for one in passages]
    sources = [
        Source(
            id=str(row.get("document_id", "")),
            title=str(row.get("title", "")),
            text=str(row.get("text", "")),
            score=_number(row, "score"),
        )
        for row in rows
    ]
    read = read_passages(sources)
    return tuple(replace(chunk, used=row.get("used") is not False) for chunk, row in zip(read, rows, strict=True))
