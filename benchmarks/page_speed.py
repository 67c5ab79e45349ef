"""How fast the page is on a large comparison: `python -m benchmarks.page_speed`.

A small comparison is run with real models. Its records are then repeated until there are 10,000 questions and six arms,
written by the project's own functions into the rows of another comparison, and opened in Chromium. What is asked for:
a page opens within 2 s, a filter answers within 0.5 s, and the service answers a moved slider within 0.2 s. The page
itself waits 0.2 s after a key on a slider, in case another one follows.
"""

import argparse
import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from sqlalchemy import Engine, insert

from advisor.arms import DEFAULT_ARMS
from advisor.decision.inputs import Axis
from advisor.decision.record import DecisionRecord, read_record, text_hash, write_record
from advisor.evidence.records import read_records, record_line
from advisor.report.axes import axis_words
from advisor.results.comparison import Comparison, QuestionRecord
from advisor.results.json_report import json_report, read_comparison
from service.contract.comparison_state import ComparisonState
from service.store.comparisons.baseline_store import set_baseline
from service.store.comparisons.comparison_store import create_comparison, find_comparison, set_state
from service.store.database import database_url, open_database, writing
from service.store.tables import report_files
from tests.e2e.served_page import ServedPage, Tab, chromium, open_tab, served_page

N_QUESTIONS = 10_000
ARMS = (*DEFAULT_ARMS, "raft")
LARGE, BEFORE = "large-comparison", "large-comparison-before"
_BASELINE = "main"
_SMALL = {"dataset": "appliance-support", "limit": 40, "arms": ["base", "few-shot", "rag"], "chunk_tokens": 64}
_REPEATS = 5
OPEN_S, FILTER_S, SLIDER_S = 2.0, 0.5, 0.2


def enlarge(files: Mapping[str, bytes], n_questions: int, *, shift: int = 0) -> dict[str, bytes]:
    """Report files of a comparison of so many questions and six arms, made of those of a small one.

    Args:
        shift: By how many places the measured arms are moved among the six, so that answers are others.
    """
    comparison = read_comparison(files["report.json"].decode())
    record = read_record(files["decision.json"].decode())
    by_arm: dict[str, list[QuestionRecord]] = {}
    for row in read_records(files["results.jsonl"].decode().split("\n")):
        by_arm.setdefault(row.arm, []).append(row)
    measured = list(record.uses)
    likeness = {arm: measured[(i + shift) % len(measured)] for i, arm in enumerate(ARMS)}
    lines = [
        record_line(repeated(by_arm[like][i % len(by_arm[like])], arm, i))
        for arm, like in likeness.items()
        for i in range(n_questions)
    ]
    results = "\n".join(lines) + "\n"
    return dict(files) | {
        "results.jsonl": results.encode(),
        "report.json": json_report(_with_arms(comparison, likeness)).encode(),
        "decision.json": write_record(_with_uses(record, likeness, text_hash(results))).encode(),
    }


def repeated(row: QuestionRecord, arm: str, i: int) -> QuestionRecord:
    """The same answer to a question of its own."""
    return replace(
        row,
        arm=arm,
        example_id=f"{row.example_id}-{i}",
        question=f"{row.question} ({i})",
        group=f"{row.group}-{i // 40}",
        cluster=f"{row.cluster}-{i // 400}",
    )


def _with_arms(comparison: Comparison, likeness: Mapping[str, str]) -> Comparison:
    arms = tuple(replace(comparison.arm(like), kind=arm) for arm, like in likeness.items())
    return replace(comparison, id=LARGE, arms=arms)


def _with_uses(record: DecisionRecord, likeness: Mapping[str, str], results_hash: str) -> DecisionRecord:
    return replace(
        record,
        comparison_id=LARGE,
        results_hash=results_hash,
        uses={arm: record.uses[like] for arm, like in likeness.items()},
        traits={arm: record.traits[like] for arm, like in likeness.items()},
    )


