"""Several workers on one database: they share, take over from each other, and never write what is stale."""

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.workplace import ChaosWorkplace, kill_group, wait_until
from tests.postgres import PostgresServer, postgres_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

LEASE_S = 3.0
"""Short, so that a test need not wait long for the work of the dead."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[ChaosWorkplace]:
    """A comparison on Postgres that nothing happened to."""
    workplace = ChaosWorkplace(tmp_path_factory.mktemp("whole"), new_database(postgres))
    assert workplace.start().wait() == 0
    workplace.check_finished(workplace)
    yield workplace
    workplace.close()


def new_database(server: PostgresServer) -> str:
    return server.create_database(f"chaos_{secrets.token_hex(6)}")


def jobs_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Ids of the job processes that a service has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(pid) for path in (children, *tasks) for pid in path.read_text().split()]


def test_two_workers_share_the_blocks_of_a_comparison(
    whole: ChaosWorkplace, tmp_path: Path, postgres: PostgresServer
) -> None:
    workplace = ChaosWorkplace(tmp_path, new_database(postgres))
    first, second = (workplace.start(home=tmp_path / name, block_s=0.5) for name in ("first", "second"))
    assert first.wait() == second.wait() == 0
    assert workplace.n_repeated() == 0
    workplace.check_finished(whole)
    logs = [path.parent.parent.name for path in tmp_path.glob("*/logs/*.log")]
    assert sorted(logs) == ["first", "second"]
    built = [line for line in workplace.journal.read_text().splitlines() if line.startswith("built")]
    assert sorted(built) == ["built adapters", "built indexes"]
    workplace.close()


@pytest.mark.chaos
def test_a_worker_takes_over_from_a_machine_that_died(
    whole: ChaosWorkplace, tmp_path: Path, postgres: PostgresServer
) -> None:
    workplace = ChaosWorkplace(tmp_path, new_database(postgres))
    dead = workplace.start(home=tmp_path / "dead", lease_s=LEASE_S)
    wait_until(lambda: workplace.look() >= 2, dead)
    kill_group(dead)
    assert workplace.start(home=tmp_path / "heir", lease_s=LEASE_S).wait() == 0
    assert workplace.n_repeated() <= 1
    workplace.check_finished(whole)
    workplace.close()


def test_a_worker_frozen_past_its_lease_and_woken_writes_nothing_stale(
    whole: ChaosWorkplace, tmp_path: Path, postgres: PostgresServer
) -> None:
    workplace = ChaosWorkplace(tmp_path, new_database(postgres))
    # It freezes with a block answered and not yet written.
    frozen = workplace.start(home=tmp_path / "frozen", lease_s=LEASE_S, freeze_at="answered few-shot")
    wait_until(lambda: "froze answered few-shot" in workplace.journal.read_text(), frozen)
    (job,) = jobs_of(frozen)
    os.kill(frozen.pid, signal.SIGSTOP)
    heir = workplace.start(home=tmp_path / "heir", lease_s=LEASE_S)
    assert heir.wait() == 0
    workplace.check_finished(whole)
    assert workplace.n_repeated() == 1
    before = workplace.report_file("report.json")
    os.kill(frozen.pid, signal.SIGCONT)
    os.kill(job, signal.SIGCONT)
    assert frozen.wait() == 0
    workplace.check_finished(whole)
    assert workplace.report_file("report.json") == before
    log = next((tmp_path / "frozen" / "logs").iterdir()).read_text()
    assert "is in other hands; another process goes on" in log
    workplace.close()


@pytest.mark.parametrize("n_restarts", [1, pytest.param(20, marks=pytest.mark.chaos)])
def test_a_database_that_restarts_meanwhile_costs_nothing(
    whole: ChaosWorkplace, tmp_path: Path, n_restarts: int
) -> None:
    with postgres_server() as server:
        n_done = n_runs = 0
        while n_done < n_restarts:
            n_runs += 1
            workplace = ChaosWorkplace(tmp_path / str(n_runs), new_database(server))
            process = workplace.start(lease_s=LEASE_S)
            n_here = 0
            while process.poll() is None:
                n_acknowledged = workplace.look()
                wait_until(lambda w=workplace, p=process, n=n_acknowledged: w.look() > n or p.poll() is not None)
                if n_done < n_restarts and process.poll() is None:
                    # By turns as an operator does it and as a crash does.
                    server.stop("fast" if n_done % 2 else "immediate")
                    server.start()
                    workplace.engine.dispose()
                    n_done += 1
                    n_here += 1
            assert process.returncode == 0
            assert workplace.n_repeated() <= n_here
            workplace.check_finished(whole)
            workplace.close()
