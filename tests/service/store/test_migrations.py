import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, delete, inspect, select, text

from lm.errors import ConfigError
from service.store.database import open_database, writing
from service.store.migrations.upgrade import FOLDER, migrate
from service.store.tables import metadata
from service.store.workspaces import in_workspace

ROOT = Path(__file__).parents[3]


def upgrade(engine: Engine, revision: str) -> None:
    """The tables of an earlier version."""
    script = ScriptDirectory(str(FOLDER))
    with (
        writing(engine) as connection,
        EnvironmentContext(Config(), script, fn=lambda at, _: script._upgrade_revs(revision, at)) as environment,
    ):
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()


def test_the_steps_lead_to_the_tables_as_they_are_declared(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("INSERT INTO answer_blocks VALUES ('stage', 'block', '{}', 1, 0)"))
    migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT block FROM answer_blocks")).scalars().all() == ["block"]


def test_what_shared_work_across_machines_is_dropped_and_all_else_kept(database_url: str) -> None:
    engine = open_database(database_url)
    upgrade(engine, "0001")
    with writing(engine) as connection:
        connection.execute(text("INSERT INTO answer_blocks VALUES ('stage', 'block', '{}', 1, 0)"))
        connection.execute(text("INSERT INTO leases VALUES ('unit', 'owner', 1, 0)"))
        connection.execute(text("INSERT INTO stage_files VALUES ('unit', 'path', '')"))
    migrate(engine)
    assert not {"leases", "stage_files"} & set(inspect(engine).get_table_names())
    with engine.connect() as connection:
        assert connection.execute(text("SELECT block FROM answer_blocks")).scalars().all() == ["block"]
    engine.dispose()


def test_several_processes_may_migrate_at_once(database_url: str) -> None:
    program = (
        "import sys; from service.store.database import open_database; "
        "from service.store.migrations.upgrade import migrate; "
        "migrate(open_database(sys.argv[1]))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, database_url], cwd=ROOT) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    engine = open_database(database_url)
    assert set(metadata.tables) < set(inspect(engine).get_table_names())
    engine.dispose()


def test_tables_of_a_later_version_are_left_alone(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="another version of this program"):
        migrate(engine)


def test_what_is_there_belongs_to_the_workspace_of_operators(database_url: str) -> None:
    engine = open_database(database_url)
    upgrade(engine, "0006")
    rows = {
        "api_keys": "('k', 'n', 'hash', 'read', 5, 1, NULL)",
        "datasets": "('v', 'n', '{}', '[]', 1, '{}', false, 2)",
        "dataset_files": "('v', 'questions.jsonl', '')",
        "baselines": "('main', 'c', 3)",
        "deployments": "('production', 1, 'c', 'rag', 4)",
    }
    with writing(engine) as connection:
        of_comparison = "id, name, dataset, settings, state, cancel_requested, created_at"
        connection.execute(
            text(f"INSERT INTO comparisons ({of_comparison}) VALUES ('c', 'n', 'v', '{{}}', 's', false, 0)")
        )
        for table, values in rows.items():
            connection.execute(text(f"INSERT INTO {table} VALUES {values}"))
    migrate(engine)
    with writing(in_workspace(engine, "other")) as connection:
        assert not any(connection.execute(select(metadata.tables[table])).first() for table in (*rows, "comparisons"))
    with writing(in_workspace(engine, "default")) as connection:
        for table in (*rows, "comparisons"):
            assert connection.execute(select(metadata.tables[table].c.workspace)).scalars().all() == ["default"], table
        assert connection.execute(select(metadata.tables["deployments"].c.revision)).scalar() == 1
        connection.execute(delete(metadata.tables["datasets"]))
        assert connection.execute(select(metadata.tables["dataset_files"])).first() is None
    engine.dispose()
