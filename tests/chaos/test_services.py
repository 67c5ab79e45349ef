"""Several services on one Postgres: each comparison is worked on by one of them, and taken over when that one dies."""

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.jobs.comparison_lock import held_keys
from tests.chaos.workplace import COMPARISON, ChaosWorkplace, OpenWorkplace, kill_group, wait_until
from tests.postgres import PostgresServer, postgres_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[ChaosWorkplace]:
    """A comparison on Postgres that nothing happened to."""
    with closing(ChaosWorkplace(tmp_path_factory.mktemp("whole"), new_database(postgres))) as workplace:
        assert workplace.start(block_s=0.0).wait() == 0
        workplace.check_finished(workplace)
        yield workplace


def new_database(server: PostgresServer) -> str:
    return server.create_database(f"chaos_{secrets.token_hex(6)}")


def jobs_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Ids of the job processes that a service has started."""
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(pid) for path in tasks for pid in path.read_text().split()]


@pytest.mark.parametrize("n_runs", [1, pytest.param(20, marks=pytest.mark.chaos)])
def test_two_services_never_work_on_one_comparison_twice(
    open_workplace: OpenWorkplace, whole: ChaosWorkplace, tmp_path: Path, postgres: PostgresServer, n_runs: int
) -> None:
    for run in range(n_runs):
        root = tmp_path / str(run)
        workplace = open_workplace(root, new_database(postgres))
        # None is so slow to start on any machine that the other takes it for dead.
        services = [workplace.start(home=root / name, adoption_s=300) for name in ("first", "second")]
        assert [service.wait() for service in services] == [0, 0]
        assert workplace.n_repeated() == 0
        assert len(list(root.glob("*/logs/*.log"))) == 1
        workplace.check_finished(whole)


@pytest.mark.parametrize("n_kills", [1, pytest.param(20, marks=pytest.mark.chaos)])
def test_a_service_takes_over_from_a_machine_that_died(
    open_workplace: OpenWorkplace, whole: ChaosWorkplace, tmp_path: Path, postgres: PostgresServer, n_kills: int
) -> None:
    for run in range(n_kills):
        root = tmp_path / str(run)
        workplace = open_workplace(root, new_database(postgres))
        dead = workplace.start(home=root / "dead")
        wait_until(lambda w=workplace, n=run % 5 + 1: w.look() >= n, dead)
        heir = workplace.start(home=root / "heir", block_s=0.0)
        kill_group(dead)
        assert heir.wait() == 0
        assert workplace.n_repeated() <= 1
        workplace.check_finished(whole)


@pytest.mark.chaos
def test_a_job_frozen_with_its_machine_and_woken_changes_nothing(
    open_workplace: OpenWorkplace, whole: ChaosWorkplace, tmp_path: Path, postgres: PostgresServer
) -> None:
    workplace = open_workplace(tmp_path, new_database(postgres))
    # It freezes with a block answered and not yet written.
    frozen = workplace.start(home=tmp_path / "frozen", freeze_at="answered few-shot", block_s=0.0)
    wait_until(lambda: "froze answered few-shot" in workplace.journal.read_text(), frozen)
    (job,) = jobs_of(frozen)
    os.kill(frozen.pid, signal.SIGSTOP)
    heir = workplace.start(home=tmp_path / "heir", block_s=0.0)
    # The server lets go of a connection that says nothing for long.
    assert heir.wait() == 0
    workplace.check_finished(whole)
    assert workplace.n_repeated() == 1
    before = workplace.report_file("report.json")
    os.kill(frozen.pid, signal.SIGCONT)
    os.kill(job, signal.SIGCONT)
    assert frozen.wait() == 0
    workplace.check_finished(whole)
    assert workplace.report_file("report.json") == before


def test_a_job_woken_while_its_heir_is_at_work_gives_way(
    open_workplace: OpenWorkplace, whole: ChaosWorkplace, tmp_path: Path, postgres: PostgresServer
) -> None:
    workplace = open_workplace(tmp_path, new_database(postgres))
    frozen = workplace.start(home=tmp_path / "frozen", freeze_at="answered few-shot", block_s=0.0)
    wait_until(lambda: "froze answered few-shot" in workplace.journal.read_text(), frozen)
    (job,) = jobs_of(frozen)
    os.kill(frozen.pid, signal.SIGSTOP)
    heir = workplace.start(home=tmp_path / "heir", block_s=0.5)
    wait_until(lambda: bool(held_keys(workplace.engine)) and bool(jobs_of(heir)), heir)
    wait_until(lambda: workplace.look() > 5, heir)
    os.kill(frozen.pid, signal.SIGCONT)
    os.kill(job, signal.SIGCONT)
    assert [frozen.wait(), heir.wait()] == [0, 0]
    assert workplace.n_repeated() == 1
    workplace.check_finished(whole)
    assert "another process runs it" in (tmp_path / "frozen" / "logs" / f"{COMPARISON}.log").read_text()


@pytest.mark.parametrize("n_restarts", [1, pytest.param(20, marks=pytest.mark.chaos)])
def test_a_database_that_restarts_meanwhile_costs_nothing(
    open_workplace: OpenWorkplace, whole: ChaosWorkplace, tmp_path: Path, n_restarts: int
) -> None:
    with postgres_server() as server:
        n_done = n_runs = 0
        while n_done < n_restarts:
            n_runs += 1
            root = tmp_path / str(n_runs)
            workplace = open_workplace(root, new_database(server))
            # Another service would take over if its lock were free for long.
            process, other = (workplace.start(home=root / name) for name in ("first", "second"))
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
            assert [process.returncode, other.wait()] == [0, 0]
            assert workplace.n_repeated() <= n_here
            workplace.check_finished(whole)
