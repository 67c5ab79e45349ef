from pathlib import Path

import pytest

from service.run.composition.carried_stages import Turn
from service.run.progress import Progress
from service.store.stages.packed_folder import pack

pytest.importorskip("ray", reason="pip install 'tuning-fork[ray]'")

from service.jobs.ray_engine.desk import Desk

BELOW = "stages/indexes/key"


@pytest.fixture
def packed(tmp_path: Path) -> bytes:
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / "vectors").write_text("vectors")
    return pack(tmp_path / "built")


def test_one_comparison_builds_and_the_others_wait_until_it_delivers(tmp_path: Path, packed: bytes) -> None:
    ours, theirs = Desk(tmp_path / "home"), Desk(tmp_path / "home")
    assert ours.claim(BELOW).turn is Turn.BUILD
    assert theirs.claim(BELOW).turn is Turn.WAIT
    # A task that is tried again after its node died keeps the turn of its comparison.
    assert ours.claim(BELOW).turn is Turn.BUILD
    ours.deliver(BELOW, packed)
    assert (tmp_path / "home" / BELOW / "vectors").read_text() == "vectors"
    taken = theirs.claim(BELOW)
    assert (taken.turn, bool(taken.packed)) == (Turn.TAKE, True)


def test_progress_is_taken_once_in_the_order_it_was_told(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    steps = [Progress("tune", "", step, 3) for step in (1, 2, 3)]
    for step in steps:
        desk.tell(step)
    assert desk.told() == steps
    assert desk.told() == []
