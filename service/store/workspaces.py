"""Workspaces: what callers make belongs to the workspace of their key, and nothing else exists for them.

Whoever asks through an engine of a workspace reads, changes and deletes its rows alone, and what is inserted belongs to
it, whatever the statement says: every statement is narrowed here, so that no caller of the store can forget it.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Engine,
    FromClause,
    FunctionElement,
    Insert,
    Join,
    Select,
    SelectBase,
    Table,
    Update,
    event,
    select,
)
from sqlalchemy.sql import visitors
from sqlalchemy.sql.functions import GenericFunction

from service.store.tables import answer_blocks

EVERY_WORKSPACE = {"every_workspace": True}
"""Execution options of a statement or engine about all workspaces; callers are not shown what it finds."""

SHARED = frozenset({answer_blocks})
"""Tables that belong to no workspace: their rows are named by a hash of all that made them."""


@lru_cache(maxsize=1024)
def in_workspace(engine: Engine, workspace: str) -> Engine:
    """The same database as one workspace sees it; the same engine each time, so that caches by engine keep."""
    return engine.execution_options(workspace=workspace)


def narrow_statements(engine: Engine) -> None:
    """Make engines that come of this one by `in_workspace` keep to their workspace."""
    event.listen(engine, "before_execute", _before_execute, retval=True)


def _before_execute(_: Connection, statement: Any, multiparams: Any, params: Any, options: Any) -> tuple[Any, Any, Any]:
    workspace = options.get("workspace")
    if workspace is not None and not options.get("every_workspace"):
        statement = narrowed(statement, workspace)
    return statement, multiparams, params


def narrowed(statement: Any, workspace: str) -> Any:
    """A statement about the rows of one workspace.

    Raises:
        TypeError: it is of a form that cannot be narrowed here, such as text or a query within a query.
    """
    if isinstance(statement, Insert):
        table = statement.table
        # A row of another table belongs to the workspace of the row it refers to.
        return statement.values(workspace=workspace) if "workspace" in table.c else statement
    if not isinstance(statement, Select | Update | Delete):
        raise TypeError(f"{type(statement).__name__} cannot be narrowed to a workspace; build it of tables")
    for table in dict.fromkeys(_tables(statement)):
        condition = _belongs(table, workspace)
        statement = statement if condition is None else statement.where(condition)
    return statement


def _tables(statement: Select[Any] | Update | Delete) -> Iterator[Table]:
    """Every table that a statement is about. What it selects from is asked of its parts: compiling it takes longer."""
    for part in visitors.iterate(statement):
        if isinstance(part, SelectBase) and part is not statement:
            raise TypeError("a query within a query cannot be narrowed to a workspace; ask one after the other")
        if isinstance(part, Table):
            yield part
        elif isinstance(part, FromClause) and not isinstance(part, Join) and _is_source(part, statement):
            raise TypeError(f"{type(part).__name__} cannot be narrowed to a workspace; ask a table itself")


def _is_source(part: FromClause, statement: Any) -> bool:
    """Whether rows come of it: a function may be a source, or compute a value of a row as `count` and `max` do."""
    if not isinstance(part, FunctionElement):
        return True
    if isinstance(part, GenericFunction) or not isinstance(statement, Select):
        return False
    return any(part is source for source in statement.get_final_froms())


@lru_cache(maxsize=4096)
def _belongs(table: Table, workspace: str) -> ColumnElement[bool] | None:
    """What is true of rows of that workspace; None for a table that is everybody's."""
    if table in SHARED:
        return None
    if "workspace" in table.c:
        return table.c.workspace == workspace
    for key in table.foreign_keys:
        parent = key.column.table
        if "workspace" in parent.c:
            return key.parent.in_(select(key.column).where(parent.c.workspace == workspace))
    raise TypeError(f"the rows of {table.name} belong to no workspace; give it a column or a parent, or name it SHARED")
