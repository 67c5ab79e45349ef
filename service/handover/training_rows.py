"""The questions a model is tuned on, in the forms that other tools read; the test split is never among them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advisor.data.dataset import Split
from lm.completion import chat_rows
from lm.errors import ConfigError

if TYPE_CHECKING:
    from service.handover.winner import Row, Winner

TRAIN_FILE = "train.jsonl"
VALIDATION_FILE = "validation.jsonl"


def write_chats(winner: "Winner", folder: Path) -> dict[Split, list[dict[str, Any]]]:
    """`{"messages": [...]}` a line, the answer as the last turn: the form of chat completions.

    Returns:
        The rows of both splits; a file is written only where there are any.
    Raises:
        ConfigError: there are no training questions.
    """
    return _write(winner, folder, lambda row: {"messages": [*chat_rows(row.prompt), _answer(row)]})


def write_prompts_and_completions(winner: "Winner", folder: Path) -> dict[Split, list[dict[str, Any]]]:
    """`{"prompt": [...], "completion": [...]}` a line, so that the loss is taken over the completion alone.

    Raises:
        ConfigError: there are no training questions.
    """
    return _write(winner, folder, lambda row: {"prompt": chat_rows(row.prompt), "completion": [_answer(row)]})


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line, any script readable."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _answer(row: "Row") -> dict[str, str]:
    return {"role": "assistant", "content": row.answer}


def _write(winner: "Winner", folder: Path, form: Any) -> dict[Split, list[dict[str, Any]]]:
    written = {}
    for split, name in ((Split.TRAIN, TRAIN_FILE), (Split.VALIDATION, VALIDATION_FILE)):
        written[split] = [form(row) for row in winner.rows(split)]
        if written[split]:
            write_json_lines(folder / name, written[split])
    if not written[Split.TRAIN]:
        raise ConfigError(
            f"the dataset {winner.dataset.card.name} has no training questions to hand over; add some with "
            '"split": "train"'
        )
    return written
