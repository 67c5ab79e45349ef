"""A comparison in a database, processes that work on it, and what must be true of it whatever became of them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine, func, insert, select

from service.run.settings import ComparisonSettings
from service.store.comparisons.comparison_store import StoredComparison, create_comparison, find_comparison
from service.store.comparisons.events import read_events
from service.store.database import DATABASE_FILE, open_database, patiently, writing
from service.store.dataset_store import version_of
from service.store.migrations.upgrade import migrate
from service.store.tables import answer_blocks, dataset_files, datasets, report_files

ROOT = Path(__file__).parents[2]
PROCESS = Path(__file__).with_name("service_process.py")
COMPARISON = "tiny-0"
ARMS = ("base", "few-shot", "rag", "fine-tuned")
N_FACTS = 240
BLOCK_S = 0.2
DEADLINE_S = 300

CARD = """
name = "tiny"
task = "question-answering"
language = "en"
licence = "CC0-1.0"
metrics = ["exact_match", "token_f1", "abstention"]
description = "Colours of things."
"""
MONEY = frozenset({"cost", "break_evens", "flips", "flip_map"})
TIMES = MONEY | {"created_at", "wall_s", "throughput_per_s", "latency", "latency_s", "usd", "wall_s_by_stage"}


def timeless(value: Any) -> Any:
    """A report without what differs between two equal runs."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def dataset_of(n_facts: int) -> dict[str, bytes]:
    """Files of a dataset: a document a fact, two thirds of the facts trained on, all of them tested."""
    documents = [{"id": f"d{i}", "title": f"Thing {i}", "text": f"Thing {i} is coloured c{i}."} for i in range(n_facts)]
    questions = []
    for i in range(n_facts):
        common = {"answers": [f"c{i}"], "document_ids": [f"d{i}"], "group": f"g{i}"}
        if i % 3:
            split = "validation" if i % 9 == 1 else "train"
            questions.append({"id": f"a{i}", "question": f"Colour of thing {i}?", "split": split, **common})
        questions.append({"id": f"t{i}", "question": f"Which colour has number {i}?", "split": "test", **common})
    rows = {"documents.jsonl": documents, "questions.jsonl": questions}
    files = {name: "".join(json.dumps(row) + "\n" for row in lines).encode() for name, lines in rows.items()}
    return files | {"dataset.toml": CARD.encode()}


