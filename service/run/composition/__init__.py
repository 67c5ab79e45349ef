"""How arms are built: the one folder that knows both retrieval and tuning."""

from service.run.composition.local import LocalComposition, arm_names
from service.run.composition.stages import IndexRun, LoadedParts, Parts, Stages, TrainingRun

__all__ = ["IndexRun", "LoadedParts", "LocalComposition", "Parts", "Stages", "TrainingRun", "arm_names"]
