"""`tuningfork keys`: making, listing and revoking keys of the service, on the machine that holds its database."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from lm.errors import ConfigError
from lm.files import make_folder
from service.cli.options import Home, Workspace
from service.cli.terminal import plain_console, printable, show
from service.contract.scope import DEFAULT_WORKSPACE, Scope
from service.store.data_directory import DataDirectory

if TYPE_CHECKING:
    from sqlalchemy import Engine

keys = typer.Typer(name="keys", help="Make, list and revoke keys of the service.")
_OUT = plain_console()


@keys.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name, for example ci.", show_default=False)],
    scope: Annotated[
        Scope, typer.Option(help="read: look. run: also start comparisons and ask. admin: also manage keys.")
    ] = Scope.READ,
    workspace: Workspace = DEFAULT_WORKSPACE,
    requests_per_minute: Annotated[
        int | None, typer.Option(help="Most requests a minute. [default: any]", show_default=False)
    ] = None,
    max_spend_usd: Annotated[
        float | None,
        typer.Option(help="Most that it may spend at endpoints, in all. [default: any]", show_default=False),
    ] = None,
    home: Home = None,
) -> None:
    """Make a key and print its secret, which is stored nowhere.

    From the first key on the service asks everyone for one, on its own machine as well.
    """
    from service.store.api_keys import create_key

    with _database(home) as engine:
        checked = _checked_name(name)
        _, secret = create_key(
            engine,
            checked,
            [scope],
            workspace=workspace,
            requests_per_minute=requests_per_minute,
            max_spend_usd=max_spend_usd,
        )
    show(secret)


@keys.command("list")
def list_all(home: Home = None) -> None:
    """List all keys, revoked ones too. Their secrets cannot be shown again."""
    from advisor.results.quantities import usd
    from service.store.api_keys import list_keys

    with _database(home) as engine:
        found = list_keys(engine)
    table = Table("id", "name", "workspace", "scope", "a minute", "spent", "made", "revoked")
    for key in found:
        limit = str(key.requests_per_minute) if key.requests_per_minute is not None else "any"
        spent = usd(key.spent_usd) + (f" of {usd(key.max_spend_usd)}" if key.max_spend_usd is not None else "")
        revoked = _day(key.revoked_at) if key.revoked_at is not None else ""
        table.add_row(
            key.id, Text(printable(key.name)), key.workspace, key.scope, limit, spent, _day(key.created_at), revoked
        )
    _OUT.print(table)


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.", show_default=False)],
    home: Home = None,
) -> None:
    """Make a key open nothing from now on."""
    from service.store.api_keys import revoke_key

    with _database(home) as engine:
        key = revoke_key(engine, key_id)
    if key is None:
        raise ConfigError(f"there is no key {key_id!r}; `tuningfork keys list` shows all")
    show(f"The key {printable(key.name)} opens nothing any more.")


@contextmanager
def _database(home: Home) -> "Iterator[Engine]":
    """The service's database; it may be running meanwhile."""
    from service.store.database import database_url, open_database
    from service.store.migrations.upgrade import migrate

    directory = DataDirectory.from_environment(home)
    try:
        make_folder(directory.root)
    except OSError as error:
        raise ConfigError(f"the data directory {directory.root} cannot be written: {error.strerror}") from error
    engine = open_database(database_url(directory.root))
    try:
        migrate(engine)
        yield engine
    finally:
        engine.dispose()


def _checked_name(name: str) -> str:
    if not name.strip() or len(name) > 120 or not name.isprintable():
        raise ConfigError(f"the name {printable(name)!r} cannot be used; give 1 to 120 printable characters")
    return name


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
