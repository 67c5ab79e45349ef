"""The actors that answer for a comparison: as many as there is work and room for, replaced where one dies."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray

from service.jobs.ray_engine.cluster import LOST, Cluster, crashed, own_error
from service.jobs.ray_engine.worker import Answerer
from service.jobs.supervisor import MAX_CRASHES
from service.run.arm import AnsweredBlock, Block, named


@dataclass
class _Asked:
    """A block, and how often the process that had it ended."""

    block: Block
    n_crashes: int = 0


class Answerers:
    """Actors of one comparison. Each holds its models, and has one block at a time."""

    def __init__(
        self, cluster: Cluster, order: Any, resources: dict[str, Any], on_look: Callable[[bool], None]
    ) -> None:
        """No actor yet.

        Args:
            order: Reference to the `WorkOrder`.
            on_look: Called again and again while something is waited for, with whether no actor is there yet.
        """
        self._cluster = cluster
        self._order = order
        self._resources = resources
        self._on_look = on_look
        self._starting: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self._n_crashes = 0

    def call(self, method: str, *arguments: Any) -> Any:
        """What one actor returns; where it dies another is asked."""
        while True:
            self._wait_for_one()
            actor = self._idle[0]
            reference = getattr(actor, method).remote(*arguments)
            self._cluster.wait([reference], partial(self._on_look, False))
            try:
                return ray.get(reference)
            except LOST as error:
                _release(self._idle.pop(0))
                self._count_crash(error)
            except ray.exceptions.RayError as error:
                raise own_error(error) from error

    def answered(self, blocks: Sequence[Block]) -> Iterator[AnsweredBlock]:
        """The blocks with their answers, as they come; a block whose actor dies is asked another one."""
        left = deque(_Asked(block) for block in blocks)
        busy: dict[Any, tuple[Any, _Asked]] = {}
        self._shrink(len(left))
        while left or busy:
            self._grow(len(left), len(busy))
            while left and self._idle:
                actor, asked = self._idle.pop(0), left.popleft()
                busy[_ask(actor, asked.block)] = actor, asked
            for reference in self._cluster.wait([*self._starting, *busy], partial(self._on_look, not busy)):
                if reference in self._starting:
                    self._take_started(reference)
                    continue
                actor, asked = busy.pop(reference)
                try:
                    answers, wall_s = ray.get(reference)
                except LOST as error:
                    _release(actor)
                    asked.n_crashes += 1
                    if asked.n_crashes > MAX_CRASHES:
                        raise crashed(f"a block of {named(asked.block.arm)}", asked.n_crashes, error) from error
                    left.appendleft(asked)
                except ray.exceptions.RayError as error:
                    raise own_error(error) from error
                else:
                    self._idle.insert(0, actor)
                    yield AnsweredBlock(asked.block, answers, wall_s)

    def _grow(self, n_left: int, n_busy: int = 0) -> None:
        """Start actors for what is left, as many as nodes have room for."""
        n_more = n_left - len(self._idle) - len(self._starting)
        if n_more > 0 and n_left + n_busy > 1:
            room = max(1, sum(self._cluster.n_fitting(self._resources).values()))
            n_more = min(n_more, room - len(self._idle) - len(self._starting) - n_busy)
        for _ in range(n_more):
            actor = ray.remote(Answerer).options(**self._resources).remote()
            self._starting[actor.open.remote(self._order)] = actor

    def _shrink(self, n_left: int) -> None:
        """Let go of actors that have no work, so that others find room."""
        while len(self._idle) + len(self._starting) > n_left:
            _release(self._starting.popitem()[1] if self._starting else self._idle.pop())

    def _wait_for_one(self) -> None:
        while not self._idle:
            self._grow(1)
            for reference in self._cluster.wait(list(self._starting), partial(self._on_look, True)):
                self._take_started(reference)

    def _take_started(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            ray.get(reference)
        except LOST as error:
            _release(actor)
            self._count_crash(error)
        except ray.exceptions.RayError as error:
            raise own_error(error) from error
        else:
            self._n_crashes = 0
            self._idle.append(actor)

    def _count_crash(self, error: Exception) -> None:
        self._n_crashes += 1
        if self._n_crashes > MAX_CRASHES:
            raise crashed("the model", self._n_crashes, error) from error


def _ask(actor: Any, block: Block) -> Any:
    pipeline = block.arm.pipeline
    asked = pipeline.arm, block.arm.training_seed
    return actor.answer.remote(asked, pipeline.generation, pipeline.fingerprint, block.examples)


def _release(actor: Any) -> None:
    """End an actor, whether it is there, waits for room, or cannot be reached."""
    with suppress(ray.exceptions.RayError):
        ray.kill(actor)
