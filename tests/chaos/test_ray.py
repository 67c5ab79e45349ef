"""Comparisons whose work is done on a Ray cluster: kills of nodes, drivers, services, database and head cost what was
in flight, and the report is that of one machine."""

import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from service.jobs.job import JobEnd
from service.store.comparisons.comparison_store import request_cancel, resume_comparison
from tests.chaos.ray_cluster import RayNodes, ray_nodes
from tests.chaos.test_services import jobs_of
from tests.chaos.workplace import COMPARISON, ROOT, ChaosWorkplace, OpenWorkplace, kill_group, wait_until
from tests.postgres import PostgresServer, postgres_server

pytest.importorskip("ray", reason="pip install 'tuning-fork[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

DRIVER = Path(__file__).with_name("scripted_driver.py")
N_NODES = 3
BLOCK_S = 0.5


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    with ray_nodes(tmp_path_factory.mktemp("nodes"), N_NODES) as running:
        yield running


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChaosWorkplace]:
    """A comparison on this machine alone that nothing happened to."""
    with closing(ChaosWorkplace(tmp_path_factory.mktemp("whole"))) as workplace:
        assert workplace.start(block_s=0.0).wait() == 0
        workplace.check_finished(workplace)
        yield workplace


@pytest.mark.chaos
@pytest.mark.parametrize("n_kills", [3, 30])
def test_kills_of_nodes_drivers_and_services_cost_what_was_in_flight(
    open_workplace: OpenWorkplace, whole: ChaosWorkplace, nodes: RayNodes, tmp_path: Path, n_kills: int
) -> None:
    lot = random.Random(n_kills)
    killed: list[str] = []
    n_runs = 0
    while len(killed) < n_kills:
        n_runs += 1
        workplace = open_workplace(tmp_path / str(n_runs))
        process = workplace.start(ray=nodes.options, block_s=BLOCK_S)
        n_in_flight = 0
        while not workplace.comparison.state.is_final:
            n_acknowledged = workplace.look()
            wait_until(lambda w=workplace, n=n_acknowledged: w.look() > n or w.comparison.state.is_final)
            if len(killed) == n_kills or not (jobs := jobs_of(process)):
                continue
            time.sleep(lot.uniform(0, 2 * BLOCK_S))
            killed.append(("node", "driver", "service")[len(killed) % 3])
            if killed[-1] == "node":
                nodes.replace_node(lot)
                n_in_flight += 1
            elif killed[-1] == "driver":
                with suppress(ProcessLookupError):  # over meanwhile
                    os.kill(jobs[0], 9)
                n_in_flight += N_NODES
            else:
                kill_group(process)
                process = workplace.start(ray=nodes.options, block_s=BLOCK_S)
                n_in_flight += N_NODES
        assert process.wait() == 0
        assert workplace.n_repeated() <= n_in_flight
        workplace.check_finished(whole)


@pytest.mark.chaos
@pytest.mark.parametrize("n_kills", [3])
def test_the_service_goes_on_from_the_rows_on_a_new_cluster(
    open_workplace: OpenWorkplace, whole: ChaosWorkplace, tmp_path: Path, n_kills: int
) -> None:
    with ray_nodes(tmp_path / "nodes", N_NODES) as nodes:
        workplace = open_workplace(tmp_path / "chaos")
        process = workplace.start(ray=nodes.options, block_s=1.0)
        for _ in range(n_kills):
            n_acknowledged = workplace.look()
            wait_until(lambda n=n_acknowledged: workplace.look() > n, process)
            nodes.kill_head()
            nodes.start()
        assert process.wait() == 0
        assert workplace.n_repeated() <= n_kills * N_NODES
        workplace.check_finished(whole)


@pytest.mark.chaos
def test_a_driver_is_one_by_its_name_parks_and_is_cancelled(
    open_workplace: OpenWorkplace, whole: ChaosWorkplace, nodes: RayNodes, tmp_path: Path
) -> None:
    workplace = open_workplace(tmp_path)
    process = workplace.start(ray=nodes.options, block_s=2.0)
    wait_until(lambda: workplace.look() > 0, process)

    options = ["--home", workplace.home, "--parent", str(os.getpid()), "--life", "1", *nodes.options]
    script = [workplace.journal, "", "", "2.0"]
    second = subprocess.run([sys.executable, DRIVER, COMPARISON, *options, *script], env=environment(), cwd=ROOT)
    assert second.returncode == JobEnd.SUPERSEDED

    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert workplace.comparison.state == "queued"
    n_parked = workplace.look()
    process = workplace.start(ray=nodes.options, block_s=2.0)
    wait_until(lambda: workplace.look() > n_parked, process)
    request_cancel(workplace.engine, COMPARISON)
    wait_until(lambda: workplace.comparison.state == "cancelled", process)
    assert process.wait() == 0

    resume_comparison(workplace.engine, COMPARISON)
    assert workplace.start(ray=nodes.options, block_s=0.0).wait() == 0
    assert workplace.n_repeated() <= 2 * N_NODES
    workplace.check_finished(whole)


@pytest.mark.chaos
@pytest.mark.parametrize("n_restarts", [10])
def test_restarts_of_the_database_cost_nothing(
    open_workplace: OpenWorkplace,
    whole: ChaosWorkplace,
    nodes: RayNodes,
    tmp_path: Path,
    n_restarts: int,
    postgres: PostgresServer,
) -> None:
    with postgres_server() as server:
        n_done = n_runs = 0
        while n_done < n_restarts:
            n_runs += 1
            workplace = open_workplace(tmp_path / str(n_runs), new_database(server))
            process = workplace.start(ray=nodes.options, block_s=BLOCK_S)
            while process.poll() is None:
                n_acknowledged = workplace.look()
                wait_until(lambda w=workplace, p=process, n=n_acknowledged: w.look() > n or p.poll() is not None)
                if n_done < n_restarts and process.poll() is None:
                    server.stop("fast" if n_done % 2 else "immediate")
                    server.start()
                    workplace.engine.dispose()
                    n_done += 1
            assert workplace.n_repeated() == 0
            workplace.check_finished(whole)


@pytest.mark.chaos
@pytest.mark.parametrize("n_runs", [3])
def test_two_services_on_one_cluster_never_work_on_one_comparison_twice(
    open_workplace: OpenWorkplace,
    whole: ChaosWorkplace,
    nodes: RayNodes,
    tmp_path: Path,
    postgres: PostgresServer,
    n_runs: int,
) -> None:
    for run in range(n_runs):
        root = tmp_path / str(run)
        workplace = open_workplace(root, new_database(postgres))
        # None is so slow to start on any machine that the other takes it for dead.
        homes = (root / "first", root / "second")
        services = [workplace.start(home=home, ray=nodes.options, adoption_s=300) for home in homes]
        assert [service.wait() for service in services] == [0, 0]
        assert workplace.n_repeated() == 0
        assert len(list(root.glob("*/logs/*.log"))) == 1
        workplace.check_finished(whole)


def new_database(server: PostgresServer) -> str:
    return server.create_database(f"ray_{secrets.token_hex(6)}")


def environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name != "TUNING_FORK_DATABASE_URL"}
    return own | {"PYTHONPATH": str(ROOT)}
