"""Each attack beside a caller who has nothing to do with it: `python -m benchmarks.strangers [ROW …]`.

A row starts a service on a copy of a home, measures the p99 of a caller who lists, reads and asks a served arm,
measures it again while strangers attack, by turns several times, and stops the service while they go on. What must
hold: the p99 at most three times the idle one (median over the pairs), the API's process within 1.5 GB, gone within
30 s of SIGTERM, statuses as the row allows them, and no key in any byte that was stored, logged or sent. Exits with 1
where something does not.
"""

import argparse
import os
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.strangers.measure import Outcome, measure
from benchmarks.strangers.rows import ROWS, Row
from benchmarks.strangers.service import Endpoints, Home, endpoints, make_home
from tests.postgres import PostgresServer, postgres_server

HEADING = (
    "| attack | idle p99 (ms) | p99 under it (ms) | ratio | caller heard | strangers heard | RSS (MB) | stopped (s) |\n"
    "|---|--:|--:|--:|---|---|--:|--:|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(row.name for row in ROWS))
    parser.add_argument("--pairs", type=int, default=3, help="measurements without and with the attack")
    parser.add_argument("--requests", type=int, default=500, help="of the caller, in each measurement")
    given = parser.parse_args()
    if unknown := set(given.rows) - {row.name for row in ROWS}:
        parser.error(f"there is no row {min(unknown)}")
    rows = [row for row in ROWS if not given.rows or row.name in given.rows]
    n_broken = 0
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n{HEADING}")
    with tempfile.TemporaryDirectory() as root, endpoints() as about, ExitStack() as stack:
        homes: dict[tuple[tuple[str, ...], bool], tuple[Home, PostgresServer | None]] = {}
        for number, row in enumerate(rows):
            kind = (row.models, row.postgres)
            if kind not in homes:
                homes[kind] = _home(Path(root) / f"seed-{len(homes)}" / "home", about, row, stack)
            seed, server = homes[kind]
            folder = Path(root) / f"row-{number}"
            folder.mkdir()
            outcome = measure(row, seed, folder, n_pairs=given.pairs, n_requests=given.requests, server=server)
            print(table_line(row, outcome), flush=True)
            n_broken += bool(outcome.broken)
    raise SystemExit(n_broken > 0)


def _home(path: Path, about: Endpoints, row: Row, stack: ExitStack) -> tuple[Home, PostgresServer | None]:
    server = stack.enter_context(postgres_server()) if row.postgres else None
    about.turn("honest")
    return make_home(path, about, row.models, server.create_database("strangers") if server else None), server


def table_line(row: Row, outcome: Outcome) -> str:
    """A row of the table, what does not hold behind it."""
    idle, attacked = (" ".join(f"{1000 * one:.0f}" for one in of) for of in (outcome.idle_s, outcome.attacked_s))
    ratio = f"{outcome.ratio:.2f}" if row.has_ratio else "–"
    told = [f"  {one}" for one in (*outcome.kinds, *outcome.notes)] + [f"  BROKEN: {one}" for one in outcome.broken]
    cells = (row.name, idle, attacked, ratio, counted(outcome.caller), counted(outcome.strangers))
    line = f"| {' | '.join(cells)} | {outcome.rss_bytes / 1e6:.0f} | {outcome.stop_s:.1f} |"
    return "\n".join([line, *told])


def counted(counts: dict[int, int]) -> str:
    """How often each status came; – where there was no reply."""
    return ", ".join(f"{status or '–'} × {n}" for status, n in sorted(counts.items()))


if __name__ == "__main__":
    main()
