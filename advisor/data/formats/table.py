"""The table of formats. To add one: a file with its `Format`, a row here, a paragraph in docs/data-format.md."""

from collections.abc import Mapping
from typing import Any

from advisor.data.formats.alpaca import ALPACA
from advisor.data.formats.beir import BEIR
from advisor.data.formats.format import Format
from advisor.data.formats.openai_chat import OPENAI_CHAT
from advisor.data.formats.own import CSV, EXCEL, HUGGING_FACE
from advisor.data.formats.promptfoo import PROMPTFOO
from advisor.data.formats.ragas import RAGAS
from advisor.data.formats.sharegpt import SHAREGPT
from advisor.data.formats.squad import SQUAD

FORMATS: Mapping[str, Format] = {
    one.name: one
    # The first that recognises a row has it.
    for one in (SQUAD, OPENAI_CHAT, SHAREGPT, RAGAS, PROMPTFOO, BEIR, HUGGING_FACE, CSV, EXCEL, ALPACA)
}


def format_of(row: Mapping[str, Any]) -> Format | None:
    """The format that a row is of, by its fields; None where it is none of them."""
    return next((one for one in FORMATS.values() if one.recognises(row)), None)


def is_foreign(row: Mapping[str, Any]) -> bool:
    """Whether a row is of another tool's format."""
    return format_of(row) not in (None, HUGGING_FACE)
