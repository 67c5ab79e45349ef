import sys
from dataclasses import replace
from pathlib import Path

import pytest

from advisor.results.comparison import Comparison
from lm.errors import MissingDependencyError
from service.cli.app import main
from service.cli.export.mlflow_runs import ExportError, export_to_mlflow
from service.cli.export.tensorboard_curves import export_to_tensorboard

CURVE = [
    {"epoch": 1, "train_loss": 3.0, "validation_loss": 2.5, "validation_exact_match": None, "seconds": 1.0},
    {"epoch": 2, "train_loss": 2.0, "validation_loss": float("nan"), "validation_exact_match": 0.5, "seconds": 2.0},
]

pytestmark = pytest.mark.filterwarnings("ignore::Warning:mlflow", "ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def tuned(comparison: Comparison) -> Comparison:
    arm = comparison.arms[0].kind
    return replace(comparison, settings={**comparison.settings, "training_curves": {arm: CURVE}})


@pytest.mark.slow
def test_a_comparison_becomes_one_run_and_one_below_it_for_each_arm(tuned: Comparison, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "report.md").write_text("# the report")
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    run_id, is_new = export_to_mlflow(tuned, reports, uri)
    assert is_new
    client = mlflow.MlflowClient(tracking_uri=uri)
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["verdict"] == tuned.recommendation.verdict.value
    assert run.data.params["traffic.queries_per_month"] == "10000"
    assert [file.path for file in client.list_artifacts(run_id)] == ["report.md"]
    assert (tmp_path / "mlartifacts").is_dir()
    below = client.search_runs([run.info.experiment_id], filter_string=f"tags.`mlflow.parentRunId` = '{run_id}'")
    assert {one.info.run_name for one in below} == {arm.kind for arm in tuned.arms}
    arm = tuned.arms[0]
    mine = next(one for one in below if one.info.run_name == arm.kind)
    summary = arm.metric("exact_match")
    assert summary is not None
    assert summary.interval is not None
    assert mine.data.metrics["exact_match"] == pytest.approx(summary.interval.estimate)
    assert mine.data.metrics["exact_match.low"] == pytest.approx(summary.interval.low)
    history = client.get_metric_history(mine.info.run_id, "training.train_loss")
    assert [(point.step, point.value) for point in history] == [(1, 3.0), (2, 2.0)]
    assert export_to_mlflow(tuned, reports, uri) == (run_id, False)
    with pytest.raises(ExportError, match="failed"):
        export_to_mlflow(tuned, reports, "sqlite:////dev/null/runs.db")


@pytest.mark.slow
def test_training_curves_become_event_files(tuned: Comparison, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = export_to_tensorboard(tuned, tmp_path)
    assert folder == tmp_path / tuned.id / tuned.arms[0].kind
    events = EventAccumulator(str(folder))
    events.Reload()
    assert {tag for tags in events.Tags().values() if isinstance(tags, list) for tag in tags} >= {"training/train_loss"}
    steps = {tag: [e.step for e in events.Tensors(tag)] for tag in events.Tags()["tensors"]}
    assert steps["training/train_loss"] == [1, 2]
    assert steps["training/validation_loss"] == [1]
    with pytest.raises(ExportError, match="already"):
        export_to_tensorboard(tuned, tmp_path)


def test_a_comparison_without_tuning_has_no_curves(comparison: Comparison, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    assert export_to_tensorboard(replace(comparison, settings={}), tmp_path) == []


@pytest.mark.parametrize(("package", "option"), [("mlflow", "mlflow"), ("tensorboard", "tensorboard")])
def test_a_missing_package_is_named_with_its_install_command(
    comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, option: str
) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.summary", None)
    with pytest.raises(MissingDependencyError, match=rf"pip install 'tuning-fork\[{option}\]'"):
        if package == "mlflow":
            export_to_mlflow(comparison, tmp_path, "sqlite:///x.db")
        else:
            export_to_tensorboard(comparison, tmp_path)


def test_an_export_to_nowhere_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["export", "latest"])
    assert caught.value.code == 2
    assert "--mlflow URI, --tensorboard DIR or --answers DIR" in capsys.readouterr().err
