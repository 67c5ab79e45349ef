"""A finished comparison as MLflow runs: one for the comparison, and one below it for each arm."""

import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from advisor.results.comparison import ArmSummary, Comparison
from lm.errors import MissingDependencyError, TuningForkError

INSTALL = "pip install 'tuning-fork[mlflow]'"

_TAG = "tuning_fork.comparison"
_PARAM_LIMIT = 500
_BATCH = 90
_NOT_ALLOWED = re.compile(r"[^\w./ :-]")


class ExportError(TuningForkError):
    """A comparison cannot be written elsewhere."""


def export_to_mlflow(comparison: Comparison, folder: Path, uri: str) -> tuple[str, bool]:
    """Write a comparison to a tracking server, or to the database of one.

    Settings become parameters, means and costs metrics (`exact_match`, with `.low` and `.high` of the interval and
    `exact_match/unseen-fact` of a slice), training curves metrics by epoch, and the files of `folder` artifacts.

    Args:
        uri: As MLflow takes it: `http://host:5000`, or `sqlite:///runs.db`, whose artifacts are put beside it.
    Returns:
        Id of the run, and whether it is new: a comparison is exported once.
    Raises:
        MissingDependencyError: MLflow is not installed.
        ExportError: the server cannot be reached or refuses.
    """
    # Set before the import, which reads them.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"export to MLflow needs a package that is not installed: {INSTALL}") from error
    try:
        client = MlflowClient(tracking_uri=uri)
        experiment = _experiment(client, comparison.card.name, uri)
        tag = f"tags.`{_TAG}` = '{comparison.id}' and tags.`{_TAG}.arm` = ''"
        if found := client.search_runs([experiment], filter_string=tag, max_results=1):
            run_id: str = found[0].info.run_id
            return run_id, False
        return _write(client, experiment, comparison, folder), True
    except (MlflowException, OSError) as error:
        told = str(error).strip().split("\n")[0]
        raise ExportError(f"MLflow at {uri} failed: {told}; check address and rights") from error


def _experiment(client: Any, name: str, uri: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    where = None
    if uri.startswith("sqlite:///"):
        # Without it artifacts would land in whatever folder the command is given in.
        where = (Path(uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts").as_uri()
    return str(client.create_experiment(name, artifact_location=where))


def _write(client: Any, experiment: str, comparison: Comparison, folder: Path) -> str:
    from mlflow.entities import Metric, Param, RunStatus

    recommendation = comparison.recommendation
    tags = {
        _TAG: comparison.id,
        f"{_TAG}.arm": "",
        "verdict": recommendation.verdict.value,
        "recommended_arm": recommendation.arm or "",
        "headline": recommendation.headline[:5000],
        "dataset_hash": comparison.dataset_hash,
    }
    parent: str = client.create_run(experiment, tags=tags, run_name=comparison.id).info.run_id
    for arm in comparison.arms:
        below = {_TAG: comparison.id, f"{_TAG}.arm": arm.id, "mlflow.parentRunId": parent}
        run_id = client.create_run(experiment, tags=below, run_name=arm.id).info.run_id
        points = list(_metrics(comparison, arm))
        metrics = [Metric(_key(name), value, 0, step) for name, value, step in points if math.isfinite(value)]
        params = [Param("arm", arm.id), Param("role", arm.role.value), Param("label", arm.label[:_PARAM_LIMIT])]
        for start in range(0, len(metrics), _BATCH):
            client.log_batch(run_id, metrics=metrics[start : start + _BATCH], synchronous=True)
        client.log_batch(run_id, params=params, synchronous=True)
        client.set_terminated(run_id, RunStatus.to_string(RunStatus.FINISHED))
    settings = {"model": comparison.model} | dict(_flat({k: v for k, v in comparison.settings.items() if k != _CURVES}))
    params = [Param(_key(name), value[:_PARAM_LIMIT]) for name, value in settings.items()]
    for start in range(0, len(params), _BATCH):
        client.log_batch(parent, params=params[start : start + _BATCH], synchronous=True)
    client.log_artifacts(parent, str(folder))
    client.set_terminated(parent, RunStatus.to_string(RunStatus.FINISHED))
    return parent


_CURVES = "training_curves"


def _metrics(comparison: Comparison, arm: ArmSummary) -> Iterator[tuple[str, float, int]]:
    """Name, value and step of everything measured of an arm."""
    for summary in arm.metrics:
        name = summary.metric if summary.slice is None else f"{summary.metric}/{summary.slice.value}"
        yield f"{name}.unscored", float(summary.n_unscored), 0
        if summary.interval is not None:
            yield name, summary.interval.estimate, 0
            yield f"{name}.low", summary.interval.low, 0
            yield f"{name}.high", summary.interval.high, 0
    yield "input_tokens_per_question", float(arm.usage_per_question.input_tokens), 0
    yield "cached_tokens_per_question", float(arm.usage_per_question.cached_tokens), 0
    yield "output_tokens_per_question", float(arm.usage_per_question.output_tokens), 0
    yield "questions_per_s", arm.throughput_per_s, 0
    yield "build_s", arm.build_usage.wall_s, 0
    if arm.latency is not None:
        yield "p50_latency_s", arm.latency.p50_s, 0
        yield "p95_latency_s", arm.latency.p95_s, 0
    if arm.cost is not None:
        yield "build_usd", arm.cost.build_usd, 0
        yield "usd_per_query", arm.cost.serve_usd_per_query, 0
        yield "usd_per_month", arm.cost.monthly_usd, 0
    for point in training_curve(comparison, arm.id):
        epoch = int(point["epoch"])
        for name, value in point.items():
            if name != "epoch" and value is not None:
                yield f"training.{name}", float(value), epoch


def training_curve(comparison: Comparison, arm: str) -> list[dict[str, Any]]:
    """Loss by epoch of a tuned arm; empty for others."""
    curves = comparison.settings.get(_CURVES) or {}
    return list(curves.get(arm, ()))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _key(name: str) -> str:
    return _NOT_ALLOWED.sub("_", name.replace("@", "_at_"))
