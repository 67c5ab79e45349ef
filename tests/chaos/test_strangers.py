"""Attacks on a real service that take seconds; `python -m benchmarks.strangers` replays all and compares waits."""

from pathlib import Path

import pytest

from benchmarks.strangers.measure import measure
from benchmarks.strangers.rows import ROWS
from benchmarks.strangers.service import endpoints, make_home

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]


def test_strangers_get_nothing_and_the_service_goes_on(tmp_path: Path) -> None:
    rows = [row for row in ROWS if row.name in ("page-foreign", "half-open", "other-workspace", "malformed", "hosts")]
    with endpoints() as about:
        seed = make_home(tmp_path / "seed" / "home", about)
        for row in rows:
            folder = tmp_path / row.name
            folder.mkdir()
            outcome = measure(row, seed, folder, n_pairs=1, n_requests=100)
            # How long anyone waits is for a machine with nothing else to do.
            assert [one for one in outcome.broken if not one.startswith("p99")] == [], row.name
            assert outcome.strangers
