"""Tables that other installed packages add rows to, by entry points. docs/example-plugin is a complete one."""

import logging
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

Row = TypeVar("Row")

GROUPS = ("tuning_fork.models", "tuning_fork.metrics", "tuning_fork.losses", "tuning_fork.loaders")

_LOG = logging.getLogger("tuning_fork.plugins")


class Table(Mapping[str, Row]):
    """Our rows by name, and those of other packages, which are loaded when the table is first read.

    A row that cannot be loaded, is of another type than ours or has a name of ours is told in the log and left out.

    Args:
        group: What entry points name, one of `GROUPS`.
    """

    def __init__(self, group: str, own: Mapping[str, Row]) -> None:
        self.group = group
        self.own = own
        self.broken: dict[str, str] = {}

    def __getitem__(self, name: str) -> Row:
        return self.own[name] if name in self.own else self._added[name]

    def __iter__(self) -> Iterator[str]:
        return iter([*self.own, *self._added])

    def __len__(self) -> int:
        return len(self.own) + len(self._added)

    @cached_property
    def _added(self) -> dict[str, Row]:
        added = {}
        for point in entry_points(group=self.group):
            try:
                row = point.load()
                if point.name in self.own:
                    raise ValueError(f"{point.name!r} is a name of ours")
                wanted = type(next(iter(self.own.values())))
                if not isinstance(row, wanted):
                    raise TypeError(f"{point.value} is no {wanted.__name__}")
            except Exception as error:
                package = package_of(point)[0]
                self.broken[point.name] = (
                    f"the package {package} adds {point.name!r} to {self.group}, which cannot be loaded "
                    f"({type(error).__name__}: {error}); update it with `pip install -U {package}`, or take it out "
                    f"with `pip uninstall {package}`"
                )
                _LOG.warning(self.broken[point.name])
            else:
                added[point.name] = row
        return added


def package_of(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the package that an entry point came with."""
    return (point.dist.name, point.dist.version) if point.dist else (point.value.partition(":")[0], "")


def plugin_versions() -> dict[str, str]:
    """The packages that add to our tables, by name."""
    return dict(sorted({package_of(point) for group in GROUPS for point in entry_points(group=group)}))
