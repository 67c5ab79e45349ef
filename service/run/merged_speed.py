"""How much faster a tuned arm answers with its adapter merged into the weights, measured where nobody has told it."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.results.answer import Pipeline
from service.run.settings import ComparisonSettings

if TYPE_CHECKING:
    from service.run.measuring import ArmMeasurement

QUESTIONS = 16
"""Asked one at a time, of each model in turn, after one to warm up."""


def with_measured_slowdown(settings: ComparisonSettings, measured: Sequence["ArmMeasurement"]) -> ComparisonSettings:
    """The settings, with the slowdown of the adapters where merged ones are to be costed and it was not declared.

    Measured on the first tuned arm whose model is here: adapters of a comparison have the same form.
    """
    if not settings.traffic.merge_adapter or settings.adapter_slowdown != 1.0:
        return settings
    for one in measured:
        if one.arm.tuned and (slowdown := measure_slowdown(one.arm.pipeline, [e.asked for e in one.questions])):
            return replace(settings, adapter_slowdown=slowdown)
    return settings


def measure_slowdown(pipeline: Pipeline, questions: Sequence[str]) -> float | None:
    """How many times longer a question takes with the adapter beside the weights; at least 1, None without an adapter.

    The median over questions of each one's ratio, so that a busy moment, which hits one question, decides nothing.
    """
    from lm.local.huggingface import AdaptedModel, load_huggingface_model
    from lm.local.standalone import write_standalone

    model = pipeline.model
    if not isinstance(model, AdaptedModel) or not questions:
        return None
    with tempfile.TemporaryDirectory(prefix="tuning-fork-merged-") as folder:
        write_standalone(model, Path(folder), ())
        device = str(model.base.device)
        merged = replace(pipeline, model=load_huggingface_model(folder, device=device, dtype=model.base.dtype_name))
        waits = [(_seconds(pipeline, question), _seconds(merged, question)) for question in questions[: QUESTIONS + 1]]
    return max(1.0, statistics.median(beside / alone for beside, alone in waits[min(1, len(waits) - 1) :]))


def _seconds(pipeline: Pipeline, question: str) -> float:
    started = time.perf_counter()
    pipeline.answer([question])
    return time.perf_counter() - started
