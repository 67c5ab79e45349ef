"""BEIR: corpus, queries and judgements of which passage answers which (qrels). Thakur et al. 2021, arXiv:2104.08663.

It judges passages and holds no answers; they are read from `answers`, `answer` or `metadata` of a query.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from advisor.data.dataset import Dataset, Split
from advisor.data.files import write_rows
from advisor.data.formats.format import Format, Imported, kept_fields
from advisor.data.formats.rows import SourceRow

_QUERY_ID, _DOCUMENT_ID, _SCORE = "query-id", "corpus-id", "score"


def _is_beir(value: Mapping[str, Any]) -> bool:
    return "_id" in value or (_QUERY_ID in value and _DOCUMENT_ID in value)


def _read(rows: Iterable[SourceRow], out: Imported) -> None:
    queries: list[SourceRow] = []
    judged: dict[str, list[tuple[float, str]]] = {}
    splits: dict[str, str] = {}
    for row in rows:
        if _QUERY_ID in row.value:
            _read_judgement(row, judged, splits, out)
        elif not isinstance(row.value.get("_id"), str | int) or row.value["_id"] == "":
            out.wrong(row, 'the field "_id" is missing; add it')
        elif PurePosixPath(row.file).stem.startswith(("corpus", "documents")):
            title = row.value.get("title")
            out.add_document(row, row.value.get("text"), title if isinstance(title, str) else "", str(row.value["_id"]))
        else:
            queries.append(row)
    for row in queries:
        query_id = str(row.value["_id"])
        relevant = [one for _, one in sorted(judged.pop(query_id, ()), key=lambda pair: -pair[0])]
        if unknown := [one for one in relevant if one not in out.documents]:
            out.wrong(row, f'the document "{unknown[0]}" that judgements name is not in the corpus')
            continue
        _read_query(row, query_id, relevant, splits.get(query_id, ""), out)


def _read_judgement(
    row: SourceRow, judged: dict[str, list[tuple[float, str]]], splits: dict[str, str], out: Imported
) -> None:
    try:
        score = float(row.value.get(_SCORE) or 0)
    except (TypeError, ValueError):
        out.wrong(row, f'the score "{row.value.get(_SCORE)}" is no number')
        return
    query_id = str(row.value[_QUERY_ID])
    if score > 0:
        judged.setdefault(query_id, []).append((score, str(row.value[_DOCUMENT_ID])))
    if row.split:
        splits[query_id] = row.split


def _read_query(row: SourceRow, query_id: str, relevant: list[str], split: str, out: Imported) -> None:
    metadata = row.value.get("metadata")
    kept = dict(metadata) if isinstance(metadata, Mapping) else {}
    found = row.value.get("answers", kept.get("answers", row.value.get("answer", kept.get("answer"))))
    answers = [found] if isinstance(found, str) else found
    if not isinstance(answers, list) or (not answers and kept.get("answerable") is not False):
        out.leave_out(row, 'BEIR has no answers; add "answers", a list, to each query')
        return
    value = {"metadata": {"split": split, **kept, "id": query_id}}
    out.add_question(row, row.value.get("text"), answers, document_ids=relevant, value=value)


def _write(dataset: Dataset, folder: Path) -> None:
    write_rows(
        folder / "corpus.jsonl",
        [{"_id": one.id, "title": one.title, "text": one.text, "metadata": {}} for one in dataset.documents],
    )
    rows = []
    judged: dict[Split, list[str]] = {split: [] for split in Split}
    for index, example in enumerate(dataset.examples):
        kept = kept_fields(dataset, index, also=("answers", "history"))
        rows.append({"_id": example.id, "text": example.question, "metadata": kept})
        n = len(example.document_ids)
        judged[example.split] += [f"{example.id}\t{one}\t{n - i}\n" for i, one in enumerate(example.document_ids)]
    write_rows(folder / "queries.jsonl", rows)
    (folder / "qrels").mkdir()
    names = {Split.TRAIN: "train", Split.VALIDATION: "dev", Split.TEST: "test"}
    for split, lines in judged.items():
        if lines:
            text = f"{_QUERY_ID}\t{_DOCUMENT_ID}\t{_SCORE}\n" + "".join(lines)
            (folder / "qrels" / f"{names[split]}.tsv").write_text(text, encoding="utf-8")


BEIR = Format(
    "beir",
    "BEIR",
    "_id is the id, text of queries the question, qrels name documents, answers must be added",
    _is_beir,
    _read,
    _write,
    holds_documents=True,
)
