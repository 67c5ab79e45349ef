"""`tuningfork ui`: the web UI alone, for a service that runs elsewhere."""

from collections.abc import Sequence
from typing import Annotated

import typer

from lm.errors import ConfigError
from service.cli.terminal import show
from service.safety.web_origin import host_name

UiHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--ui-host",
        metavar="NAME",
        help="Name at which a proxy serves the web UI to others, who each type a key. May be repeated.",
        show_default=False,
    ),
]
UiAddress = Annotated[
    str,
    typer.Option(
        "--ui-listen",
        metavar="ADDRESS",
        help="Address that the web UI listens at. In a container 0.0.0.0, published on the loopback of its host.",
    ),
]


def ui(
    api: Annotated[str, typer.Option(help="Address of the service.")] = "http://127.0.0.1:8000",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the web UI on this machine.")] = 8501,
    ui_host: UiHosts = None,
    ui_listen: UiAddress = "127.0.0.1",
) -> None:
    """Open the web UI of a running service.

    If the service asks for an API key, type it into the web UI, or set TUNING_FORK_API_KEY, which counts for whoever
    has the address that this command prints. With --ui-host each visitor types a key.
    """
    from service.server.page import page_settings, start_page

    settings = page_settings(port, host_names(ui_host), ui_listen)
    process = start_page(settings, api, lends_key=True)
    show(f"The web UI asks {api}; Ctrl-C stops it. It is at {settings.url}")
    try:
        raise typer.Exit(2 if process.wait() else 0)
    finally:
        process.terminate()
        process.wait()


def host_names(given: Sequence[str] | None) -> tuple[str, ...]:
    """The names of `--ui-host`, in the form in which they are compared.

    Raises:
        ConfigError: one is no name, for example since it has a port or `https://`.
    """
    for name in given or ():
        if host_name(name) != name.lower():
            raise ConfigError(f"--ui-host {name!r} is no host name; give it alone, like forks.example.org")
    return tuple(name.lower() for name in given or ())
