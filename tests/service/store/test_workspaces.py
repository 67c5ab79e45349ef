import pytest
from sqlalchemy import Engine, delete, func, insert, literal_column, select, text, union_all, update

from service.store.comparisons.baseline_store import list_baselines
from service.store.database import writing
from service.store.tables import answer_blocks, baselines, comparisons, events, metadata
from service.store.workspaces import EVERY_WORKSPACE, SHARED, in_workspace, narrowed


@pytest.fixture
def both(engine: Engine) -> tuple[Engine, Engine]:
    """Two workspaces, each with one comparison that has an event."""
    found = in_workspace(engine, "a"), in_workspace(engine, "b")
    for name, one in zip("ab", found, strict=True):
        row = {"id": name, "name": "n", "dataset": "d", "settings": "{}", "state": "queued", "cancel_requested": False}
        event = {"comparison_id": name, "sequence": 1, "type": "state", "data": "{}", "created_at": 0.0}
        with writing(one) as connection:
            connection.execute(insert(comparisons).values(**row, created_at=0.0))
            connection.execute(insert(events), [event])
            connection.execute(insert(baselines), [{"name": "main", "comparison_id": name, "created_at": 0.0}])
    return found


@pytest.mark.parametrize("table", metadata.tables.values(), ids=str)
def test_every_table_belongs_to_a_workspace_or_is_shared(table: object) -> None:
    statement = narrowed(select(table), "a")  # type: ignore[call-overload]
    assert ("workspace" in str(statement.whereclause)) is (table not in SHARED)


def test_an_engine_of_a_workspace_has_its_rows_alone(both: tuple[Engine, Engine], engine: Engine) -> None:
    a, _ = both
    with writing(a) as connection:
        assert connection.execute(select(comparisons.c.id)).scalars().all() == ["a"]
        assert connection.execute(select(events.c.comparison_id)).scalars().all() == ["a"]
        joined = select(events.c.comparison_id).select_from(events.join(comparisons))
        assert connection.execute(joined).scalars().all() == ["a"]
        assert connection.execute(select(comparisons.c.id).execution_options(**EVERY_WORKSPACE)).all() == [
            ("a",),
            ("b",),
        ]
        assert connection.execute(update(comparisons).values(name="changed")).rowcount == 1
        assert connection.execute(delete(events)).rowcount == 1
        connection.execute(insert(answer_blocks).values(stage="s", block="b", answers="{}", wall_s=0, created_at=0))
    with engine.connect() as connection:
        rows = connection.execute(select(comparisons.c.workspace, comparisons.c.name).order_by(comparisons.c.id)).all()
        assert rows == [("a", "changed"), ("b", "n")]
        assert connection.execute(select(events.c.comparison_id)).scalars().all() == ["b"]
    assert [one.comparison_id for one in list_baselines(both[1])] == ["b"]


def test_what_is_inserted_belongs_to_the_workspace_whatever_it_says(
    both: tuple[Engine, Engine], engine: Engine
) -> None:
    row = {"workspace": "b", "name": "of b?", "comparison_id": "a", "created_at": 0.0}
    with writing(both[0]) as connection:
        connection.execute(insert(baselines).values(**row))
    with engine.connect() as connection:
        found = select(baselines.c.workspace).where(baselines.c.name == "of b?")
        assert connection.execute(found).scalars().all() == ["a"]


@pytest.mark.parametrize(
    "statement",
    [
        text("SELECT id FROM comparisons"),
        select(events).where(events.c.comparison_id.in_(select(comparisons.c.id))),
        select(select(comparisons.c.id).subquery()),
        select(comparisons.alias().c.id),
        select(literal_column("*")).select_from(func.query_to_xml("SELECT id FROM comparisons")),
        select(func.json_each("[]").column_valued()),
        union_all(select(comparisons.c.id), select(comparisons.c.id)),
    ],
)
def test_what_cannot_be_narrowed_is_refused(engine: Engine, statement: object) -> None:
    with in_workspace(engine, "a").connect() as connection, pytest.raises(TypeError, match="narrowed to a workspace"):
        connection.execute(statement)  # type: ignore[call-overload]
