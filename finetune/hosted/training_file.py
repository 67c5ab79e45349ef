"""The file that hosted tuning reads: chat rows, a JSON object a line, checked before anything is sent."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from advisor.data.files import holds_half_character
from finetune.hosted.provider import HostedTuningError

MIN_ROWS = 10
"""Fewer are refused by OpenAI and Azure OpenAI."""
MAX_BYTES = 512 * 1024 * 1024
_TOKENS_PER_MESSAGE = 8
_ROLES = ("system", "user", "assistant")
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class TrainingFile:
    """Rows that passed the check.

    Attributes:
        most_tokens: Never fewer than any tokenizer of bytes makes of it: one a byte of text, and eight a message.
        likely_tokens: One for four bytes of text, as of English, and eight a message.
    """

    content: bytes
    n_rows: int
    most_tokens: int
    likely_tokens: int


def chat_rows(rows: Sequence[tuple[Sequence[tuple[str, str]], str]]) -> bytes:
    """Prompts, each a list of role and text, with their answers, as a file."""
    lines = []
    for prompt, answer in rows:
        turns = [{"role": role, "content": text} for role, text in prompt]
        lines.append(json.dumps({"messages": [*turns, {"role": "assistant", "content": answer}]}, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines).encode()


def check_training_file(content: bytes, name: str, *, min_rows: int = MIN_ROWS) -> TrainingFile:
    """Check a file as providers do, so that a mistake is told by its line before a job is made.

    Raises:
        HostedTuningError: names every line that is wrong, up to twenty.
    """
    problems: list[str] = []
    n_bytes = n_messages = 0
    lines = content.decode("utf-8", errors="surrogateescape").removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        problem, texts = _check_line(line)
        if problem:
            problems.append(f"{name}:{number}: {problem}")
        n_messages += len(texts)
        n_bytes += sum(len(text.encode("utf-8", "surrogateescape")) for text in texts)
    if len(lines) < min_rows:
        problems.append(f"{name}: {len(lines)} rows; at least {min_rows} are needed")
    if len(content) > MAX_BYTES:
        problems.append(f"{name}: {len(content)} bytes; at most {MAX_BYTES} are taken")
    if problems:
        more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise HostedTuningError("the training file cannot be used:\n  " + "\n  ".join(problems[:_SHOWN]) + more)
    around = _TOKENS_PER_MESSAGE * n_messages
    return TrainingFile(content, len(lines), n_bytes + around, -(-n_bytes // 4) + around)


def _check_line(line: str) -> tuple[str, list[str]]:
    """What is wrong with a line, "" if nothing, and the texts of its messages."""
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        return f"no valid JSON ({error})", []
    messages = row.get("messages") if isinstance(row, dict) else None
    if not isinstance(messages, list) or not messages:
        return 'no list "messages"', []
    texts = []
    for position, message in enumerate(messages, 1):
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            return f"message {position}: role must be one of {', '.join(_ROLES)}", []
        text = message.get("content")
        if not isinstance(text, str) or not text.strip():
            return f"message {position}: content is empty", []
        if holds_half_character(text):
            return f"message {position}: content is no valid UTF-8", []
        texts.append(text)
    if messages[-1]["role"] != "assistant":
        return "the last message is not the assistant's, so there is nothing to learn", []
    return "", texts
