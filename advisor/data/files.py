"""Reading a dataset folder: `documents.jsonl`, `questions.jsonl` and the card `dataset.toml`.

Every problem is found in one pass and named by file and line, so that a user fixes them together.
"""

import json
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from advisor.data.answer_form import label_set
from advisor.data.dataset import Dataset, DatasetCard, Document, Example, Split, Task, UnreadField
from advisor.data.document_text import without_embedded_data
from advisor.data.json_schema import schema_check
from advisor.data.meant_names import meant_field, suggestion
from advisor.data.prompt import ABSTENTION
from advisor.data.splitting import assign_splits
from advisor.errors import DatasetError, EvaluationError
from lm.completion import Message, Role

CARD_FILE = "dataset.toml"
DOCUMENTS_FILE = "documents.jsonl"
QUESTIONS_FILE = "questions.jsonl"
HUMAN_LABELS_FILE = "human_labels.jsonl"

_DEFAULT_METRICS: Mapping[Task, tuple[str, ...]] = {
    Task.QUESTION_ANSWERING: (
        *("contains_answer", "exact_match", "token_f1", "rouge_l", "semantic_similarity"),
        *("abstention", "abstention_precision", "abstention_recall", "recall@1", "recall@3", "mrr@10"),
    ),
    Task.CLASSIFICATION: ("accuracy", "macro_f1"),
    Task.EXTRACTION: ("json_exact", "json_valid", "json_field_accuracy"),
    Task.GENERATION: ("rouge_l", "bleu", "chrf", "semantic_similarity"),
}
_DEFAULT_INSTRUCTION: Mapping[Task, str] = {
    Task.QUESTION_ANSWERING: f"Answer the question in a few words. If you do not know the answer, say: {ABSTENTION}",
    Task.CLASSIFICATION: "Sort the message into one of these labels: {labels}. Answer with the label only.",
    Task.EXTRACTION: "Extract the record from the text as one JSON object and nothing else.",
    Task.GENERATION: "Write the text that is asked for and nothing else.",
}
_DEFAULT_OUTPUT_TOKENS: Mapping[Task, int] = {
    Task.QUESTION_ANSWERING: 32,
    Task.CLASSIFICATION: 16,
    Task.EXTRACTION: 128,
    Task.GENERATION: 128,
}
_QUESTION_FIELDS = frozenset(
    {
        *("id", "question", "answers", "document_ids", "group", "split", "answerable", "history"),
        *("meta", "metadata", "made_by"),
    }
)
_MAX_SHOWN = 20
_CARD_KEYS = {"name", "task", "language", "licence", "metrics", "description", "instruction", "max_output_tokens"} | {
    "schema"
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a dataset, where it is, and what to do about it."""

    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a JSONL file, counted from 1."""

    line: int
    value: dict[str, Any]


def load_dataset(folder: Path, *, task: Task | None = None, seed: int = 0) -> Dataset:
    """Read and check a dataset folder; questions without any split get one (see `advisor.data.splitting`).

    Args:
        folder: Holds `documents.jsonl` and `questions.jsonl`, and normally `dataset.toml`.
        task: For folders without a card; a card's own task wins.
        seed: Of the split, where the file carries none.

    Raises:
        DatasetError: lists every problem with file, line and remedy.
    """
    problems: list[Problem] = []
    dataset = read_dataset(folder, problems, task=task, seed=seed)
    if problems or dataset is None:
        hint = f" (`tuningfork validate {folder}` lists all)"
        raise DatasetError(problem_list(f"the dataset {folder} cannot be used", problems, hint))
    return dataset


def problem_list(what: str, problems: Sequence[Problem], hint: str = "") -> str:
    """What is wrong and the first problems, a line each.

    Args:
        hint: Where the others are told.
    """
    shown = [f"  {problem}" for problem in problems[:_MAX_SHOWN]]
    if len(problems) > _MAX_SHOWN:
        shown.append(f"  and {len(problems) - _MAX_SHOWN} more{hint}")
    count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
    return "\n".join([f"{what}, {count}:", *shown])


def read_dataset(folder: Path, problems: list[Problem], *, task: Task | None = None, seed: int = 0) -> Dataset | None:
    """Read a dataset, adding everything wrong with it to `problems`; None where nothing usable is left."""
    if not folder.is_dir():
        problems.append(
            Problem(str(folder), None, "there is no such folder; `tuningfork datasets` lists the bundled ones")
        )
        return None
    documents, document_ids = read_documents(folder / DOCUMENTS_FILE, problems)
    examples, has_splits, unread = _read_questions(folder / QUESTIONS_FILE, document_ids, problems)
    card = _read_card(folder, task, problems)
    if card is None or not examples:
        return None
    if not has_splits:
        whole_groups = card.task is not Task.QUESTION_ANSWERING
        examples = list(assign_splits(examples, seed=seed, whole_groups=whole_groups))
    if card.task is Task.CLASSIFICATION or "{labels}" in card.instruction:
        card = _with_labels(card, examples)
    dataset = Dataset(card, tuple(documents), tuple(examples), unread)
    if not dataset.split(Split.TEST):
        problems.append(
            Problem(
                QUESTIONS_FILE,
                None,
                'no question has split "test"; mark some, or leave `split` out of every line and give at least two',
            )
        )
    return dataset


def _with_labels(card: DatasetCard, examples: Sequence[Example]) -> DatasetCard:
    labels = label_set(examples)
    return replace(card, instruction=card.instruction.replace("{labels}", ", ".join(labels)), labels=labels)


def read_rows(path: Path, problems: list[Problem]) -> Iterator[Row]:
    """JSON objects of a JSONL file; empty lines are passed over."""
    name = path.name
    if not path.is_file():
        problems.append(Problem(name, None, f"the file is missing from {path.parent}; add it (one JSON object a line)"))
        return
    for number, raw in enumerate(path.read_bytes().split(b"\n"), 1):
        if not raw.strip():
            continue
        try:
            value = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            problems.append(Problem(name, number, f"broken UTF-8 at byte {error.start + 1}; save the file as UTF-8"))
            continue
        except (ValueError, RecursionError) as error:
            what = _unreadable_json(error)
            problems.append(Problem(name, number, f"not a JSON object: {what}; one whole object belongs on one line"))
            continue
        if not isinstance(value, dict):
            problems.append(Problem(name, number, f"a JSON {type(value).__name__}, not an object; write {{...}}"))
            continue
        yield Row(number, value)


def _unreadable_json(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "nested too deeply" if isinstance(error, RecursionError) else "a number has thousands of digits"


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write one JSON object a line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        encode = json.JSONEncoder(ensure_ascii=False).encode
        file.writelines(encode(row) + "\n" for row in rows)


def text_of(row: Row, key: str, name: str, problems: list[Problem], *, required: bool = True) -> str:
    """A field that is text; "" where it is missing or unusable.

    Args:
        name: Of the file, for the problems.
    """
    value = row.value.get(key)
    if value is None and not required:
        return ""
    if value is None:
        problems.append(Problem(name, row.line, f'the field "{key}" is missing; add it'))
    elif not isinstance(value, str):
        problems.append(Problem(name, row.line, f'"{key}" is a {type(value).__name__}; write it as text in quotes'))
    elif not value.strip():
        problems.append(Problem(name, row.line, f'"{key}" is empty; fill it in or remove the line'))
    elif unfit := unfit_character(value):
        problems.append(Problem(name, row.line, f'"{key}" holds {unfit}'))
    else:
        return value
    return ""


def holds_half_character(text: str) -> bool:
    """Whether a lone surrogate is in a text. The codec looks at millions of characters at once."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def unfit_character(text: str) -> str:
    """What stands in a text that databases, prompts and reports cannot carry, and the remedy; "" where nothing does."""
    if "\0" in text:
        return "a NUL character; remove it"
    if holds_half_character(text):
        return "half a character (a lone surrogate); write it again"
    return ""


def _texts(row: Row, key: str, name: str, problems: list[Problem]) -> tuple[str, ...] | None:
    """A list of texts, a single text standing for a list of one; None where missing or wrong."""
    value = row.value.get(key)
    if isinstance(value, str):
        value = [value]
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        problems.append(Problem(name, row.line, f'"{key}" must be a list of texts'))
        return None
    if unfit := unfit_character("".join(value)):
        problems.append(Problem(name, row.line, f'"{key}" holds {unfit}'))
        return None
    return tuple(value)


def read_documents(path: Path, problems: list[Problem]) -> tuple[list[Document], set[str] | None]:
    """The usable documents, and the ids of all of them so that one bad document does not accuse every question.

    None for the ids where the file is missing or another tool's. A file may be empty: then no arm can read documents.
    """
    documents: list[Document] = []
    first_line: dict[str, int] = {}
    for row in map(_with_text_ids, read_rows(path, problems)):
        if not first_line and (foreign := _foreign(row.value, ("id", "text"), path.parent)):
            problems.append(Problem(path.name, row.line, foreign))
            return [], None
        before = len(problems)
        document_id = text_of(row, "id", path.name, problems)
        text = text_of(row, "text", path.name, problems)
        title = text_of(row, "title", path.name, problems, required=False) if row.value.get("title") != "" else ""
        if document_id and document_id in first_line:
            problems.append(
                Problem(path.name, row.line, f'the id "{document_id}" is already on line {first_line[document_id]}')
            )
        first_line.setdefault(document_id, row.line)
        metadata = row.value.get("metadata")
        metadata = row.value.get("meta") if metadata is None else metadata
        metadata = {} if metadata is None else metadata
        if not isinstance(metadata, dict):
            problems.append(Problem(path.name, row.line, '"metadata" must be a JSON object'))
        elif unfit := unfit_character(_plain_text(metadata)):
            problems.append(Problem(path.name, row.line, f'"metadata" holds {unfit}'))
        if len(problems) == before:
            documents.append(Document(document_id, title, without_embedded_data(text), metadata))
    return documents, set(first_line) if path.is_file() else None


def _plain_text(value: object) -> str:
    """All texts of a JSON value run together; without recursion, since it may be nested as deep as JSON allows."""
    texts: list[str] = []
    rest = [value]
    while rest:
        part = rest.pop()
        if isinstance(part, dict):
            rest += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            rest += part
        elif isinstance(part, str):
            texts.append(part)
    return "".join(texts)


def _read_questions(
    path: Path, document_ids: set[str] | None, problems: list[Problem]
) -> tuple[list[Example], bool, tuple[UnreadField, ...]]:
    """The usable questions, whether the file says which split they are of, and fields that seem to be ours misspelt.

    All questions are of the test split until they get one.
    """
    n_before = len(problems)
    examples: list[Example] = []
    first_line: dict[str, int] = {}
    with_split: list[int] = []
    without_split: list[int] = []
    unread: Counter[tuple[str, str]] = Counter()
    for row in map(_with_text_ids, read_rows(path, problems)):
        if not first_line and (foreign := _foreign(row.value, ("question", "answers"), path.parent)):
            problems.append(Problem(path.name, row.line, foreign))
            return [], False, ()
        lacking = [name for name in _QUESTION_FIELDS if row.value.get(name) is None]
        for name in row.value.keys() - _QUESTION_FIELDS:
            if row.value[name] is not None and (meant := meant_field(name, lacking)):
                unread[name, meant] += 1
        before = len(problems)
        example_id = text_of(row, "id", path.name, problems)
        question = text_of(row, "question", path.name, problems)
        answers = answers_of(row, path.name, problems)
        cited = _texts(row, "document_ids", path.name, problems) or ()
        for unknown in [i for i in cited if document_ids is not None and i not in document_ids]:
            remedy = suggestion(unknown, document_ids or ())
            problems.append(
                Problem(path.name, row.line, f'the document id "{unknown}" is not in {DOCUMENTS_FILE}; {remedy}')
            )
        if example_id and example_id in first_line:
            problems.append(
                Problem(path.name, row.line, f'the id "{example_id}" is already on line {first_line[example_id]}')
            )
        first_line.setdefault(example_id, row.line)
        split = _split(row, path.name, problems)
        (without_split if split is None else with_split).append(row.line)
        group = text_of(row, "group", path.name, problems) if row.value.get("group") is not None else example_id
        history = _history(row, path.name, problems)
        if len(problems) == before:
            made_by = str(row.value.get("made_by") or "")
            examples.append(
                Example(example_id, question, answers or (), cited, group, split or Split.TEST, made_by, history)
            )
    if with_split:
        problems += [
            Problem(path.name, line, "no split, though other lines have one; say train, validation or test")
            for line in without_split
        ]
    if path.is_file() and not examples and len(problems) == n_before:
        problems.append(Problem(path.name, None, "the file holds no question; add one JSON object a line"))
    fields = tuple(UnreadField(name, meant, n) for (name, meant), n in sorted(unread.items()))
    return examples, bool(with_split), fields


def _foreign(row: Mapping[str, Any], needed: Sequence[str], folder: Path) -> str:
    """What a row looks like that is another tool's, and the remedy; "" where it could be ours."""
    from advisor.data.formats.table import format_of, is_foreign

    found = format_of(row)
    if found is None or not is_foreign(row) or (set(needed) <= row.keys() and not isinstance(row.get("answers"), dict)):
        return ""
    return f"the rows look like {found.label} ({found.fields}); read them with: tuningfork import {folder} NEW_FOLDER"


def _with_text_ids(row: Row) -> Row:
    """Whole numbers that name something are read as their digits."""

    def text(value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    value = {key: text(v) if key in ("id", "group") else v for key, v in row.value.items()}
    cited = value.get("document_ids")
    if cited is not None:
        value["document_ids"] = [text(v) for v in cited] if isinstance(cited, list) else text(cited)
    return Row(row.line, value)


def _history(row: Row, name: str, problems: list[Problem]) -> tuple[Message, ...]:
    value = row.value.get("history")
    turns = [] if value is None else value
    roles = (Role.USER.value, Role.ASSISTANT.value)
    if not isinstance(turns, list) or not all(
        isinstance(turn, dict) and turn.get("role") in roles and isinstance(turn.get("content"), str) for turn in turns
    ):
        what = '"history" must be a list of {"role": "user" or "assistant", "content": text}, the oldest first'
        problems.append(Problem(name, row.line, what))
        return ()
    if unfit := unfit_character("".join(turn["content"] for turn in turns)):
        problems.append(Problem(name, row.line, f'"history" holds {unfit}'))
        return ()
    return tuple(Message(Role(turn["role"]), turn["content"]) for turn in turns)


def answers_of(row: Row, name: str, problems: list[Problem]) -> tuple[str, ...] | None:
    """Accepted references; an unanswerable question says so itself, so that a forgotten answer is not taken for one."""
    meta = row.value.get("meta")
    answerable = row.value.get("answerable")
    if answerable is None:
        answerable = meta.get("answerable", True) if isinstance(meta, dict) else True
    if not isinstance(answerable, bool):
        problems.append(Problem(name, row.line, '"answerable" must be true or false, without quotes'))
        return None
    if not answerable:
        return ()
    answers = _texts(row, "answers", name, problems)
    if answers is None:
        if row.value.get("answers") is None:
            problems.append(Problem(name, row.line, 'the field "answers" is missing; add a list of accepted answers'))
        return None
    if not answers or not all(answer.strip() for answer in answers):
        problems.append(
            Problem(name, row.line, 'an empty answer; give one, or say "answerable": false if no document answers it')
        )
        return None
    return answers


def _split(row: Row, name: str, problems: list[Problem]) -> Split | None:
    value = row.value.get("split")
    if value is None:
        return None
    try:
        return Split(value)
    except ValueError:
        problems.append(Problem(name, row.line, f'the split "{value}" is unknown; say train, validation or test'))
        return Split.TEST


def default_card(name: str, task: Task = Task.QUESTION_ANSWERING) -> DatasetCard:
    """The card of a folder that has none."""
    return DatasetCard(
        name=name,
        task=task,
        language="und",
        licence="unknown",
        metrics=_DEFAULT_METRICS[task],
        description="",
        instruction=_DEFAULT_INSTRUCTION[task],
        max_output_tokens=_DEFAULT_OUTPUT_TOKENS[task],
    )


def _read_card(folder: Path, task: Task | None, problems: list[Problem]) -> DatasetCard | None:
    path = folder / CARD_FILE
    if not path.is_file():
        return default_card(folder.resolve().name, task or Task.QUESTION_ANSWERING)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        problems.append(Problem(path.name, None, f"not readable TOML: {error}"))
        return None
    before = len(problems)
    for key in sorted(set(raw) - _CARD_KEYS):
        problems.append(Problem(path.name, None, f'the key "{key}" is unknown; known: {", ".join(sorted(_CARD_KEYS))}'))
    for key in ("name", "task", "language", "licence", "description"):
        if not isinstance(raw.get(key), str) or not raw[key].strip():
            problems.append(Problem(path.name, None, f'the key "{key}" is missing or empty'))
    known = ", ".join(Task)
    if isinstance(raw.get("task"), str) and raw["task"] not in set(Task):
        problems.append(Problem(path.name, None, f'the task "{raw["task"]}" is unknown; known: {known}'))
    tokens = raw.get("max_output_tokens", 1)
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1:
        problems.append(Problem(path.name, None, '"max_output_tokens" must be a whole number of at least 1'))
    metrics = raw.get("metrics", ["x"])
    if not isinstance(metrics, list) or not metrics or not all(isinstance(m, str) for m in metrics):
        problems.append(
            Problem(path.name, None, '"metrics" must be a list of metric names; docs/metrics.md lists them')
        )
    if not isinstance(raw.get("instruction", ""), str):
        problems.append(Problem(path.name, None, '"instruction" must be a text'))
    schema = _read_schema(folder, raw.get("schema"), problems)
    if len(problems) > before:
        return None
    card_task = Task(raw["task"])
    base = default_card(raw["name"], card_task)
    return DatasetCard(
        name=raw["name"],
        task=card_task,
        language=raw["language"],
        licence=raw["licence"],
        metrics=tuple(raw.get("metrics", base.metrics)),
        description=raw["description"].strip(),
        instruction=raw.get("instruction", base.instruction).strip(),
        max_output_tokens=raw.get("max_output_tokens", base.max_output_tokens),
        schema=schema,
    )


def _read_schema(folder: Path, name: object, problems: list[Problem]) -> dict[str, Any] | None:
    if name is None:
        return None
    if not isinstance(name, str) or Path(name).name != name or not (folder / name).is_file():
        problems.append(Problem(CARD_FILE, None, f'"schema" must name a file beside the card; {name!r} is not there'))
        return None
    try:
        schema = json.loads((folder / name).read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        problems.append(Problem(name, None, f"not readable JSON: {error}"))
        return None
    if not isinstance(schema, dict):
        problems.append(Problem(name, None, "a JSON Schema must be an object"))
        return None
    try:
        schema_check(schema, name)
    except EvaluationError as error:
        problems.append(Problem(name, None, str(error)))
        return None
    return schema
