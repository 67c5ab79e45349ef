"""`tuningfork serve`."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lm.errors import ConfigError
from service.api.service_settings import ServiceSettings
from service.cli.commands.ui import UiAddress, UiHosts, host_names
from service.cli.options import Home
from service.cli.terminal import show
from service.jobs.ray_engine.ray_settings import DEFAULT_ADDRESS, RaySettings, parse_resources
from service.store.data_directory import DataDirectory

Jobs = Annotated[int, typer.Option("--workers", min=1, help="Comparisons worked on at the same time.")]


class EngineName(StrEnum):
    """Who computes."""

    LOCAL = "local"
    RAY = "ray"


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at. Others than this machine's own need an API key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 8000,
    workers: Jobs = 1,
    job_memory_gb: Annotated[
        float | None,
        typer.Option(
            min=0.5, help="Memory that each comparison's process may allocate. [default: all]", show_default=False
        ),
    ] = None,
    serving_memory_gb: Annotated[
        float | None,
        typer.Option(
            min=0.5,
            help="Memory that the process of served models may allocate. [default: four fifths of the machine's]",
            show_default=False,
        ),
    ] = None,
    ui_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the web UI on this machine.")] = 8501,
    ui_host: UiHosts = None,
    ui_listen: UiAddress = "127.0.0.1",
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Serve only the API, without the web UI.")] = False,
    base_model: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the base model of comparisons whose own is no longer shipped.",
            show_default=False,
        ),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of models and adapters that callers may name: folder:NAME and adapter:NAME.",
            show_default=False,
        ),
    ] = None,
    recheck_every: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Recheck decisions that are deployed, baselines or the newest so often: 12h, 7d, 4w. [default: never]",
            show_default=False,
        ),
    ] = None,
    recheck_webhook: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address that is sent JSON when a decision falls.", show_default=False),
    ] = None,
    keep_days: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Delete comparisons that were over so many days ago, once a day, as `tuningfork prune` does. "
            "[default: never]",
            show_default=False,
        ),
    ] = None,
    allow_models: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN,…",
            help="Models that callers may name besides those that come with the program, for example "
            "'hf:Qwen/*,openai:gpt-4o*,openai:*@https://llm.example.org/*'. [default: any on this machine without "
            "keys; for keys those at endpoints of the operator]",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="Who computes: this machine, or a Ray cluster that it is a node of.")
    ] = EngineName.LOCAL,
    ray_address: Annotated[str, typer.Option(metavar="HOST:PORT", help="Head of the Ray cluster.")] = DEFAULT_ADDRESS,
    ray_resources: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAGE=NAME:N,…",
            help="What a task of index, tune or answer asks of its node, e.g. tune=GPU:1,CPU:4. May be repeated. "
            "Otherwise one core, and for local models a GPU where the cluster has any.",
            show_default=False,
        ),
    ] = None,
    home: Home = None,
) -> None:
    """Serve the web UI and the REST API on this machine.

    Works on the comparisons that are asked for, too.

    The data is in a file of the data directory, or in Postgres where TUNING_FORK_DATABASE_URL names one.
    """
    directory = DataDirectory.from_environment(home)
    _refuse_taken(directory)
    from service.json_log import log_as_json
    from service.server.page import page_settings
    from service.server.serve import serve as serve_until_stopped

    log_as_json()
    ray = RaySettings(ray_address, parse_resources(ray_resources or [])) if engine is EngineName.RAY else None
    if models is not None and not models.is_dir():
        raise ConfigError(f"--models is {models}, which is no folder; give the folder that holds models and adapters")
    settings = ServiceSettings(
        host=host,
        port=port,
        n_jobs=workers,
        job_memory_bytes=int((job_memory_gb or 0) * 2**30),
        serving_memory_bytes=int((serving_memory_gb or 0) * 2**30),
        ray=ray,
        retired_model=base_model,
        models=models and models.resolve(),
        keep_days=keep_days,
    )
    if allow_models is not None:
        patterns = tuple(part.strip() for part in allow_models.split(",") if part.strip())
        settings = replace(settings, allow_models=patterns)
    if recheck_webhook is not None and recheck_every is None:
        raise ConfigError("--recheck-webhook needs --recheck-every; add it, for example --recheck-every 7d")
    if recheck_every is not None:
        every_s = _duration_s(recheck_every)
        settings = replace(settings, recheck_every_s=every_s, recheck_webhook=_address(recheck_webhook))
    page = None if no_ui else page_settings(ui_port, host_names(ui_host), ui_listen)
    serve_until_stopped(settings, directory, show, page=page)


def _duration_s(text: str) -> float:
    units = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isdecimal() or int(number) < 1:
        raise ConfigError(f"--recheck-every is {text!r}; give a whole number with h, d or w, such as 12h or 7d")
    return int(number) * units[unit]


def _address(url: str | None) -> str | None:
    if url is not None and not url.startswith(("http://", "https://")):
        raise ConfigError(f"--recheck-webhook {url!r} is no web address; give one like https://host/path")
    return url


def _refuse_taken(directory: DataDirectory) -> None:
    """Say that another process works there before loading what takes seconds; the lock to keep is taken later."""
    with directory.lock():
        pass
