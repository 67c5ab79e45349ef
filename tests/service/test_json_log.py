import json
import logging
import os
import subprocess
import sys
from pathlib import Path

from service.jobs.job import JobEnd
from service.json_log import JsonFormatter
from service.store.data_directory import DataDirectory
from service.store.database import DATABASE_FILE, open_database
from service.store.migrations.upgrade import migrate
from tests.chaos.workplace import COMPARISON, create_dataset_and_comparison, dataset_of

BROKEN_JOB = """
import logging, sys, warnings
from service.jobs.job_process import job_process

def identify(model, revision):
    logging.getLogger("a.library").warning("from a library, with tf_%s", "x" * 30)
    warnings.warn("from Python")
    raise ZeroDivisionError("ours")

sys.exit(job_process(lambda *_: (None, identify), sys.argv[1:]))
"""


def test_a_line_carries_the_fields_of_its_record_and_those_of_all() -> None:
    record = logging.LogRecord("tuning_fork.jobs", logging.INFO, "", 0, "%s blocks", (3,), None)
    record.fields = {"unit": "u"}
    row = json.loads(JsonFormatter({"comparison_id": "c"}).format(record))
    assert set(row) == {"time", "level", "logger", "message", "comparison_id", "unit"}
    assert (row["level"], row["message"], row["comparison_id"], row["unit"]) == ("info", "3 blocks", "c", "u")


def test_all_that_a_job_logs_is_json_with_its_comparison(tmp_path: Path) -> None:
    home = DataDirectory(tmp_path / "home").root
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "TUNING_FORK_DATABASE_URL"}
    engine = open_database(f"sqlite:///{home / DATABASE_FILE}")
    migrate(engine)
    create_dataset_and_comparison(engine, dataset_of(6))
    engine.dispose()
    command = [
        sys.executable,
        "-c",
        BROKEN_JOB,
        COMPARISON,
        "--home",
        str(home),
        "--parent",
        str(os.getpid()),
        "--life",
        "1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == JobEnd.DEFECT
    rows = [json.loads(line) for line in done.stderr.splitlines()]
    assert [row["logger"] for row in rows] == ["a.library", "py.warnings", "tuning_fork.jobs"]
    assert {row["comparison_id"] for row in rows} == {COMPARISON}
    assert rows[0]["message"] == "from a library, with tf_..."
    assert rows[-1]["traceback"].endswith("ZeroDivisionError: ours")
