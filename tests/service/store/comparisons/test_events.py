import threading

import pytest
from sqlalchemy import Engine, insert
from sqlalchemy.exc import IntegrityError

from service.store.comparisons.events import append_event, read_events
from service.store.database import writing
from service.store.tables import comparisons


@pytest.fixture(autouse=True)
def comparison(engine: Engine) -> None:
    rows = [
        {"id": i, "name": i, "dataset": "d", "settings": "{}", "state": "queued", "cancel_requested": False}
        for i in ("c", "other")
    ]
    with writing(engine) as connection:
        connection.execute(insert(comparisons), [row | {"created_at": 0.0} for row in rows])


def append(engine: Engine, comparison_id: str, data: dict[str, object]) -> int:
    with writing(engine) as connection:
        return append_event(connection, comparison_id, "progress", data)


def test_events_are_numbered_within_their_comparison_and_read_from_any_number_on(engine: Engine) -> None:
    assert [append(engine, "c", {"n": n}) for n in range(3)] == [1, 2, 3]
    assert append(engine, "other", {}) == 1
    assert [(event.sequence, event.data["n"]) for event in read_events(engine, "c")] == [(1, 0), (2, 1), (3, 2)]
    assert [event.sequence for event in read_events(engine, "c", after=1)] == [2, 3]
    assert [event.sequence for event in read_events(engine, "c", after=1, limit=1)] == [2]
    assert read_events(engine, "c", after=3) == []


def test_an_event_of_a_transaction_that_failed_leaves_no_gap(engine: Engine) -> None:
    append(engine, "c", {})
    with pytest.raises(ZeroDivisionError), writing(engine) as connection:
        append_event(connection, "c", "progress", {})
        raise ZeroDivisionError
    assert append(engine, "c", {}) == 2


def test_writers_at_the_same_time_leave_neither_gaps_nor_doubles(engine: Engine) -> None:
    threads = [
        threading.Thread(target=lambda: [append(engine, "c", {"text": "\x00\ud83d"}) for _ in range(10)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.sequence for event in read_events(engine, "c")] == list(range(1, 41))


def test_a_comparison_that_is_gone_takes_no_events(engine: Engine) -> None:
    with pytest.raises(IntegrityError):
        append(engine, "gone", {})
