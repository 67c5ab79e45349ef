"""Bringing a database to the form that this version reads and writes."""

import threading
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, inspect, text

from lm.errors import ConfigError
from service.store.database import writing

FOLDER = Path(__file__).parent
_ADVISORY_LOCK = 0x74756E65
_ONE_THREAD = threading.Lock()


def migrate(engine: Engine) -> None:
    """Apply the steps that are missing, all in one transaction; several processes may start at once.

    Raises:
        ConfigError: a later version of this program made the tables.
    """
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from alembic.script.revision import ResolutionError
    from alembic.util import CommandError

    script = ScriptDirectory(str(FOLDER))

    def missing_steps(revision: Any, _: Any) -> Any:
        return script._upgrade_revs("head", revision)

    with (
        # The steps reach their connection through a variable of Alembic's module.
        _ONE_THREAD,
        writing(engine) as connection,
        EnvironmentContext(Config(), script, fn=missing_steps) as environment,
    ):
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        environment.configure(connection=connection, transactional_ddl=True)
        try:
            environment.run_migrations()
        except (CommandError, ResolutionError) as error:
            raise ConfigError(
                f"the tables in {engine.url.render_as_string(hide_password=True)} were made by another version of this "
                f"program ({error}); install that version, or name another database or data directory"
            ) from error


def is_current(engine: Engine) -> bool:
    """Whether the database has the tables of this version."""
    return revision_of(engine) == _newest_step()


def revision_of(engine: Engine) -> str | None:
    """The last step that a database has taken; None where it has no tables."""
    if not inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def is_known(revision: str) -> bool:
    """Whether this version has that step, and so can read such tables."""
    from alembic.script import ScriptDirectory

    return revision in {step.revision for step in ScriptDirectory(str(FOLDER)).walk_revisions()}


@cache
def _newest_step() -> str | None:
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(FOLDER)).get_current_head()