def store(engine: Engine, source: str, files: Mapping[str, bytes], name: str) -> None:
    """As a finished comparison of that name."""
    like = find_comparison(engine, source)
    settings = {**like.settings, "arms": list(ARMS)}
    create_comparison(engine, comparison_id=name, name=name, dataset=like.dataset, settings=settings)
    with writing(engine) as connection:
        set_state(connection, name, ComparisonState.RUNNING, expected=[ComparisonState.QUEUED])
        set_state(connection, name, ComparisonState.SUCCEEDED, expected=[ComparisonState.RUNNING])
        rows = [{"comparison_id": name, "name": file, "content": content} for file, content in files.items()]
        connection.execute(insert(report_files), rows)


@dataclass(frozen=True)
class Act:
    """Something that was done several times.

    Attributes:
        took_s: Of each time, the first one first.
        bound_s: What is asked for; None where nothing is.
    """

    name: str
    took_s: Sequence[float]
    bound_s: float | None = None

    def __str__(self) -> str:
        first, rest = self.took_s[0], self.took_s[1:] or self.took_s
        bound = f"{self.bound_s:.1f}" if self.bound_s is not None else "–"
        return f"| {self.name} | {bound} | {first:.2f} | {statistics.median(rest):.3f} | {max(rest):.3f} |"


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def first_visits(served: ServedPage) -> Iterator[Act]:
    """Of a service and a page that were just started: nothing is in memory yet."""
    with chromium() as browser:
        for title in ("Decision", "Evidence"):
            with open_tab(browser) as tab:
                address = served.address(title, LARGE)
                yield Act(f"{title}, first visit after a start", [timed(partial(tab.open, address, title))])


def slider_answers(served: ServedPage) -> Iterator[Act]:
    """How long the service takes for each slider of the decision."""
    moves: dict[str, Callable[[float], dict[str, object]]] = {
        "volume": lambda share: {"queries_per_month": 10 ** (2 + 4 * share)},
        "coverage": lambda share: {"coverage": share},
        "coverage at its ends": lambda share: {"coverage": float(round(share))},
        "margin": lambda share: {"margin": share / 5},
        "price of a machine": lambda share: {"machine_usd_per_hour": 0.01 + share},
        "refreshes": lambda share: {"refreshes_per_month": 10 * share},
        "worth of an answer": lambda share: {"values": {"right_usd": 0.001 + share / 100}},
        "worth and coverage": lambda share: {"values": {"right_usd": 0.01}, "coverage": share},
    }
    with served.client() as client:
        for name, move in moves.items():
            asked = [move(0.1 + 0.8 * i / _REPEATS) for i in range(_REPEATS + 1)]
            yield Act(f"slider: {name}", [timed(partial(client.decide_again, LARGE, one)) for one in asked], SLIDER_S)
        maps = [{"queries_per_month": 100.0 * (i + 1), "parts": ["flip_map"]} for i in range(_REPEATS)]
        yield Act("map of decisions", [timed(partial(client.decide_again, LARGE, one)) for one in maps])
        worths = [{"values": {"right_usd": 0.01 * (i + 1)}, "parts": ["flip_map"]} for i in range(3)]
        yield Act("map by worth", [timed(partial(client.decide_again, LARGE, one)) for one in worths])


