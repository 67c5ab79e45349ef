"""Cross-encoders that read question and passage together and rank the passages found anew."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lm.errors import ConfigError
from lm.files import sha256
from rag.embedder import check_weights, hash_model_files, locate_model
from rag.errors import IndexingError
from rag.retriever import Reranker

_BATCH = 32


class CrossEncoderReranker:
    """A sentence-transformers cross-encoder with one output; its weights must be safetensors."""

    def __init__(self, folder: Path, *, name: str) -> None:
        check_weights(folder)
        self.name = name
        self._folder = folder

    @cached_property
    def fingerprint(self) -> str:
        """Hash of every file that decides scores."""
        return sha256(json.dumps(["cross-encoder", hash_model_files(self._folder)]))

    def score(self, question: str, passages: Sequence[str]) -> list[float]:
        """A score for each passage, rounded so that batches and machines rank alike.

        Raises:
            IndexingError: the model cannot be loaded, or gives several scores a pair.
        """
        if not passages:
            return []
        scores = self._model.predict([(question, passage) for passage in passages], batch_size=_BATCH)
        if scores.ndim != 1:
            raise IndexingError(
                f"the reranker {self.name} gives {scores.shape[1]} scores a passage; choose a cross-encoder with one"
            )
        return [round(float(score), 6) for score in scores]

    @cached_property
    def _model(self) -> Any:
        from sentence_transformers import CrossEncoder

        try:
            return CrossEncoder(
                str(self._folder),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": "float32"},
            )
        except Exception as error:
            raise IndexingError(
                f"the reranker in {self._folder} cannot be loaded ({error}); give the folder or hub id of a "
                "cross-encoder"
            ) from error


def load_reranker(spec: str) -> Reranker:
    """The reranker a name stands for: `hf:ID_OR_PATH`.

    Raises:
        ConfigError: the name is none of these.
        IndexingError: the model is missing or damaged.
    """
    kind, _, rest = spec.partition(":")
    if kind != "hf" or not rest:
        raise ConfigError(f"unknown reranker {spec!r}; give hf:ID_OR_PATH of a cross-encoder")
    return CrossEncoderReranker(locate_model(rest), name=rest)
