"""Per-question results of a comparison, a page at a time; while it runs, the answers that are there."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select

from advisor.data.dataset import Dataset, Split
from advisor.results.answer import Answer
from advisor.results.comparison import QuestionRecord
from advisor.results.plain_data import from_json, from_plain, to_plain
from service.store.reports.loaded_results import LoadedResults
from service.store.tables import answer_blocks

# Spreadsheets take text that begins so for a formula, and run it; some take the full-width signs for the plain ones.
_FORMULA_STARTS = (*"=+-@\t\r\n", *"＝＋－＠")


@dataclass(frozen=True, slots=True)
class ResultFilter:
    """What of the results is wanted; None: all."""

    arm: str | None = None
    failure: str | None = None
    example_id: str | None = None
    contains: str | None = None


@dataclass(frozen=True, slots=True)
class ResultSlice:
    """A page.

    Attributes:
        rows: Question records as plain values.
        failures: Answers by kind of failure, over the arm asked for.
    """

    rows: list[dict[str, Any]]
    total: int
    arms: list[str]
    failures: dict[str, int]


def finished_results(loaded: LoadedResults, wanted: ResultFilter, *, limit: int, offset: int) -> ResultSlice:
    """A page of `results.jsonl`."""
    failures: dict[str, int] = {}
    for (arm, failure), n in loaded.failure_counts.items():
        if wanted.arm in (None, arm):
            failures[failure] = failures.get(failure, 0) + n
    contains = (wanted.contains or "").casefold()
    among = range(len(loaded.lines)) if wanted.example_id is None else loaded.lines_of.get(wanted.example_id, [])
    chosen = [
        number
        for number in among
        if (wanted.arm is None or loaded.arms[number] == wanted.arm)
        and (wanted.failure is None or loaded.failures[number] == wanted.failure)
        and (not contains or contains in loaded.said[number])
    ]
    # Kinds of failure have the names of today in results of before, too.
    rows = [
        from_json(loaded.lines[number]) | {"failure": loaded.failures[number]}
        for number in chosen[offset : offset + limit]
    ]
    return ResultSlice(rows, len(chosen), list(loaded.arm_names), failures)


def running_results(
    engine: Engine, stages: Mapping[str, str], dataset: Dataset, wanted: ResultFilter, *, limit: int, offset: int
) -> ResultSlice:
    """A page of the answers given so far, without scores, in the order of the questions.

    Args:
        stages: Where each arm's answers are stored, by arm (`Standing.answer_stages`).
        dataset: As the comparison limits it.
    """
    if wanted.failure is not None:
        return ResultSlice([], 0, [], {})
    examples = {example.id: example for example in dataset.split(Split.TEST)}
    contains = (wanted.contains or "").casefold()
    records = []
    for arm, stage in stages.items():
        if wanted.arm is not None and arm != wanted.arm:
            continue
        answers = _stored_answers(engine, stage)
        for example_id, example in examples.items():
            raw = answers.get(example_id)
            if raw is None or (wanted.example_id is not None and example_id != wanted.example_id):
                continue
            if contains and contains not in f"{example.asked}\n{raw['text']}".casefold():
                continue
            records.append((arm, example, raw))
    rows = [
        to_plain(QuestionRecord.of(example, dataset, arm, from_plain(Answer, raw), {}))
        for arm, example, raw in records[offset : offset + limit]
    ]
    return ResultSlice(rows, len(records), list(stages), {})


def _stored_answers(engine: Engine, stage: str) -> dict[str, Any]:
    with engine.connect() as connection:
        blocks = connection.execute(select(answer_blocks.c.answers).where(answer_blocks.c.stage == stage)).scalars()
        return {example_id: answer for text in blocks for example_id, answer in json.loads(text).items()}


def results_csv(results: bytes) -> Iterator[str]:
    """`results.jsonl` as a table for spreadsheets, in pieces; an unscored answer has an empty cell.

    Texts that a spreadsheet would take for a formula begin with a single quote.
    """
    rows = [json.loads(line) for line in results.split(b"\n") if line.strip()]
    metrics = list(dict.fromkeys(name for row in rows for name in row["scores"]))
    columns = ["arm", "example_id", "question", "references", "slice", "group", "cluster", "answer", "failure"]
    numbers = ["input_tokens", "output_tokens", "embedding_tokens", "latency_s"]
    yield _csv_row([*columns, "finish_reason", "retrieved_document_ids", *numbers, *metrics])
    for row in rows:
        answer = row["answer"]
        texts = [
            *(row["arm"], row["example_id"], row["question"], "|".join(row["references"])),
            *(row["slice"], row["group"], row["cluster"], answer["text"], row["failure"], answer["finish_reason"]),
            "|".join(dict.fromkeys(passage["document_id"] for passage in answer["retrieved"])),
        ]
        scores = [row["scores"].get(name, {}).get("value") for name in metrics]
        yield _csv_row([*map(_cell, texts), *(answer["usage"].get(name) for name in numbers), *scores])


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _csv_row(cells: Sequence[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