def page_visits(served: ServedPage) -> Iterator[Act]:
    """How long pages take to open, a filter to answer and a slider to move what it moves, in the browser."""
    with chromium() as browser:
        for title in ("Decision", "Evidence", "Reports & CI", "Compare runs", "Progress"):
            took = []
            for _ in range(_REPEATS):
                with open_tab(browser) as tab:
                    took.append(timed(partial(tab.open, served.address(title, LARGE), title)))
            yield Act(f"{title}, a new visitor", took, OPEN_S)
        with open_tab(browser) as tab:
            took = []
            for title in ("Start", *("Decision", "Evidence") * _REPEATS):
                took.append(timed(partial(tab.open, served.address(title, LARGE), title)))
            yield Act("Decision and Evidence, opened again", took[1:], OPEN_S)
        with open_tab(browser) as tab:
            tab.open(served.address("Evidence", LARGE), "Evidence")
            searches = [timed(partial(_search, tab, text)) for text in ("(77)", "Tide", "(7", "Tide 7", "7")]
            yield Act("search among the questions", searches, FILTER_S)
            for shown in ("arms disagree", f"changed since {_BASELINE}"):
                took = [timed(partial(_show, tab, one)) for one in (shown, None) * 3]
                # What every question is shown at again was asked for before.
                yield Act(f"show: {shown}", took[::2], FILTER_S)
            # A letter typed into a field moves nothing.
            tab.page.get_by_role("heading", name="Evidence", exact=True).click()
            yield Act("next question", [timed(partial(_next_question, tab)) for _ in range(6)], FILTER_S)
        with open_tab(browser) as tab:
            tab.open(served.address("Decision", LARGE), "Decision")
            tab.settle("Decision")
            for axis in (Axis.QUERIES_PER_MONTH, Axis.COVERAGE):
                name = axis_words(axis).name
                took = [timed(partial(_move_slider, tab, name)) for _ in range(6)]
                yield Act(f"slider “{name}”, key to redrawn page", took)


def _search(tab: Tab, text: str) -> None:
    field = tab.page.get_by_role("textbox", name="Search", exact=True)
    before = _told(tab)
    field.fill(text)
    field.press("Enter")
    _wait_for_another_total(tab, before)


def _show(tab: Tab, view: str | None) -> None:
    """One of the views, or all questions again."""
    before = _told(tab)
    field = tab.page.get_by_role("combobox", name="Show").first
    if view is None:
        field.press("Escape")
    else:
        field.fill(view)
        field.press("Enter")
    _wait_for_another_total(tab, before)


def _next_question(tab: Tab) -> None:
    before = tab.page.get_by_text(_PLACE).inner_text()
    tab.page.keyboard.press("j")
    tab.page.get_by_text(_PLACE).filter(has_not_text=before).wait_for()


_PLACE = re.compile("^question [0-9,]+ of ")


def _told(tab: Tab) -> str:
    return tab.page.get_by_text(re.compile("[0-9] questions? by ")).inner_text()


def _wait_for_another_total(tab: Tab, before: str) -> None:
    tab.page.wait_for_function(
        "before => [...document.querySelectorAll('p')].some(p => /[0-9] questions? by /.test(p.innerText)"
        " && p.innerText !== before)",
        arg=before,
    )


def _move_slider(tab: Tab, name: str) -> None:
    """A key on a slider, until the page has been drawn again."""
    tab.page.get_by_role("slider", name=name).first.press("ArrowRight")
    tab.page.locator("[data-test-script-state=running]").wait_for(state="attached", timeout=5_000)
    tab.settle()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=N_QUESTIONS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with served_page(home) as served, served.client() as client:
            made = client.wait_for_comparison(client.create_comparison(_SMALL).id, timeout_s=1800)
            assert made.state == "succeeded", made.error
            names = ("report.json", "report.md", "report.html", "decision.json", "results.jsonl")
            files = {name: client.get_report(made.id, name) for name in names}
        engine = open_database(database_url(home))
        large = enlarge(files, given.questions)
        store(engine, made.id, large, LARGE)
        store(engine, made.id, enlarge(files, given.questions, shift=1), BEFORE)
        set_baseline(engine, _BASELINE, BEFORE)
        engine.dispose()
        sizes = {name: f"{len(content) / 1e6:.1f} MB" for name, content in large.items()}
        print(f"{given.questions:,} questions, {len(ARMS)} arms: {json.dumps(sizes)}")
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores before\n")
        print("| what | bound (s) | first (s) | then, median (s) | longest (s) |\n|---|--:|--:|--:|--:|")
        # Started again, so that nothing of the large comparison is in memory.
        with served_page(home) as served:
            for acts in (first_visits, slider_answers, page_visits):
                for act in acts(served):
                    print(act, flush=True)
        print(f"\nload average {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
