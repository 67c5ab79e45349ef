"""Reports of finished comparisons as they stand in the database."""

from contextlib import suppress

from sqlalchemy import Engine, select

from advisor.errors import EvaluationError
from advisor.evidence.records import read_records
from advisor.gate.baseline import GatedComparison
from advisor.results.comparison import Comparison
from advisor.results.json_report import read_comparison
from lm.errors import ErrorKind, TuningForkError
from service.store.comparisons.comparison_store import find_comparison
from service.store.data_directory import RECORDS_FILE, REPORT_FILE
from service.store.database import undamaged
from service.store.tables import report_files


class NotFinishedError(TuningForkError):
    """A comparison has no report, since it has not finished."""

    kind = ErrorKind.CONFLICT
    title = "No report yet"


def read_report_files(engine: Engine, comparison_id: str, *names: str) -> dict[str, bytes]:
    """Those files of a report that are there, by name."""
    query = select(report_files.c.name, report_files.c.content).where(
        report_files.c.comparison_id == comparison_id, report_files.c.name.in_(names)
    )
    with engine.connect() as connection:
        return {name: bytes(content) for name, content in connection.execute(query)}


def readable_report(engine: Engine, comparison_id: str) -> Comparison | None:
    """The report of a comparison, where it has one that this version can read."""
    content = read_report_files(engine, comparison_id, REPORT_FILE).get(REPORT_FILE, b"")
    with suppress(EvaluationError, UnicodeDecodeError):
        return read_comparison(content.decode("utf-8"))
    return None


def read_stored_comparison(engine: Engine, comparison_id: str) -> GatedComparison:
    """Report and question records of a finished comparison.

    Raises:
        ComparisonNotFoundError: there is none of that id.
        NotFinishedError: it has no report.
        EvaluationError: a file is damaged.
    """
    report, records = _texts(engine, comparison_id, REPORT_FILE, RECORDS_FILE)
    return GatedComparison(
        read_comparison(report, f"{REPORT_FILE} of {comparison_id}"),
        read_records(records.split("\n"), f"{RECORDS_FILE} of {comparison_id}"),
    )


def read_finished(engine: Engine, comparison_id: str) -> Comparison:
    """The report alone of a finished comparison; raises as `read_stored_comparison` does."""
    (report,) = _texts(engine, comparison_id, REPORT_FILE)
    return read_comparison(report, f"{REPORT_FILE} of {comparison_id}")


def _texts(engine: Engine, comparison_id: str, *names: str) -> list[str]:
    state = find_comparison(engine, comparison_id).state
    files = read_report_files(engine, comparison_id, *names)
    if len(files) < len(names):
        raise NotFinishedError(
            f"the comparison {comparison_id} is {state} and has no report; wait until it has succeeded"
        )
    with undamaged(f"the reports of {comparison_id}"):
        return [files[name].decode("utf-8") for name in names]
