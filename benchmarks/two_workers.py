"""How much sooner two workers on one Postgres are done with a comparison's blocks than one.

    OMP_NUM_THREADS=1 python benchmarks/two_workers.py --limit 600 --rounds 3

Real `tuningfork worker` processes with a data directory and one thread each, by turns one and two of them. Timed is the
answering of the blocks, from the first question asked to the last block committed: an index or an adapter is built by
one worker while the other waits, and the report is written by one.

    python benchmarks/two_workers.py --block-s 3

Workers on machines of their own, as far as one busy machine can show them: the arms are scripted, and a block takes so
many seconds without using the processor. What is left is what sharing itself costs.
"""

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import Engine, select

from service.comparison_store import create_comparison, find_comparison
from service.database import open_database
from service.lease import held_units
from service.migrations.upgrade import migrate
from service.settings import ComparisonSettings
from service.tables import answer_blocks
from tests.chaos.workplace import ChaosWorkplace
from tests.postgres import PostgresServer, postgres_server

TUNINGFORK = Path(sys.executable).with_name("tuningfork")


def answering_s(server: PostgresServer, settings: ComparisonSettings, n_workers: int) -> tuple[float, int]:
    """Seconds of answering, and how many blocks were answered."""
    url = server.create_database(f"bench_{secrets.token_hex(6)}")
    engine = open_database(url)
    migrate(engine)
    environment = os.environ | {"TUNING_FORK_DATABASE_URL": url, "OMP_NUM_THREADS": "1"}
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for i in range(n_workers):
            command = [TUNINGFORK, "worker", "--home", root / str(i)]
            worker = stack.enter_context(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
            stack.callback(worker.terminate)
        while len(held_units(engine, "executor/")) < n_workers:
            time.sleep(0.1)
        create_comparison(engine, comparison_id="c", name="c", dataset=settings.dataset, settings=settings.to_json())
        while not find_comparison(engine, "c").state.is_final:
            time.sleep(0.2)
        assert find_comparison(engine, "c").state == "succeeded", find_comparison(engine, "c").error
    measured = _seconds_and_blocks(engine)
    engine.dispose()
    return measured


def scripted_answering_s(server: PostgresServer, n_facts: int, block_s: float, n_workers: int) -> tuple[float, int]:
    """The same with arms that only wait."""
    url = server.create_database(f"bench_{secrets.token_hex(6)}")
    with tempfile.TemporaryDirectory() as root:
        workplace = ChaosWorkplace(Path(root), url, n_facts=n_facts)
        workers = [workplace.start(home=Path(root) / str(i), block_s=block_s) for i in range(n_workers)]
        assert [worker.wait() for worker in workers] == [0] * n_workers
        assert workplace.n_repeated() == 0
        measured = _seconds_and_blocks(workplace.engine)
        workplace.close()
    return measured


def _seconds_and_blocks(engine: Engine) -> tuple[float, int]:
    with engine.connect() as connection:
        rows = connection.execute(select(answer_blocks.c.created_at, answer_blocks.c.wall_s)).all()
    return max(at for at, _ in rows) - min(at - wall_s for at, wall_s in rows), len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dataset", default="appliance-support")
    parser.add_argument("--limit", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pipelines", default="base,few-shot")
    parser.add_argument("--block-s", type=float, help="script the arms; a block takes so long")
    parser.add_argument("--n-facts", type=int, default=640, help="questions of the scripted arms")
    given = parser.parse_args()
    settings = ComparisonSettings(given.dataset, limit=given.limit, pipelines=tuple(given.pipelines.split(",")))
    with postgres_server() as server:
        for _ in range(given.rounds):
            if given.block_s is not None:
                alone_s, n_blocks = scripted_answering_s(server, given.n_facts, given.block_s, 1)
                together_s, _ = scripted_answering_s(server, given.n_facts, given.block_s, 2)
            else:
                alone_s, n_blocks = answering_s(server, settings, 1)
                together_s, _ = answering_s(server, settings, 2)
            ratio = alone_s / together_s
            print(f"{n_blocks} blocks: one worker {alone_s:.1f} s, two {together_s:.1f} s, {ratio:.2f} times as fast")


if __name__ == "__main__":
    main()
