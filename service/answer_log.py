"""Answers as they come, kept in the database block by block: what was acknowledged survives a kill."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection, delete, insert, select

from advisor.answer import Answer
from advisor.errors import EvaluationError
from advisor.report.plain_data import from_plain, to_json, to_plain
from service.database import patiently, writing
from service.lease import Lease, Leases, pauses
from service.stage_key import stage_key
from service.tables import answer_blocks


class AnswerLog:
    """One arm's answers by question id, shared by all processes that work on them.

    A block that cannot be read (damaged later) is taken out: its questions count as not yet asked.
    """

    def __init__(self, leases: Leases, stage: str) -> None:
        self._leases = leases
        self._stage = stage
        self._answers: dict[str, Answer] = {}
        self._wall_s: dict[str, float] = {}
        self._claimed: dict[str, Lease] = {}
        self._read()

    @property
    def answers(self) -> Mapping[str, Answer]:
        """All answers so far."""
        return self._answers

    @property
    def wall_s(self) -> float:
        """Seconds spent answering, over all runs and processes."""
        return sum(self._wall_s.values())

    def unanswered(self, blocks: Sequence[Sequence[str]], *, wait: bool = True) -> Iterator[Sequence[str]]:
        """The blocks of question ids that are for this process to answer, each to be appended before the next is drawn.

        Blocks that another process is at are left to it. With `wait` the iteration ends when every block has its
        answers, its own or those of others; without, when no block is free.
        """
        waits = pauses()
        while open_blocks := [ids for ids in blocks if not self._has(ids)]:
            n_claimed = 0
            for ids in open_blocks:
                lease = self._leases.claim(self._unit(ids))
                if lease is None:
                    continue
                # Whoever held it until now may have answered it.
                self._read()
                if self._has(ids):
                    self._leases.give_up(lease)
                    continue
                self._claimed[lease.unit] = lease
                n_claimed += 1
                try:
                    yield ids
                finally:
                    if unused := self._claimed.pop(lease.unit, None):
                        self._leases.give_up(unused)
            if not wait:
                return
            if n_claimed:
                waits = pauses()
            else:
                self._leases.wait(next(waits))
            self._read()

    def append(self, ids: Sequence[str], answers: Sequence[Answer], wall_s: float) -> None:
        """Add a block; on return it is committed. Of a block that was not drawn before, the first answers count.

        Raises:
            LostLeaseError: another process took the block over, and nothing was written.
        """
        block = dict(zip(ids, answers, strict=True))
        row = {
            "stage": self._stage,
            "block": _name(ids),
            "answers": to_json({i: to_plain(answer) for i, answer in block.items()}),
            "wall_s": wall_s,
            "created_at": time.time(),
        }
        unit = self._unit(ids)
        lease = self._claimed.get(unit)
        if lease is None:
            lease = self._leases.wait_for(unit)
            self._read()
            if _name(ids) in self._wall_s:
                self._leases.give_up(lease)
                return

        def write(connection: Connection) -> None:
            connection.execute(insert(answer_blocks).values(row))

        self._leases.write(lease, write, ends=True)
        self._claimed.pop(unit, None)
        self._answers |= block
        self._wall_s[_name(ids)] = wall_s

    def _has(self, ids: Sequence[str]) -> bool:
        return all(i in self._answers for i in ids)

    def _unit(self, ids: Sequence[str]) -> str:
        return f"block/{self._stage}/{_name(ids)}"

    def _read(self) -> None:
        """Take in the blocks that are new."""
        known = select(answer_blocks.c.block, answer_blocks.c.answers, answer_blocks.c.wall_s).where(
            answer_blocks.c.stage == self._stage, answer_blocks.c.block.not_in(list(self._wall_s))
        )

        def rows() -> list[tuple[str, str, float]]:
            with self._leases.engine.connect() as connection:
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
        with writing(self._leases.engine) as connection:
            connection.execute(damaged)


def _name(ids: Sequence[str]) -> str:
    return stage_key(list(ids))
