"""The simulations of docs/ci.md with fewer replays, and that they can fail."""

from functools import partial
from pathlib import Path

import pytest

from benchmarks.simulations.gates import (
    A_QUARTER,
    CANNOT,
    FAIL,
    NO_SLOWER,
    ROWS,
    baseline_ends,
    latency_ends,
    threshold_ends,
)
from benchmarks.simulations.replays import replayed

PAGE = (Path(__file__).parents[3] / "docs" / "ci.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("replay", "n_replays", "low", "high"),
    [
        (partial(threshold_ends, 0.8, 0.8, 300, 1, 1, FAIL), 400, 0.0, 0.05),
        (partial(threshold_ends, 0.8, 0.8, 300, 1, 5, FAIL), 100, 0.0, 0.08),
        (partial(threshold_ends, 0.8, 0.8, 300, 1, 1, CANNOT), 100, 0.0, 0.0),
        (partial(threshold_ends, 0.8, 0.8, 25, 1, 1, CANNOT), 100, 0.5, 1.0),
        (partial(threshold_ends, 0.7, 0.8, 300, 1, 1, FAIL), 100, 0.9, 1.0),
        (partial(baseline_ends, 0.0, 300, 1, FAIL), 100, 0.0, 0.06),
        (partial(baseline_ends, 0.1, 300, 1, FAIL), 50, 0.7, 1.0),
        (partial(latency_ends, 1.0, 32, NO_SLOWER, FAIL), 200, 0.0, 0.05),
        (partial(latency_ends, 1.0, 32, NO_SLOWER, FAIL, shared=False), 100, 0.0, 0.05),
        (partial(latency_ends, 2.0, 32, A_QUARTER, FAIL), 50, 0.7, 1.0),
    ],
)
def test_the_gate_is_neither_noisy_nor_toothless(
    replay: partial[float], n_replays: int, low: float, high: float
) -> None:
    assert low <= replayed(replay, n_replays=n_replays, seed=7) <= high


def test_the_page_shows_every_simulation_within_its_bound() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]
    for what, ends, _, n_replays, bound in ROWS:
        (found,) = (cells[3] for cells in rows if cells[:3] == [what, ends, f"{n_replays:,}"])
        if bound is not None:
            assert float(found.removesuffix(" %")) <= 100 * bound
