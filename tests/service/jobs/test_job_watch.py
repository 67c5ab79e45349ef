import os
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from service.jobs.job_watch import JobWatch, life_on
from service.run.progress import Progress
from service.store.comparisons.events import read_events
from service.store.database import writing
from service.store.tables import comparisons


@pytest.fixture
def running(engine: Engine) -> str:
    row = {"id": "c", "name": "c", "dataset": "d", "settings": "{}", "state": "running", "cancel_requested": False}
    with writing(engine) as connection:
        connection.execute(insert(comparisons), [row | {"created_at": 0.0}])
    return "c"


def told(engine: Engine) -> list[Any]:
    return [(event.type, event.data["stage"], event.data["done"]) for event in read_events(engine, "c")]


def test_each_step_shows_life_and_what_is_told_again_is_told_once(engine: Engine, running: str) -> None:
    stages: list[str] = []
    watch = JobWatch(engine, running, show_life=stages.append)
    waiting = Progress("tune", "", 0, 1, "another comparison trains this adapter")
    for progress in (Progress("index", "", 3, 3), waiting, waiting, waiting):
        watch(progress)
    assert stages == ["index", "tune", "tune", "tune"]
    assert told(engine) == [("progress", "index", 3), ("progress", "tune", 0)]


def test_life_shows_on_a_pipe_and_nothing_waits_for_who_reads_it() -> None:
    life, shows_life = os.pipe()
    show_life = life_on(shows_life)
    show_life("index")
    assert os.read(life, 100) == b"index\n"
    for _ in range(20_000):
        show_life("answer")
    os.close(life)
    show_life("answer")
    os.close(shows_life)
