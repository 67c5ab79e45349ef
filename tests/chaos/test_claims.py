"""Two services on one database, under a scheduler and troubles that a seed decides (`make simulate-claims`)."""

from pathlib import Path

import pytest

from tests.chaos.claims_simulation import Simulator


@pytest.mark.parametrize("seeds", [range(40), pytest.param(range(40, 4_000), marks=pytest.mark.chaos)])
def test_claims_and_commits_end_once_whatever_happens_in_between(tmp_path: Path, seeds: range) -> None:
    simulator = Simulator(tmp_path)
    try:
        wrong = {seed: found for seed in seeds if (found := simulator.faults(seed))}
    finally:
        simulator.close()
    assert wrong == {}
