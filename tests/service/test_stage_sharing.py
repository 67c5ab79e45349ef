from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select, update

from service.database import writing
from service.lease import Leases, LostLeaseError
from service.stage_sharing import SharedStages, fetch_stage
from service.tables import leases as leases_table
from service.tables import stage_files


def never(pause_s: float) -> None:
    raise AssertionError("waited")


def build(folder: Path, text: str = "weights") -> None:
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_text(text)


def folder_of(root: Path, worker: str) -> Path:
    folder = root / worker / "stages" / "adapters" / "key"
    folder.parent.mkdir(parents=True)
    return folder


def test_what_one_worker_built_the_next_one_finds_on_its_own_disk(engine: Engine, tmp_path: Path) -> None:
    with (
        Leases(engine, "first", pause=never) as leases,
        SharedStages(leases, hands_on=True)(folder := folder_of(tmp_path, "first")),
    ):
        build(folder)
    with (
        Leases(engine, "second", pause=never) as leases,
        SharedStages(leases, hands_on=True)(folder := folder_of(tmp_path, "second")),
    ):
        assert (folder / "sub" / "file").read_text() == "weights"


def test_a_stage_is_handed_on_once(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "first")
    with Leases(engine, "first", pause=never) as leases:
        stages = SharedStages(leases, hands_on=True)
        with stages(folder):
            build(folder)
        with stages(folder):
            pass
    with engine.connect() as connection:
        assert connection.execute(select(stage_files.c.path)).scalars().all() == ["sub/file"]


def test_with_one_disk_for_all_nothing_is_copied(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "first")
    with Leases(engine, "first", pause=never) as leases, SharedStages(leases, hands_on=False)(folder):
        build(folder)
    with engine.connect() as connection:
        assert connection.execute(select(stage_files)).all() == []


def test_a_build_that_fails_is_not_handed_on_and_the_stage_is_free(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "first")
    with Leases(engine, "first", pause=never) as leases:
        stages = SharedStages(leases, hands_on=True)
        with pytest.raises(ZeroDivisionError), stages(folder):
            build(folder)
            raise ZeroDivisionError
        with engine.connect() as connection:
            assert connection.execute(select(stage_files)).all() == []
        with stages(folder):
            pass


def test_who_lost_the_stage_meanwhile_hands_nothing_on(engine: Engine, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "first")
    with (
        Leases(engine, "first", pause=never) as leases,
        pytest.raises(LostLeaseError),
        SharedStages(leases, hands_on=True)(folder),
    ):
        build(folder)
        with writing(engine) as connection:
            connection.execute(update(leases_table).values(owner="another"))
    with engine.connect() as connection:
        assert connection.execute(select(stage_files)).all() == []


def test_who_fetches_a_stage_at_the_same_time_finds_it_whole(engine: Engine, tmp_path: Path) -> None:
    contents = {f"part {i}": bytes([i]) * 10_000 for i in range(20)}
    rows = [{"unit": f"adapters/{n}", "path": p, "content": c} for n in range(5) for p, c in contents.items()]
    with writing(engine) as connection:
        connection.execute(insert(stage_files), rows)
    stages = tmp_path / "stages" / "adapters"
    stages.mkdir(parents=True)
    with ThreadPoolExecutor(8) as threads:
        for n in range(5):
            list(threads.map(lambda _, n=n: fetch_stage(engine, stages / str(n)), range(8)))
            assert {path.name: path.read_bytes() for path in (stages / str(n)).iterdir()} == contents
    assert sorted(path.name for path in stages.iterdir()) == [str(n) for n in range(5)]
