"""What every part of the running service is given."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from service.api.service_settings import ServiceSettings
from service.store.data_directory import DataDirectory


@dataclass(frozen=True)
class ServiceContext:
    """Shared by routes and workers.

    Attributes:
        submit: Tells the engine of a comparison whose row is committed, so that it need not wait for its next look.
    """

    engine: Engine
    directory: DataDirectory
    submit: Callable[[str], None]
    settings: ServiceSettings