class ChaosWorkplace:
    """A comparison that waits in a database, and a data directory for each process that works on it."""

    def __init__(self, root: Path, url: str | None = None, *, n_facts: int = N_FACTS) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.home = root / "home"
        self.home.mkdir()
        self.journal = root / "journal"
        self.journal.touch()
        self.url = url
        self.engine = open_database(url or f"sqlite:///{self.home / DATABASE_FILE}")
        migrate(self.engine)
        self._seen: dict[tuple[str, str], tuple[str, float]] = {}
        self._started: list[subprocess.Popen[bytes]] = []
        create_dataset_and_comparison(self.engine, dataset_of(n_facts), arms=ARMS)

    def start(
        self,
        *,
        die_at: str = "",
        freeze_at: str = "",
        block_s: float = BLOCK_S,
        home: Path | None = None,
        ray: Sequence[str] = (),
        adoption_s: float = 3.0,
    ) -> subprocess.Popen[bytes]:
        """A process in a group of its own, which ends when the comparison is over.

        Args:
            adoption_s: For how long nobody may have worked on the comparison before it is taken up.
            ray: Options of the driver, for jobs whose work is done on a cluster.
        """
        command = self.command(home or self.home, die_at=die_at, freeze_at=freeze_at, block_s=block_s, ray=ray)
        environment = self.environment | {"CHAOS_ADOPTION_S": str(adoption_s)}
        self._started.append(subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True))
        return self._started[-1]

    @property
    def environment(self) -> dict[str, str]:
        """Of its processes."""
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        environment.pop("TUNING_FORK_DATABASE_URL", None)
        return environment | ({"TUNING_FORK_DATABASE_URL": self.url} if self.url is not None else {})

    def command(
        self, home: Path, *, block_s: float, die_at: str = "", freeze_at: str = "", ray: Sequence[str] = ()
    ) -> list[str]:
        """What a process is started with."""
        script = [str(self.journal), die_at, freeze_at, str(block_s)]
        return [sys.executable, str(PROCESS), str(home), COMPARISON, json.dumps(ray), *script]

    @property
    def comparison(self) -> StoredComparison:
        return find_comparison(self.engine, COMPARISON)

    def look(self) -> int:
        """Note what has been acknowledged so far; how many blocks that is. What was, must still be."""
        columns = select(
            answer_blocks.c.stage, answer_blocks.c.block, answer_blocks.c.answers, answer_blocks.c.created_at
        )

        def read() -> dict[tuple[str, str], tuple[str, float]]:
            with self.engine.connect() as connection:
                return {(stage, block): (answers, at) for stage, block, answers, at in connection.execute(columns)}

        now = patiently(read)
        lost = [key for key, row in self._seen.items() if now.get(key) != row]
        assert not lost, f"{len(lost)} acknowledged blocks are gone or changed"
        self._seen = now
        events = patiently(lambda: read_events(self.engine, COMPARISON, limit=100_000))
        sequences = [event.sequence for event in events]
        assert sequences == list(range(1, len(sequences) + 1))
        return len(now)

    def blocks_asked(self) -> Counter[str]:
        """How often each block was asked."""
        lines = self.journal.read_text().splitlines()
        return Counter(line for line in lines if not line.startswith(("died", "froze", "built")))

    def n_repeated(self) -> int:
        return sum(n - 1 for n in self.blocks_asked().values())

    def report(self) -> Any:
        """The report as its callers get it, without what differs between two equal runs."""
        report = timeless(json.loads(self.report_file("report.json")))
        report["settings"]["dataset"] = Path(report["settings"]["dataset"]).name
        return report

    def report_file(self, name: str) -> bytes:
        query = select(report_files.c.content).where(report_files.c.name == name)
        with self.engine.connect() as connection:
            return connection.execute(query).scalar_one()

    def answers(self) -> list[Any]:
        """Every question's answer and scores, arm by arm."""
        rows = map(json.loads, self.report_file("results.jsonl").decode().split("\n")[:-1])
        return [(row["arm"], row["example_id"], row["answer"]["text"], row["scores"]) for row in rows]

    def check_finished(self, whole: "ChaosWorkplace") -> None:
        """It ended like a comparison that nothing happened to."""
        assert self.comparison.state == "succeeded", self.comparison.error
        self.look()
        answers = self.answers()
        assert len({(arm, example_id) for arm, example_id, *_ in answers}) == len(answers)
        assert answers == whole.answers()
        assert self.report() == whole.report()
        assert set(self.blocks_asked()) == set(whole.blocks_asked())
        with self.engine.connect() as connection:
            assert connection.execute(select(func.count()).select_from(report_files)).scalar_one() == 7

    def close(self) -> None:
        """End what a test that failed left behind."""
        for process in self._started:
            if process.poll() is None:
                kill_group(process)
        self.engine.dispose()


OpenWorkplace = Callable[..., ChaosWorkplace]


def create_dataset_and_comparison(engine: Engine, files: dict[str, bytes], **settings: Any) -> None:
    version = version_of(files)
    row = {
        "version": version,
        "name": "tiny",
        "card": "{}",
        "findings": "[]",
        "n_documents": 1,
        "split_sizes": "{}",
        "frozen": False,
        "created_at": 0.0,
    }
    with writing(engine) as connection:
        connection.execute(insert(datasets).values(row))
        parts = [{"version": version, "path": path, "content": content} for path, content in files.items()]
        connection.execute(insert(dataset_files), parts)
    create_comparison(
        engine,
        comparison_id=COMPARISON,
        name="tiny",
        dataset=version,
        settings=ComparisonSettings(version, **settings).to_json(),
    )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """kill -9 of a process and all that it started, and their end."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=DEADLINE_S)


def processes_below(folder: Path) -> list[psutil.Process]:
    """What was started with a path there, whoever its parent is now."""
    return [
        one
        for one in psutil.process_iter(["cmdline"])
        if any(word.startswith(str(folder)) for word in one.info["cmdline"] or ())
    ]


def wait_until(is_reached: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait for a condition, which a process that ends too early can no longer bring about."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_reached():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None or is_reached(), "it ended before"
        time.sleep(0.02)
