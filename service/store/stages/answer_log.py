"""Answers as they come, kept in the database block by block: what was acknowledged survives a kill."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from advisor.data.dataset import Example
from advisor.errors import EvaluationError
from advisor.results.answer import Answer
from advisor.results.plain_data import from_plain, to_json, to_plain
from service.store.database import patiently, writing
from service.store.stages.stage_key import stage_key
from service.store.tables import answer_blocks


class AnswerLog:
    """One arm's answers by question id, shared by all comparisons that ask it the same.

    Of a block the first answers that were committed count, whoever gave them; later ones change nothing. A block that
    cannot be read (damaged later) is taken out: its questions count as not yet asked.
    """

    def __init__(self, database: Engine, stage: str) -> None:
        self._database = database
        self._stage = stage
        self._answers: dict[str, Answer] = {}
        self._wall_s: dict[str, float] = {}
        self._read()

    @property
    def answers(self) -> Mapping[str, Answer]:
        """All answers so far."""
        return self._answers

    def in_order(self, examples: Sequence[Example]) -> list[Answer]:
        """The answers to these questions, all of which are answered."""
        return [self._answers[example.id] for example in examples]

    @property
    def wall_s(self) -> float:
        """Seconds spent answering, over all runs and processes."""
        return sum(self._wall_s.values())

    def unanswered(self, blocks: Sequence[Sequence[str]]) -> Iterator[Sequence[str]]:
        """The blocks of question ids without answers, as each is drawn."""
        for ids in blocks:
            if self._has(ids):
                continue
            # Another comparison may have asked the same meanwhile.
            self._read()
            if not self._has(ids):
                yield ids

    def append(self, ids: Sequence[str], answers: Sequence[Answer], wall_s: float) -> None:
        """Add a block; on return it is committed. Where another was first, its answers are taken."""
        block = dict(zip(ids, answers, strict=True))
        row = {
            "stage": self._stage,
            "block": _name(ids),
            "answers": to_json({i: to_plain(answer) for i, answer in block.items()}),
            "wall_s": wall_s,
            "created_at": time.time(),
        }
        insert: Any = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[self._database.dialect.name]

        def write() -> None:
            with writing(self._database) as connection:
                connection.execute(insert(answer_blocks).values(row).on_conflict_do_nothing())

        patiently(write)
        self._read()

    def _has(self, ids: Sequence[str]) -> bool:
        return all(i in self._answers for i in ids)

    def _read(self) -> None:
        """Take in the blocks that are new."""
        known = select(answer_blocks.c.block, answer_blocks.c.answers, answer_blocks.c.wall_s).where(
            answer_blocks.c.stage == self._stage, answer_blocks.c.block.not_in(list(self._wall_s))
        )

        def rows() -> list[tuple[str, str, float]]:
            with self._database.connect() as connection:
                return [(name, text, wall_s) for name, text, wall_s in connection.execute(known)]

        for name, text, wall_s in patiently(rows):
            try:
                answers = {i: from_plain(Answer, raw) for i, raw in json.loads(text).items()}
            except (ValueError, TypeError, AttributeError, RecursionError, EvaluationError):
                self._take_out(name, text)
                continue
            self._answers |= answers
            self._wall_s[name] = wall_s

    def _take_out(self, name: str, text: str) -> None:
        damaged = delete(answer_blocks).where(
            answer_blocks.c.stage == self._stage,
            answer_blocks.c.block == name,
            answer_blocks.c.answers == text,
        )
        with writing(self._database) as connection:
            connection.execute(damaged)


def _name(ids: Sequence[str]) -> str:
    return stage_key(list(ids))
