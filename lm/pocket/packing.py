"""Conversations as rows of token ids, packed without padding, made in processes of their own."""

import multiprocessing
import queue
from collections.abc import Sequence
from ctypes import c_int
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lm.errors import LanguageModelError
from lm.pocket.conversations import ConversationSource
from lm.pocket.real_text import RealText
from lm.pocket.tasks import Turn
from lm.pocket.tokenizer import ASSISTANT, BOS, END, SPECIAL_TOKENS

NO_LOSS, CONTEXT, ANSWER = 0, 1, 2
"""Classes of target tokens."""
PLAIN_TEXT_SHARE = 0.05
_WORDS_PER_TOKEN = 0.58

Rows = tuple[NDArray[np.int32], NDArray[np.uint8]]
"""Token ids and target classes, both (rows, row length + 1)."""


class Packer:
    """Endless rows of one seed.

    Args:
        tokenizer_file: a `tokenizer.json`.
        seed: of the conversations.
        real: the real prose.
    """

    def __init__(self, tokenizer_file: Path, seed: int, real: RealText) -> None:
        self.source = ConversationSource(seed, real)
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._id = {token: i for i, token in enumerate(SPECIAL_TOKENS)}

    def encode(self, turns: Sequence[Turn]) -> tuple[list[int], list[int]]:
        """Token ids of a conversation, as the chat template gives them, and their classes."""
        texts = [f" {text.strip()}" for _, text in turns]
        ids, classes = [self._id[BOS]], [NO_LOSS]
        for (role, _), encoded in zip(
            turns, self._tokenizer.encode_batch(texts, add_special_tokens=False), strict=True
        ):
            spoken = f"<|{role}|>" == ASSISTANT
            ids += [self._id[f"<|{role}|>"], *encoded.ids, self._id[END]]
            inside = ANSWER if spoken else CONTEXT
            classes += [NO_LOSS, *[inside] * len(encoded.ids), ANSWER if spoken else NO_LOSS]
        return ids, classes

    def row(self, n_tokens: int, stage: int) -> tuple[list[int], list[int]]:
        """`n_tokens` + 1 tokens: conversations one behind the other, the last one cut off."""
        ids: list[int] = []
        classes: list[int] = []
        while len(ids) < n_tokens + 1:
            # Passages that fill what is left of the row would leave no room for their questions.
            more_ids, more_classes = self._piece(n_tokens - len(ids), stage)
            ids += more_ids
            classes += more_classes
        return ids[: n_tokens + 1], classes[: n_tokens + 1]

    def rows(self, n_rows: int, n_tokens: int, stage: int) -> Rows:
        """`n_rows` rows as arrays."""
        made = [self.row(n_tokens, stage) for _ in range(n_rows)]
        return np.array([ids for ids, _ in made], np.int32), np.array([classes for _, classes in made], np.uint8)

    def _piece(self, n_tokens: int, stage: int) -> tuple[list[int], list[int]]:
        rng = self.source.rng
        if rng.random() < PLAIN_TEXT_SHARE:
            texts = [f" {text}" for _, text in rng.sample(self.source.real.paragraphs, 2)]
            ids = [
                self._id[BOS],
                *(i for e in self._tokenizer.encode_batch(texts, add_special_tokens=False) for i in e.ids),
            ]
            return ids, [NO_LOSS, *[CONTEXT] * (len(ids) - 1)]
        return self.encode(self.source.conversation(stage, max(12, int(n_tokens * _WORDS_PER_TOKEN * 0.7))))


def _produce(
    rows: "multiprocessing.Queue[tuple[int, Rows]]",
    stage: "Synchronized[int]",
    tokenizer_file: Path,
    seed: int,
    real: RealText,
    row_tokens: Sequence[int],
    batch_tokens: int,
) -> None:
    packer = Packer(tokenizer_file, seed, real)
    while True:
        now = stage.value
        rows.put((now, packer.rows(max(1, batch_tokens // row_tokens[now]), row_tokens[now], now)))


class BatchStream:
    """Batches from other processes, which notice a change of stage within a few batches.

    A core makes about 200,000 tokens a second. With several processes the order of batches depends on their speeds.

    Args:
        tokenizer_file: a `tokenizer.json`.
        seed: of the conversations.
        real: the real prose.
        row_tokens: row length of each stage.
        batch_tokens: tokens in a batch.
        n_processes: that make batches.
    """

    def __init__(
        self,
        tokenizer_file: Path,
        seed: int,
        real: RealText,
        row_tokens: Sequence[int],
        batch_tokens: int,
        n_processes: int = 1,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._rows: multiprocessing.Queue[tuple[int, Rows]] = context.Queue(6 * n_processes)
        self._stage: Synchronized[int] = context.Value(c_int, 0)
        shared = (self._rows, self._stage, tokenizer_file)
        self._processes = [
            context.Process(
                target=_produce,
                args=(*shared, seed * n_processes + i, real, tuple(row_tokens), batch_tokens),
                daemon=True,
            )
            for i in range(n_processes)
        ]
        for process in self._processes:
            process.start()

    def next(self, stage: int) -> Rows:
        """The next batch of this stage.

        Raises:
            LanguageModelError: a generating process has ended.
        """
        self._stage.value = stage
        while True:
            if not all(process.is_alive() for process in self._processes):
                raise LanguageModelError("a process that makes training rows has ended; see its message above")
            try:
                made_for, rows = self._rows.get(timeout=20)
            except queue.Empty:
                continue
            if made_for == stage:
                return rows

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.terminate()
            process.join()
