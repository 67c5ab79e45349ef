"""kill -9 of the service with all its processes: nothing acknowledged is lost, and hardly anything is repeated."""

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.chaos.workplace import ARMS, ChaosWorkplace, OpenWorkplace, kill_group, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

ASKED = (*ARMS, "majority", "oracle-context")
MOMENTS = (
    "told start 0",
    *(f"told answer {arm} {done}" for arm in ASKED for done in (0, 64, 240)),
    *(f"answered {arm}" for arm in ASKED),
    *(f"{when} {stage}" for stage in ("indexes", "adapters") for when in ("before", "building", "built")),
    "told latency 0",
    "told score base 0",
    "told score 6",
    "closed",
    "told report 0",
    "told report 4",
)
SHORT = ("answered few-shot",)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChaosWorkplace]:
    """A comparison that nothing happened to."""
    with closing(ChaosWorkplace(tmp_path_factory.mktemp("whole"))) as workplace:
        assert workplace.start(block_s=0.0).wait() == 0
        assert workplace.n_repeated() == 0
        workplace.check_finished(workplace)
        yield workplace


@pytest.mark.parametrize(
    "moment", [pytest.param(moment, marks=() if moment in SHORT else pytest.mark.chaos) for moment in MOMENTS]
)
def test_killed_at_a_named_moment(
    open_workplace: OpenWorkplace, whole: ChaosWorkplace, tmp_path: Path, moment: str
) -> None:
    workplace = open_workplace(tmp_path)
    assert workplace.start(die_at=moment, block_s=0.0).wait() == -9
    workplace.look()
    assert workplace.start(die_at=moment, block_s=0.0).wait() == 0
    assert f"died {moment}" in workplace.journal.read_text()
    assert workplace.n_repeated() <= 1
    workplace.check_finished(whole)


@pytest.mark.parametrize("n_kills", [2, pytest.param(100, marks=pytest.mark.chaos)])
def test_killed_at_random_moments(
    open_workplace: OpenWorkplace, whole: ChaosWorkplace, tmp_path: Path, n_kills: int
) -> None:
    lot = random.Random(n_kills)
    n_killed = n_runs = 0
    while n_killed < n_kills:
        n_runs += 1
        workplace = open_workplace(tmp_path / str(n_runs))
        killed_here = 0
        while not workplace.comparison.state.is_final:
            process = workplace.start()
            n_acknowledged = workplace.look()
            # Half of the kills come at any time after the start, which is most of a run; half once it gets on.
            if lot.random() < 0.5:
                wait_until(lambda w=workplace, n=n_acknowledged: w.look() > n or w.comparison.state.is_final)
            wait_s = lot.uniform(0, 1.5) if n_killed < n_kills else 300.0
            try:
                process.wait(wait_s)
            except Exception:
                kill_group(process)
                n_killed += 1
                killed_here += 1
            workplace.look()
        assert workplace.n_repeated() <= killed_here
        workplace.check_finished(whole)


@pytest.mark.chaos
def test_told_to_stop_it_parks_at_the_end_of_a_block_and_goes_on_later(
    open_workplace: OpenWorkplace, whole: ChaosWorkplace, tmp_path: Path
) -> None:
    workplace = open_workplace(tmp_path)
    with workplace.start() as process:
        wait_until(lambda: workplace.look() >= 2, process)
        process.terminate()
        assert process.wait(timeout=60) == 0
    assert workplace.comparison.state == "queued"
    assert workplace.start().wait() == 0
    assert workplace.n_repeated() == 0
    workplace.check_finished(whole)
