"""The answers of a finished comparison as files, one an arm, which other comparisons take as arms."""

from collections.abc import Iterator
from pathlib import Path

from advisor.evidence.records import read_records
from advisor.results.answer_file import answer_lines
from advisor.results.comparison import ArmRole, Comparison
from lm.errors import ConfigError
from lm.files import write_whole
from service.store.data_directory import RECORDS_FILE


def export_answers(comparison: Comparison, reports: Path, folder: Path) -> Iterator[tuple[Path, str]]:
    """Write the answers of each candidate to `ARM.jsonl`; where it has a price, with what a declaration is to say.

    Args:
        reports: Where the comparison's records are.

    Raises:
        ConfigError: the folder cannot be written to, or the records are gone.
    """
    try:
        text = (reports / RECORDS_FILE).read_text(encoding="utf-8")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}; choose another --answers") from None
    records = list(read_records(text.split("\n"), str(reports / RECORDS_FILE)))
    for arm in comparison.arms:
        if arm.role is not ArmRole.CANDIDATE:
            continue
        path = folder / f"{arm.id}.jsonl"
        own = [record for record in records if record.arm == arm.id]
        write_whole(path, "".join(answer_lines(own, arm.cost.serve_usd_per_query if arm.cost else None)))
        yield path, f"answers-{arm.id}.build_usd={arm.cost.build_usd:.9g}" if arm.cost else ""
