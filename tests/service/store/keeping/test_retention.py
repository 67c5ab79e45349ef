"""What nobody relies on goes after its time, with all that was made for it alone; the rest stays."""

import logging
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select, update

from service.cli.app import main
from service.contract.comparison_state import ComparisonState
from service.store.comparisons.baseline_store import set_baseline
from service.store.comparisons.comparison_store import create_comparison, list_comparisons
from service.store.comparisons.events import append_event, read_events
from service.store.comparisons.runs import home_database
from service.store.comparisons.share_store import share_comparison
from service.store.data_directory import DataDirectory
from service.store.database import writing
from service.store.keeping.retention import DAY_S, announce, prune
from service.store.stages.recorded_stages import note_stages
from service.store.tables import answer_blocks, comparisons, datasets, deployments

FROZEN = "f" * 64


def made(engine: Engine, name: str, days_ago: float, *, dataset: str = "ticket-triage", stages: str = "") -> None:
    create_comparison(engine, comparison_id=name, name=name, dataset=dataset, settings={})
    values = {
        "state": ComparisonState.SUCCEEDED,
        "run_id": f"run-{name}",
        "finished_at": time.time() - days_ago * DAY_S,
    }
    with writing(engine) as connection:
        connection.execute(update(comparisons).where(comparisons.c.id == name).values(**values))
        for stage in stages:
            append_event(connection, name, "block", {"key": stage})


def ids(engine: Engine) -> set[str]:
    return {one.id for one in list_comparisons(engine)[0]}


def test_only_what_is_old_and_nobody_relies_on_goes(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = DataDirectory(tmp_path)
    with writing(engine) as connection:
        row = {"name": "n", "card": "{}", "findings": "[]", "n_documents": 0, "split_sizes": "{}", "created_at": 0.0}
        connection.execute(insert(datasets).values(version=FROZEN, frozen=True, **row))
        blocks = [{"stage": s, "block": "b", "answers": "{}", "wall_s": 0.0, "created_at": 0.0} for s in "abc"]
        connection.execute(insert(answer_blocks), blocks)
    made(engine, "old", 40, stages="ab")
    made(engine, "new", 20, stages="bc")
    for kept in ("baseline", "deployed", "shared"):
        made(engine, kept, 40)
    made(engine, "frozen", 40, dataset=FROZEN)
    create_comparison(engine, comparison_id="waits", name="n", dataset="claims-to-json", settings={})
    set_baseline(engine, "main", "baseline")
    share_comparison(engine, "shared")
    with writing(engine) as connection:
        for revision, served in ((1, "deployed"), (2, "new")):
            row = {"alias": "production", "revision": revision, "comparison_id": served, "kind": "rag"}
            connection.execute(insert(deployments).values(created_at=0.0, **row))
    markers = {}
    for name in ("old", "new"):
        markers[name] = directory.stage("adapters", name) / "adapter.json"
        markers[name].parent.mkdir(parents=True)
        markers[name].touch()
        note_stages(f"run-{name}", [markers[name]], directory)
    directory.log("old").parent.mkdir()
    directory.log("old").touch()
    with caplog.at_level(logging.INFO):
        assert [one.id for one in prune(engine, directory, 30)] == ["old"]
    assert "the comparison old is deleted: it was over more than 30 days ago" in caplog.text
    assert ids(engine) == {"new", "baseline", "deployed", "shared", "frozen", "waits"}
    assert not markers["old"].parent.exists()
    assert markers["new"].exists()
    assert not directory.log("old").exists()
    with engine.connect() as connection:
        assert set(connection.execute(select(answer_blocks.c.stage)).scalars()) == {"b", "c"}


def test_what_goes_within_a_day_is_announced_once(engine: Engine) -> None:
    made(engine, "soon", 29.5)
    made(engine, "later", 20)
    announce(engine, 30)
    announce(engine, 30)
    told = [event for event in read_events(engine, "soon") if event.type == "retention"]
    assert len(told) == 1
    assert 0 < told[0].data["deletes_at"] - time.time() < DAY_S
    assert [event.type for event in read_events(engine, "later")] == ["state"]


def test_the_command_tells_what_would_go_and_then_does_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with home_database(DataDirectory(tmp_path)) as engine:
        made(engine, "old", 40)
        for options, left, told in ((["--dry-run"], {"old"}, "would be"), ([], set(), "were")):
            with pytest.raises(SystemExit, match="0"):
                main(["prune", "--keep-days", "30", "--home", str(tmp_path), *options])
            assert f"1 comparison(s) {told} deleted." in capsys.readouterr().out
            assert ids(engine) == left
