import threading
from typing import Any

import pytest
from sqlalchemy import Engine, delete

from service.store.comparisons.comparison_progress import FollowedComparisons, Standing
from service.store.comparisons.comparison_store import create_comparison
from service.store.comparisons.events import append_event, read_events
from service.store.database import writing
from service.store.tables import events


@pytest.fixture
def comparison_id(engine: Engine) -> str:
    create_comparison(engine, comparison_id="c", name="c", dataset="d", settings={})
    return "c"


def tell(engine: Engine, type_: str, **data: Any) -> None:
    with writing(engine) as connection:
        append_event(connection, "c", type_, data)


def told(standing: Standing) -> dict[str, Any]:
    return {
        "progress": [(one.stage, one.arm, one.done, one.total) for one in standing.progress()],
        "scores": [(one.arm, one.mean, one.n, one.n_questions) for one in standing.running_scores("m")],
        "stages": standing.answer_stages,
        "last": standing.last_event,
    }


def tell_a_run(engine: Engine) -> None:
    tell(engine, "progress", stage="index", arm="", done=0, total=9)
    tell(engine, "block", stage="answer", arm="base", done=5, total=10, key="s1", score=0.4)
    tell(engine, "progress", stage="index", arm="", done=9, total=9)
    tell(engine, "training", stage="tune", arm="", done=1, total=4, detail="epoch 1", loss=2.0)
    tell(engine, "block", stage="answer", arm="rag", done=5, total=10, key="s2", score=None)
    tell(engine, "block", stage="answer", arm="base", done=10, total=10, key="s1", score=0.5)
    tell(engine, "resources", stage="tune", cpu_s=1.0)


def test_the_last_word_of_each_stage_counts_in_the_order_of_their_beginning(engine: Engine, comparison_id: str) -> None:
    tell_a_run(engine)
    assert told(FollowedComparisons().find(engine, comparison_id)) == {
        "progress": [("index", "", 9, 9), ("answer", "base", 10, 10), ("tune", "", 1, 4), ("answer", "rag", 5, 10)],
        "scores": [("base", 0.5, 10, 10)],
        "stages": {"base": "s1", "rag": "s2"},
        "last": 8,
    }


def test_resuming_begins_the_progress_anew_and_keeps_scores(engine: Engine, comparison_id: str) -> None:
    tell_a_run(engine)
    tell(engine, "state", state="queued")
    standing = FollowedComparisons().find(engine, comparison_id)
    assert standing.progress() == []
    assert [one.arm for one in standing.running_scores("m")] == ["base"]
    assert standing.answer_stages == {"base": "s1", "rag": "s2"}


def test_each_event_is_read_once(engine: Engine, comparison_id: str) -> None:
    followed = FollowedComparisons()
    tell_a_run(engine)
    before = followed.find(engine, comparison_id)
    tell(engine, "progress", stage="report", arm="", done=0, total=1)
    with writing(engine) as connection:
        connection.execute(delete(events).where(events.c.sequence <= before.last_event))
    after = told(followed.find(engine, comparison_id))
    assert after["progress"] == [*told(before)["progress"], ("report", "", 0, 1)]
    assert (after["last"], before.last_event) == (9, 8)


def test_more_events_than_are_read_at_a_time_all_count(engine: Engine, comparison_id: str) -> None:
    rows = [
        {"comparison_id": "c", "sequence": i, "type": "progress", "data": f'{{"stage": "s{i % 3}"}}', "created_at": 0.0}
        for i in range(2, 2002)
    ]
    with writing(engine) as connection:
        connection.execute(events.insert(), rows)
    assert FollowedComparisons().find(engine, comparison_id).last_event == 2001


def test_callers_who_look_at_once_see_every_event_once(engine: Engine, comparison_id: str) -> None:
    followed = FollowedComparisons()
    seen: list[Standing] = []

    def look() -> None:
        seen.extend(followed.find(engine, comparison_id) for _ in range(20))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    tell_a_run(engine)
    for thread in threads:
        thread.join()
    whole = Standing()
    for event in read_events(engine, comparison_id):
        whole.add(event)
    assert told(followed.find(engine, comparison_id)) == told(whole)
    assert len(seen) == 80
