import threading

from sqlalchemy import Engine

from service.contract.comparison_state import ComparisonState
from service.server.newest_comparison import newest_kept_ready
from service.store.comparisons.comparison_store import create_comparison, set_state
from service.store.database import writing
from service.store.reports.stored_reports import NotFinishedError


def finish(engine: Engine, comparison_id: str) -> None:
    create_comparison(engine, comparison_id=comparison_id, name="n", dataset="tiny", settings={})
    with writing(engine) as connection:
        set_state(connection, comparison_id, ComparisonState.RUNNING, expected=[ComparisonState.QUEUED])
        set_state(connection, comparison_id, ComparisonState.SUCCEEDED, expected=[ComparisonState.RUNNING])


class Reader:
    """Notes what is read, and lets a test wait for it."""

    def __init__(self, *, damaged: str = "") -> None:
        self.damaged = damaged
        self.seen: list[str] = []
        self.changed = threading.Condition()

    def __call__(self, comparison_id: str, finished_at: float) -> None:
        assert finished_at > 0
        with self.changed:
            self.seen.append(comparison_id)
            self.changed.notify_all()
        if comparison_id == self.damaged:
            raise NotFinishedError("nothing there")

    def wait_for(self, n: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.seen) >= n, timeout=60)


def test_each_comparison_is_read_once_when_it_is_the_newest(engine: Engine) -> None:
    read = Reader()
    finish(engine, "older")
    finish(engine, "newer")
    with newest_kept_ready(engine, read, look_interval_s=0.01):
        read.wait_for(1)
        assert read.seen == ["newer"]
        create_comparison(engine, comparison_id="waiting", name="n", dataset="tiny", settings={})
        finish(engine, "newest")
        read.wait_for(2)
    assert read.seen == ["newer", "newest"]


def test_one_that_cannot_be_read_keeps_no_other_from_being_read(engine: Engine) -> None:
    read = Reader(damaged="damaged")
    finish(engine, "damaged")
    with newest_kept_ready(engine, read, look_interval_s=0.01):
        read.wait_for(1)
        finish(engine, "sound")
        read.wait_for(2)
    assert read.seen == ["damaged", "sound"]
