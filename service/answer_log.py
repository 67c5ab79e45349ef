"""Answers as they come, kept on disk block by block: what was acknowledged survives a kill."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from advisor.answer import Answer
from advisor.report.plain_data import from_plain, to_plain


class AnswerLog:
    """One arm's answers by question id, appended to a JSONL file; a torn last line of a killed write is dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._answers: dict[str, Answer] = {}
        self._wall_s = 0.0
        whole = 0
        if path.is_file():
            data = path.read_bytes()
            for line in data.splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                row = json.loads(line)
                self._answers.update({i: from_plain(Answer, raw) for i, raw in row["answers"].items()})
                self._wall_s += row["wall_s"]
                whole += len(line)
            if whole < len(data):
                with path.open("r+b") as file:
                    file.truncate(whole)

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
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._answers.update(block)
        self._wall_s += wall_s
