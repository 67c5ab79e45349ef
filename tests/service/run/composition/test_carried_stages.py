"""Stages that travel between a home and other machines, without a cluster."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service.run.composition.carried_stages import Claim, Turn, carry_stage
from service.store.data_directory import DataDirectory
from service.store.stages.packed_folder import pack, unpack

BELOW = "stages/adapters/key"


class Home:
    """A data directory in which another comparison has the turn for a while."""

    def __init__(self, root: Path, n_waits: int = 0) -> None:
        self.root = root
        self.n_waits = n_waits

    def claim(self, below: str) -> Claim:
        if self.n_waits:
            self.n_waits -= 1
            return Claim(Turn.WAIT)
        folder = self.root / below
        return Claim(Turn.TAKE, pack(folder)) if folder.exists() else Claim(Turn.BUILD)

    def deliver(self, below: str, packed: bytes) -> None:
        unpack(packed, self.root / below)


Carry = Callable[..., tuple[bool, str]]


@pytest.fixture
def carry(tmp_path: Path) -> Carry:
    """Has a machine open a stage; whether it built it, and what is in it."""

    def carry(machine: str, home: Home, on_wait: Callable[[], object] = lambda: None) -> tuple[bool, str]:
        directory = DataDirectory(tmp_path / machine)
        folder = directory.stage("adapters", "key")
        with carry_stage(home, directory, folder, on_wait):
            if builds := not folder.exists():
                folder.mkdir()
                (folder / "weights").write_text(f"of {machine}")
        return builds, (folder / "weights").read_text()

    return carry


def test_what_one_machine_built_goes_home_and_is_taken_by_others(carry: Carry, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert carry("first", home) == (True, "of first")
    assert (home.root / BELOW / "weights").read_text() == "of first"
    assert carry("second", home) == (False, "of first")


def test_what_another_comparison_builds_is_waited_for(
    carry: Carry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.run.composition.carried_stages.WAIT_S", 0.0)
    told: list[str] = []
    home = Home(tmp_path / "home", n_waits=2)
    (home.root / BELOW).mkdir(parents=True)
    (home.root / BELOW / "weights").write_text("of another")
    assert carry("late", home, lambda: told.append("waiting")) == (False, "of another")
    assert told == ["waiting"] * 2


def test_what_fails_is_not_brought_home(tmp_path: Path) -> None:
    directory, home = DataDirectory(tmp_path / "machine"), Home(tmp_path / "home")
    with (
        pytest.raises(ZeroDivisionError),
        carry_stage(home, directory, directory.stage("adapters", "key"), lambda: None),
    ):
        raise ZeroDivisionError
    assert not (home.root / BELOW).exists()
