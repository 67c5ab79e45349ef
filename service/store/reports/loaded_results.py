"""The results of a finished comparison in memory, ready to be looked through page by page.

Ten thousand questions to six arms are a hundred megabytes of JSON: they are read once, and not for every filter.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import Engine

from advisor.data.dataset import Slice
from advisor.evidence.failure import current_name
from advisor.report.facts import Answered, Tally, tallied
from advisor.results.plain_data import from_json
from advisor.results.quantities import clip
from service.contract.schemas import GridRow
from service.store.data_directory import DECISION_FILE, RECORDS_FILE
from service.store.database import undamaged
from service.store.recently_used import RecentlyUsed
from service.store.reports.stored_reports import NotFinishedError, read_report_files

MAX_BYTES = 512 * 2**20
"""Of results kept for the next page; the comparison that was asked for last is kept whatever it takes."""

_SHORT = 160
_ROW_BYTES = 2_000
"""About what a question takes beside the lines themselves."""


@dataclass(frozen=True)
class LoadedResults:
    """Every answer of a comparison, as lines and by question.

    Attributes:
        metric: The one that decides; None where no decision is on file.
        lines: Of `results.jsonl`. arms: Arm of each line. failures: kind of failure of each, "" for none.
        example_ids: Question of each line. rows: the questions, in file order.
    """

    metric: str | None
    lines: tuple[bytes, ...]
    arms: tuple[str, ...]
    failures: tuple[str, ...]
    example_ids: tuple[str, ...]
    rows: tuple[GridRow, ...]

    @property
    def n_bytes(self) -> int:
        """About how much memory this takes."""
        return sum(map(len, self.lines)) + _ROW_BYTES * len(self.rows)

    @cached_property
    def arm_names(self) -> tuple[str, ...]:
        """In file order."""
        return tuple(dict.fromkeys(self.arms))

    @cached_property
    def row_of(self) -> Mapping[str, GridRow]:
        """Each question by its id."""
        return {row.example_id: row for row in self.rows}

    @cached_property
    def failure_counts(self) -> Mapping[tuple[str, str], int]:
        """Wrong answers by arm and kind, in the order in which they first come up."""
        return Counter((arm, kind) for arm, kind in zip(self.arms, self.failures, strict=True) if kind)

    @cached_property
    def answered(self) -> tuple[Answered, ...]:
        """Every answer with its score, shortened."""
        return tuple(
            Answered(
                arm, row.example_id, row.question, row.references, Slice(row.slice), text,
                row.scores[arm], row.failures.get(arm, ""),
            )
            for row in self.rows
            for arm, text in row.answers.items()
        )  # fmt: skip

    @cached_property
    def tally(self) -> Tally:
        """What the answers of each arm come to."""
        return tallied(self.answered)

    @cached_property
    def lines_of(self) -> Mapping[str, list[int]]:
        """Where the answers to a question stand among the lines."""
        found: dict[str, list[int]] = {}
        for number, example_id in enumerate(self.example_ids):
            found.setdefault(example_id, []).append(number)
        return found

    @cached_property
    def said(self) -> tuple[str, ...]:
        """Question and answer of each line, case folded."""
        rows = (from_json(line, exact_integers=False) for line in self.lines)
        return tuple(f"{row['question']}\n{row['answer']['text']}".casefold() for row in rows)

    @cached_property
    def told(self) -> Mapping[str, tuple[str, ...]]:
        """Question, references and shortened answers of each question, case folded, by its id."""
        return {
            row.example_id: tuple({t.casefold() for t in (row.question, *row.references, *row.answers.values())})
            for row in self.rows
        }


class LoadedComparisons:
    """Results of the comparisons that were looked at last."""

    def __init__(self) -> None:
        self._loaded: RecentlyUsed[tuple[str, float], LoadedResults] = RecentlyUsed(
            MAX_BYTES, lambda results: results.n_bytes
        )

    def find(self, engine: Engine, comparison_id: str, finished_at: float) -> LoadedResults:
        """Results of a finished comparison.

        Args:
            finished_at: Tells a comparison that was finished again from the one in memory.
        Raises:
            NotFinishedError: it has none.
        """
        return self._loaded.find((comparison_id, finished_at), lambda: _load(engine, comparison_id))


def _load(engine: Engine, comparison_id: str) -> LoadedResults:
    files = read_report_files(engine, comparison_id, DECISION_FILE, RECORDS_FILE)
    if RECORDS_FILE not in files:
        raise NotFinishedError(f"the comparison {comparison_id} has no results; wait until it has succeeded")
    with undamaged(f"the results of {comparison_id}"):
        metric = str(from_json(files[DECISION_FILE])["metric"]) if DECISION_FILE in files else None
        return load_results(files[RECORDS_FILE], metric)


def load_results(results: bytes, metric: str | None) -> LoadedResults:
    """Of the content of `results.jsonl`."""
    lines = tuple(line for line in results.split(b"\n") if line.strip())
    arms, failures, example_ids = [], [], []
    grid: dict[str, GridRow] = {}
    for line in lines:
        raw: dict[str, Any] = from_json(line, exact_integers=False)
        arm, example_id, failure = raw["arm"], raw["example_id"], current_name(raw["failure"])
        row = grid.get(example_id)
        if row is None:
            row = grid[example_id] = GridRow(
                example_id, raw["question"], Slice(raw["slice"]), tuple(raw["references"]), {}, {}, {}
            )
        assert isinstance(row.answers, dict)
        assert isinstance(row.scores, dict)
        assert isinstance(row.failures, dict)
        row.answers[arm] = clip(raw["answer"]["text"], _SHORT)
        score = raw["scores"].get(metric) if metric is not None else None
        row.scores[arm] = score["value"] if score is not None else None
        if failure:
            row.failures[arm] = failure
        arms.append(arm)
        failures.append(failure)
        example_ids.append(row.example_id)
    return LoadedResults(metric, lines, tuple(arms), tuple(failures), tuple(example_ids), tuple(grid.values()))
