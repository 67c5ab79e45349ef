"""The settings of a comparison as options of a command."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, replace
from functools import wraps
from typing import Annotated, Any, get_origin

import typer

from lm.setting import DeclaredSetting, Setting, declared_settings, read_settings
from service.contract.settings import EFFORT, DeclaredSettings, option_key, resolve_typed
from service.run.settings import ComparisonSettings

Make = Callable[[dict[str, Any]], Any]


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose argument `settings` is made of DATASET and an option for each setting; its own options follow."""
    return _taking(command, list(_options()), lambda given: read_settings(ComparisonSettings, resolve_typed(given)))


def takes_group(group: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command whose argument `settings` is a group of settings, an option for each; its own options follow."""
    options = [(one.name, _option(one)) for one in declared_settings(group)]
    return lambda command: _taking(command, options, lambda given: read_settings(group, given))


def _taking(
    command: Callable[..., None], options: Sequence[tuple[str, dict[str, Any]]], make: Make
) -> Callable[..., None]:
    @wraps(command)
    def run(**given: Any) -> None:
        own = {name: given.pop(name) for name in list(inspect.signature(command).parameters) if name != "settings"}
        command(settings=make({name: value for name, value in given.items() if value is not None}), **own)

    own = [p for name, p in inspect.signature(command).parameters.items() if name != "settings"]
    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, **kind) for name, kind in options]
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*parameters, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own)]
    )
    run.__annotations__ = {p.name: p.annotation for p in (*parameters, *own)}
    return run


def _options() -> Iterator[tuple[str, dict[str, Any]]]:
    for one in declared_settings(DeclaredSettings):
        if one.default is MISSING:
            argument = typer.Argument(metavar=one.name.upper(), help=one.setting.help, show_default=False)
            yield one.name, {"annotation": Annotated[one.kind, argument]}
            effort = DeclaredSetting("effort", None, str, True, None, EFFORT)
            yield "effort", _option(effort)
        elif one.inner:
            for inner in one.inner:
                yield option_key(inner), _option(inner)
        elif one.name == "arms":
            several = typer.Option("--arm", help=f"{one.setting.help} May be given several times.", show_default=False)
            yield "arm", {"annotation": Annotated[list[str] | None, several], "default": None}
            short = Setting("The same as one list, separated by commas.")
            yield one.name, _option(replace(one, setting=short))
            yield "pipelines", {"annotation": Annotated[str | None, typer.Option(hidden=True)], "default": None}
        else:
            yield one.name, _option(one)


def _option(one: DeclaredSetting) -> dict[str, Any]:
    """Nothing is the default of any, so that an effort and the groups can tell what was given."""
    several = get_origin(one.kind) is tuple
    choices = f" {'Any' if several else 'One'} of {', '.join(one.choices)}." if one.choices else ""
    default = one.default
    if default is None or default is MISSING:
        default = one.setting.unset
    elif several:
        default = ",".join(default)
    told = f" [default: {default}]" if default is not False and default != "" else ""
    option = typer.Option(one.option, help=f"{one.setting.help}{choices}{told}", show_default=False)
    kind = str if several or one.choices else one.kind
    return {"annotation": Annotated[kind | None, option], "default": None}
