"""How fast the page is on a large comparison: `python -m benchmarks.page_speed`.

A small comparison is run with real models. Its records are then repeated until there are 10,000 questions and six arms,
written by the project's own functions into the rows of another comparison, and opened in Chromium. What is asked for:
a page opens within 2 s, a filter answers within 0.5 s, and the service answers a moved slider within 0.2 s.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from sqlalchemy import Engine, insert

from advisor.comparison import Comparison, QuestionRecord
from advisor.decision_record import DecisionRecord, read_record, text_hash, write_record
from advisor.report.json_report import json_report, read_comparison
from advisor.report.records import read_records, record_line
from service.comparison_state import ComparisonState
from service.comparison_store import create_comparison, find_comparison, set_state
from service.database import database_url, open_database, writing
from service.tables import report_files
from tests.e2e.served_page import ServedPage, Tab, chromium, open_tab, served_page

N_QUESTIONS = 10_000
ARMS = ("base", "few-shot", "rag", "fine-tuned", "hybrid", "raft")
LARGE = "large-comparison"
_SMALL = {"dataset": "appliance-support", "limit": 40, "pipelines": ["base", "few-shot", "rag"], "chunk_tokens": 64}
_REPEATS = 5


def enlarge(files: Mapping[str, bytes], n_questions: int) -> dict[str, bytes]:
    """Report files of a comparison of so many questions and six arms, made of those of a small one."""
    comparison = read_comparison(files["report.json"].decode())
    record = read_record(files["decision.json"].decode())
    by_arm: dict[str, list[QuestionRecord]] = {}
    for row in read_records(files["results.jsonl"].decode().split("\n")):
        by_arm.setdefault(row.arm, []).append(row)
    measured = list(record.uses)
    likeness = {arm: measured[i % len(measured)] for i, arm in enumerate(ARMS)}
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


def store(engine: Engine, source: str, files: Mapping[str, bytes]) -> None:
    """As a finished comparison."""
    like = find_comparison(engine, source)
    settings = {**like.settings, "pipelines": list(ARMS)}
    create_comparison(engine, comparison_id=LARGE, name=LARGE, dataset=like.dataset, settings=settings)
    with writing(engine) as connection:
        set_state(connection, LARGE, ComparisonState.RUNNING, expected=[ComparisonState.QUEUED])
        set_state(connection, LARGE, ComparisonState.SUCCEEDED, expected=[ComparisonState.RUNNING])
        rows = [{"comparison_id": LARGE, "name": name, "content": content} for name, content in files.items()]
        connection.execute(insert(report_files), rows)


def timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def measure(served: ServedPage) -> dict[str, list[float]]:
    """Seconds of each act, the first time first."""
    found: dict[str, list[float]] = {}
    with served.client() as client:
        ask = [{"queries_per_month": 1000.0 * (i + 1), "parts": ["flip_map"]} for i in range(_REPEATS + 1)]
        found["POST decision"] = [timed(partial(client.decide_again, LARGE, body)) for body in ask]
    with chromium() as browser:
        for title in ("Decision", "Evidence", "Reports & CI", "Compare runs"):
            found[f"open {title}"] = []
            address = served.address(title, LARGE)
            for _ in range(_REPEATS):
                with open_tab(browser) as tab:
                    found[f"open {title}"].append(timed(partial(tab.open, address, title)))
        with open_tab(browser) as tab:
            tab.open(served.address("Evidence", LARGE), "Evidence")
            found["filter"] = [timed(partial(_search, tab, text)) for text in ("(77)", "Tide", "(7", "Tide 7", "7")]
    return found


def _search(tab: Tab, text: str) -> None:
    told = tab.page.get_by_text("questions; figures are")
    before = told.inner_text()
    field = tab.page.get_by_label("Search", exact=True)
    field.fill(text)
    field.press("Enter")
    tab.page.wait_for_function(
        "before => [...document.querySelectorAll('p')].some(p => /questions; figures are/.test(p.innerText)"
        " && p.innerText !== before)",
        arg=before,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=N_QUESTIONS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with served_page(home) as served:
            with served.client() as client:
                made = client.wait_for_comparison(client.create_comparison(_SMALL).id, timeout_s=1800)
                assert made.state == "succeeded", made.error
                names = ("report.json", "report.md", "report.html", "decision.json", "results.jsonl")
                files = {name: client.get_report(made.id, name) for name in names}
            engine = open_database(database_url(home))
            large = enlarge(files, given.questions)
            store(engine, made.id, large)
            engine.dispose()
            sizes = {name: f"{len(content) / 1e6:.1f} MB" for name, content in large.items()}
            print(f"{given.questions:,} questions, {len(ARMS)} arms: {json.dumps(sizes)}")
            print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores before")
            for name, took in measure(served).items():
                rest = took[1:]
                middle, most = statistics.median(rest), max(rest)
                print(f"{name:24} first {took[0]:6.2f} s, then median {middle:6.3f} s, longest {most:6.3f} s")
            print(f"load average {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
