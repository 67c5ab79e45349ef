"""Questions under our own names: as rows (JSON, Parquet, Arrow), and as tables that spreadsheets write (CSV, Excel)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from advisor.data.dataset import Dataset
from advisor.data.formats.format import Format, Imported, each, kept_fields
from advisor.data.formats.rows import SourceRow
from advisor.errors import DatasetError

_COLUMNS = ("id", "question", "answer", "document", "group", "split", "answerable", "made_by")


def is_own(value: Mapping[str, Any]) -> bool:
    """Whether a row names its question and its answers as our files do."""
    return "question" in value and ("answers" in value or "answer" in value)


def _read(row: SourceRow, out: Imported) -> None:
    found = row.value.get("answers", row.value.get("answer"))
    answers = [found] if isinstance(found, str) else [] if found is None else found
    if not isinstance(answers, list):
        out.wrong(row, '"answers" must be a list of texts')
        return
    kept = {name: one for name, one in row.value.items() if one is not None}
    cited = kept.get("document_ids") or []
    answerable = kept.get("answerable", True)
    if not isinstance(answerable, bool) or not isinstance(cited, list):
        out.wrong(row, '"answerable" must be true or false, and "document_ids" a list')
        return
    if unknown := [one for one in cited if str(one) not in out.documents]:
        out.wrong(row, f'the document id "{unknown[0]}" is not among the documents')
        return
    value = {"metadata": {name: kept[name] for name in ("id", "group", "split", "history", "made_by") if name in kept}}
    out.add_question(
        row,
        row.value.get("question"),
        answers,
        answerable=answerable,
        document_ids=[str(one) for one in cited],
        value=value,
    )


def _write_parquet(dataset: Dataset, folder: Path) -> None:
    """A folder as the Hugging Face hub has them: `data/SPLIT-00000-of-00001.parquet`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.string()
    turn = pa.struct([("role", texts), ("content", texts)])
    schema = pa.schema(
        [("id", texts), ("question", texts), ("answers", pa.list_(texts)), ("document_ids", pa.list_(texts)),
         ("group", texts), ("split", texts), ("answerable", pa.bool_()), ("history", pa.list_(turn)),
         ("made_by", texts)]
    )  # fmt: skip
    rows: dict[str, list[dict[str, Any]]] = {}
    for index, example in enumerate(dataset.examples):
        kept = {
            "answerable": True,
            "history": [],
            **kept_fields(dataset, index, also=("answers", "document_ids", "history")),
        }
        rows.setdefault(str(example.split), []).append({"question": example.question, **kept})
    (folder / "data").mkdir()
    for split, part in rows.items():
        table = pa.Table.from_pylist(part, schema=schema)
        pq.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")


def _table(dataset: Dataset) -> list[list[str]]:
    lines = [list(_COLUMNS)]
    for example in dataset.examples:
        if example.history:
            raise DatasetError(f"a table has no place for what was said before {example.id}; export to another format")
        answers, cited = (
            "|".join(part.replace("|", "\\|") for part in parts) for parts in (example.answers, example.document_ids)
        )
        answerable = "yes" if example.answerable else "no"
        split = str(example.split)
        lines.append([example.id, example.question, answers, cited, example.group, split, answerable, example.made_by])
    if not any(example.made_by for example in dataset.examples):
        lines = [line[:-1] for line in lines]
    return lines


def _write_csv(dataset: Dataset, folder: Path) -> None:
    import csv

    with (folder / "questions.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(_table(dataset))


def _write_excel(dataset: Dataset, folder: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("questions")
    for cells in _table(dataset):
        # What begins with = is text here, no formula.
        sheet.append([_text_cell(sheet, cell) for cell in cells])
    book.save(folder / "questions.xlsx")


def _text_cell(sheet: Any, text: str) -> Any:
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, value=text)
    cell.data_type = "s"
    return cell


HUGGING_FACE = Format(
    "hugging-face", "rows with question and answers", "as in questions.jsonl", is_own, each(_read), _write_parquet
)
CSV = Format("csv", "a table of questions", "by the names of its columns", is_own, each(_read), _write_csv)
EXCEL = Format("excel", "a table of questions", "by the names of its columns", is_own, each(_read), _write_excel)
