"""Answers as they come, kept on disk block by block: what was acknowledged survives a kill."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from advisor.answer import Answer
from advisor.errors import EvaluationError
from advisor.report.plain_data import from_plain, to_json, to_plain
from service.data_directory import write_whole


class AnswerLog:
    """One arm's answers by question id, appended to a JSONL file.

    A line that cannot be read (torn by a kill, damaged later) is taken out: its questions count as not yet asked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._answers: dict[str, Answer] = {}
        self._wall_s = 0.0
        if not path.is_file():
            return
        data = path.read_bytes()
        whole = b"".join(line + b"\n" for line in data.split(b"\n")[:-1] if self._read(line))
        if whole != data:
            write_whole(path, whole.decode("utf-8", "surrogatepass"))

    def _read(self, line: bytes) -> bool:
        """Take in one block; False where it is not one."""
        try:
            row = json.loads(line)
            answers = {i: from_plain(Answer, raw) for i, raw in row["answers"].items()}
            wall_s = float(row["wall_s"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, EvaluationError):
            return False
        self._answers |= answers
        self._wall_s += wall_s
        return True

    @property
    def answers(self) -> Mapping[str, Answer]:
        """All answers so far."""
        return self._answers

    @property
    def wall_s(self) -> float:
        """Seconds spent answering, over all runs."""
        return self._wall_s

    def append(self, ids: Sequence[str], answers: Sequence[Answer], wall_s: float) -> None:
        """Add a block; on return it is on disk."""
        block = dict(zip(ids, answers, strict=True))
        row = {"wall_s": wall_s, "answers": {i: to_plain(answer) for i, answer in block.items()}}
        with self._path.open("ab") as file:
            file.write(to_json(row).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._answers |= block
        self._wall_s += wall_s
