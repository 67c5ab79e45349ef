"""How arms are built: the one folder that knows both retrieval and tuning."""

from service.run.composition.local import LocalComposition, arm_names
from service.run.composition.stages import (
    BuiltStages,
    IndexRun,
    LoadedParts,
    Parts,
    Stages,
    TrainingRun,
    opened_adapter,
)

__all__ = [
    "BuiltStages",
    "IndexRun",
    "LoadedParts",
    "LocalComposition",
    "Parts",
    "Stages",
    "TrainingRun",
    "arm_names",
    "opened_adapter",
]
