import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, Engine, insert, text

from service.contract.comparison_state import ComparisonState
from service.serving.deployment_store import deploy
from service.store.comparisons.baseline_store import set_baseline
from service.store.comparisons.comparison_store import (
    ComparisonConflictError,
    ComparisonNotFoundError,
    IdempotencyKeyReusedError,
    QueueFullError,
    create_comparison,
    delete_comparison,
    find_comparison,
    list_comparisons,
    new_comparison_id,
    request_cancel,
    request_hash,
    resume_comparison,
    set_state,
)
from service.store.comparisons.events import read_events
from service.store.database import writing
from service.store.tables import baselines, deployments


def create(engine: Engine, comparison_id: str = "c", **options: object) -> tuple[object, bool]:
    given = {"name": "n", "dataset": "appliance-support", "settings": {}, **options}
    return create_comparison(engine, comparison_id=comparison_id, **given)  # type: ignore[arg-type]


def use_as_deployment(engine: Engine, comparison_id: str) -> object:
    return deploy(engine, "production", comparison_id, "base")


def use_as_baseline(engine: Engine, comparison_id: str) -> object:
    return set_baseline(engine, "main", comparison_id)


def test_a_thousand_callers_with_one_key_make_one_comparison(engine: Engine) -> None:
    made: list[tuple[object, bool]] = []
    errors: list[Exception] = []

    def call(first: int) -> None:
        for i in range(first, first + 50):
            try:
                made.append(create(engine, f"c{i}", idempotency_key="k", request={"name": "h"}))
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=call, args=(50 * i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(made) == 1000
    assert sum(is_new for _, is_new in made) == 1
    assert len({stored.id for stored, _ in made}) == 1  # type: ignore[attr-defined]
    assert list_comparisons(engine)[1] == 1


def test_a_key_used_for_another_request_is_refused(engine: Engine) -> None:
    create(engine, "a", idempotency_key="k", request={"name": "one"})
    with pytest.raises(IdempotencyKeyReusedError):
        create(engine, "b", idempotency_key="k", request={"name": "other"})


def test_the_queue_has_a_limit(engine: Engine) -> None:
    create(engine, "a", max_queued=2)
    create(engine, "b", max_queued=2)
    with pytest.raises(QueueFullError):
        create(engine, "c", max_queued=2)
    request_cancel(engine, "a")
    create(engine, "c", max_queued=2)
    with pytest.raises(QueueFullError):
        resume_comparison(engine, "a", max_queued=2)


def test_callers_who_create_at_once_do_not_pass_the_limit(engine: Engine) -> None:
    together = threading.Barrier(12)
    refused: list[str] = []

    def call(comparison_id: str) -> None:
        together.wait()
        try:
            create(engine, comparison_id, max_queued=3)
        except QueueFullError:
            refused.append(comparison_id)

    threads = [threading.Thread(target=call, args=(f"c{i}",)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (list_comparisons(engine)[1], len(refused)) == (3, 9)


def test_states_are_told_as_events_without_a_gap(engine: Engine) -> None:
    create(engine)
    with writing(engine) as connection:
        assert set_state(connection, "c", ComparisonState.RUNNING, expected=[ComparisonState.QUEUED])
        assert not set_state(connection, "c", ComparisonState.RUNNING, expected=[ComparisonState.QUEUED])
        assert set_state(connection, "c", ComparisonState.FAILED, expected=[ComparisonState.RUNNING], error="why")
    assert [(event.sequence, event.data["state"]) for event in read_events(engine, "c")] == [
        (1, "queued"),
        (2, "running"),
        (3, "failed"),
    ]
    found = find_comparison(engine, "c")
    assert (found.state, found.error) == (ComparisonState.FAILED, "why")
    assert found.started_at is not None
    assert found.finished_at is not None


def test_resuming_forgets_that_it_was_to_be_cancelled(engine: Engine) -> None:
    create(engine)
    assert request_cancel(engine, "c").cancel_requested
    found = resume_comparison(engine, "c")
    assert (found.state, found.cancel_requested, found.finished_at) == (ComparisonState.QUEUED, False, None)


def test_resuming_what_another_caller_resumed_meanwhile_changes_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(engine, "a")
    with writing(engine) as connection:
        set_state(connection, "a", ComparisonState.FAILED, expected=[ComparisonState.QUEUED])

    def meanwhile(connection: Connection, _: int | None) -> None:
        set_state(connection, "a", ComparisonState.QUEUED, expected=[ComparisonState.FAILED])
        set_state(connection, "a", ComparisonState.RUNNING, expected=[ComparisonState.QUEUED])

    monkeypatch.setattr("service.store.comparisons.comparison_store._refuse_full_queue", meanwhile)
    found = resume_comparison(engine, "a")
    assert found.state is ComparisonState.RUNNING
    assert found.started_at is not None


def test_what_a_baseline_or_deployment_rests_on_cannot_be_deleted(engine: Engine) -> None:
    for comparison_id in ("a", "b", "c"):
        create(engine, comparison_id)
        request_cancel(engine, comparison_id)
    with writing(engine) as connection:
        connection.execute(insert(baselines).values(name="main", comparison_id="a", created_at=0.0))
        row = {"alias": "production", "revision": 1, "comparison_id": "b", "kind": "rag", "created_at": 0.0}
        connection.execute(insert(deployments).values(**row))
    for comparison_id, held_by in (("a", "main"), ("b", "production")):
        with pytest.raises(ComparisonConflictError, match=held_by):
            delete_comparison(engine, comparison_id)
    delete_comparison(engine, "c")
    with pytest.raises(ComparisonNotFoundError):
        find_comparison(engine, "c")
    assert read_events(engine, "c") == []


def test_what_is_deployed_while_it_is_being_deleted_stays(engine: Engine) -> None:
    create(engine, "a")
    request_cancel(engine, "a")
    refused: list[ComparisonConflictError] = []

    def delete() -> None:
        with pytest.raises(ComparisonConflictError, match="production") as caught:
            delete_comparison(engine, "a")
        refused.append(caught.value)

    deleting = threading.Thread(target=delete)
    with writing(engine) as connection:
        row = {"alias": "production", "revision": 1, "comparison_id": "a", "kind": "rag", "created_at": 0.0}
        connection.execute(insert(deployments).values(**row))
        deleting.start()
        # It waits for this transaction; with a file, before it reads anything.
        while engine.dialect.name == "postgresql" and not n_waiting(engine):
            time.sleep(0.01)
    deleting.join()
    assert len(refused) == 1
    assert find_comparison(engine, "a").id == "a"


def n_waiting(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())


@pytest.mark.parametrize("use", [use_as_deployment, use_as_baseline])
def test_what_was_deleted_since_it_was_looked_at_is_told_to_be_missing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, use: Callable[[Engine, str], object]
) -> None:
    create(engine, "a")
    with writing(engine) as connection:
        set_state(connection, "a", ComparisonState.SUCCEEDED, expected=[ComparisonState.QUEUED])
    found = find_comparison(engine, "a")

    def looked_at(*_: object) -> object:
        delete_comparison(engine, "a")
        monkeypatch.undo()
        return found

    monkeypatch.setattr("service.serving.deployment_store.check_servable", looked_at)
    monkeypatch.setattr("service.store.comparisons.baseline_store.find_comparison", looked_at)
    with pytest.raises(ComparisonNotFoundError):
        use(engine, "a")


@pytest.mark.parametrize("name", ["Ours", "ဒေတာ", "../../x", "a" * 200, "", "  ", "é 😀 b", "-.-"])
def test_an_id_can_stand_in_an_address(name: str) -> None:
    comparison_id = new_comparison_id(name)
    assert comparison_id.isascii()
    assert comparison_id.replace("-", "").isalnum()
    assert len(comparison_id) <= 64
    assert new_comparison_id(name) != comparison_id


def test_the_order_of_keys_makes_no_other_request() -> None:
    assert request_hash({"a": 1, "b": [1, 2]}) == request_hash({"b": [1, 2], "a": 1})
    assert request_hash({"a": 1}) != request_hash({"a": 2})
    assert request_hash({"a": 1, "b": None}) != request_hash({"a": 1})


def test_what_a_caller_sent_in_place_of_files_is_loaded_where_it_is_asked_for_alone(engine: Engine) -> None:
    sent = {"arms": ["base"], "price_list": "x" * 1000, "prior_answers": None}
    create(engine, "a", settings=sent)
    assert find_comparison(engine, "a", sent_files=True).settings == sent
    (listed,), _ = list_comparisons(engine)
    for found in (listed, find_comparison(engine, "a")):
        assert found.settings == {"arms": ["base"], "prior_answers": None}
