"""Which models callers of the service may have it load or ask."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from lm.errors import ConfigError, ErrorKind
from service.safety.endpoint_guard import EndpointGuard

ANY = ("*", "openai:*@*")
FOR_KEYS = ("openai:*", "external:*")
"""Where the operator names none: models at addresses of the operator, and applications of the caller's own."""


class ModelNotAllowedError(ConfigError):
    """A model that callers of this service may not name."""

    kind = ErrorKind.FORBIDDEN
    title = "Model not allowed"


@dataclass(frozen=True, slots=True)
class AllowedModels:
    """What the operator lets callers name. Models that come with the program are always among it.

    Attributes:
        patterns: As a shell matches files. One without @ is of the address that the service is set to, and of no other
            that a caller could name.
        listed_endpoints: Whether any model may be asked at the addresses that the operator set or listed.
        folder: Whose models and adapters callers may name besides.
    """

    patterns: Sequence[str]
    listed_endpoints: bool = False
    folder: Path | None = None

    @property
    def is_everything(self) -> bool:
        """Whether there is nothing that it leaves out."""
        return tuple(self.patterns) == ANY

    def has(self, spec: str, guard: EndpointGuard) -> bool:
        """Whether it is among what the patterns and endpoints allow."""
        if any(_matches(spec, pattern) for pattern in self.patterns):
            return True
        kind, _, rest = spec.partition(":")
        url = rest.partition("@")[2]
        return self.listed_endpoints and kind == "openai" and bool(url) and guard.is_listed(url)

    def offers(self, spec: str) -> bool:
        """Whether it is by its path a model or adapter of the folder, which callers may name."""
        path = Path(spec.partition(":")[2])
        return self.folder is not None and path.resolve().is_relative_to(self.folder.resolve())

    def check(self, field: str, spec: str, guard: EndpointGuard) -> None:
        """Refuse what is not among it.

        Raises:
            ModelNotAllowedError: with what is.
        """
        if self.has(spec, guard):
            return
        told = ", ".join(self.patterns) + (", openai:MODEL@URL at endpoints of the operator" * self.listed_endpoints)
        raise ModelNotAllowedError(
            f"{field} is {spec!r}, which this service does not allow; it allows the models that come with it, and "
            f"{told}; choose one of these, or ask its operator for more (`tuningfork serve --allow-models`)"
        )


def _matches(spec: str, pattern: str) -> bool:
    if not spec.startswith("openai:"):
        return fnmatchcase(spec, pattern)
    (model, _, url), (models, _, urls) = spec.partition("@"), pattern.partition("@")
    return fnmatchcase(model, models) and fnmatchcase(url, urls)
