"""Embeddings from any server that speaks OpenAI's protocol."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lm.endpoint.endpoint_key import OPENAI_BASE_URL, endpoint_key, how_to_give_key, is_azure, is_openai
from lm.errors import ConfigError
from lm.files import sha256
from rag.errors import IndexingError

if TYPE_CHECKING:
    import httpx2
    from openai import OpenAI

_BATCH_SIZE = 512
_BATCH_TOKENS = 100_000
_MAX_RETRIES = 4
_TIMEOUT_S = 60.0


class OpenAIEmbedder:
    """A remote embedding model.

    Keys come from the environment alone and go where `lm.endpoint.endpoint_key` lets them. A server of your
    own may need none.

    Rate limits, time-outs and server errors are tried again four times with growing pauses, nothing else is.
    """

    device = "remote"

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        dimensions: int | None = None,
        http_client: httpx2.Client | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            dimensions: To which vectors are cut by the model, if it can; None for all it has.
        """
        if not model:
            raise ConfigError("the name of the embedding model is missing; give openai:MODEL or openai:MODEL@URL")
        self._model = model
        self._dimensions = dimensions
        named = os.environ.get("TUNING_FORK_EMBEDDER_URL") or os.environ.get("OPENAI_BASE_URL")
        self._url = (base_url or named or OPENAI_BASE_URL).rstrip("/")
        if not self._url.startswith(("http://", "https://")):
            raise ConfigError(f"{self._url!r} is no web address; give openai:MODEL@https://HOST/v1")
        self.name = f"openai:{model}" + ("" if self._url == OPENAI_BASE_URL else f"@{self._url}")
        self._http_client = http_client

    @property
    def fingerprint(self) -> str:
        """Hash of model name and address; what is behind them is out of our hands."""
        dimensions = [self._dimensions] if self._dimensions else []
        return sha256(json.dumps(["openai-embeddings", self._model, self._url, *dimensions]))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """L2-normalised vectors, shape (n_texts, n_dimensions).

        Raises:
            IndexingError: the server refused, could not be reached or sent no usable vectors.
        """
        from openai import APIStatusError, OpenAIError, omit

        rows: list[list[float]] = []
        try:
            for batch in _batches(texts):
                reply = self._client.embeddings.create(
                    model=self._model, input=batch, encoding_format="float", dimensions=self._dimensions or omit
                )
                data = sorted(reply.data, key=lambda row: row.index)
                if [row.index for row in data] != list(range(len(batch))):
                    raise IndexingError(f"{self.name} sent {len(data)} vectors for {len(batch)} texts")
                rows += [row.embedding for row in data]
        except APIStatusError as error:
            raise IndexingError(
                f"{self.name} answered {error.status_code}: {error.message}; check the model's name, key and quota"
            ) from error
        except OpenAIError as error:
            raise IndexingError(f"{self.name} cannot be reached ({error}); check address and network") from error
        if not rows:
            return np.empty((0, 0), dtype=np.float32)
        if len({len(row) for row in rows}) != 1:
            raise IndexingError(f"{self.name} sent vectors of different lengths")
        if self._dimensions and len(rows[0]) != self._dimensions:
            raise IndexingError(
                f"{self.name} sent vectors of {len(rows[0])} numbers, {self._dimensions} were asked for; leave "
                "embedding_dimensions out"
            )
        vectors: NDArray[np.float32] = np.asarray(rows, dtype=np.float32)  # (texts, dimensions)
        lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not (lengths > 0).all():
            raise IndexingError(f"{self.name} sent vectors that are zero or not finite")
        return (vectors / lengths).astype(np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, over-estimated: no public tokenizer fits every server, and too much is never cut.

        Three ASCII characters a token, and each further UTF-8 byte one, the most a byte-level tokenizer can make of it.
        """
        return [_estimate_tokens(text) for text in texts]

    @cached_property
    def _client(self) -> OpenAI:
        from lm.endpoint.openai_compatible import openai_client

        key = endpoint_key(self._url)
        if not key and (is_openai(self._url) or is_azure(self._url)):
            raise ConfigError(f"{self.name} needs a key; {how_to_give_key(self._url)}")
        return openai_client(
            self._url, key, max_retries=_MAX_RETRIES, timeout_s=_TIMEOUT_S, http_client=self._http_client
        )


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Texts in order, so many a request that servers take them: by number and by tokens."""
    batch: list[str] = []
    n_tokens = 0
    for text in texts:
        cost = _estimate_tokens(text)
        if batch and (len(batch) == _BATCH_SIZE or n_tokens + cost > _BATCH_TOKENS):
            yield batch
            batch, n_tokens = [], 0
        batch.append(text)
        n_tokens += cost
    if batch:
        yield batch


def _estimate_tokens(text: str) -> int:
    n_ascii = sum(character.isascii() for character in text)
    return -(-n_ascii // 3) + len(text.encode("utf-8", "replace")) - n_ascii
