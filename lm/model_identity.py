"""What is known of a model before it is loaded: which one it is, and in what it would compute here."""

import os
from pathlib import Path

from lm.files import hash_files
from lm.registry import SCHEMES, parse_spec
from lm.weights.embedded_model import EMBEDDED_MODEL, EMBEDDED_PARAMETERS, find_embedded_gguf, locate_hub_copy
from lm.weights.gguf_cache import gguf_identity, locate_converted
from lm.weights.model_files import count_parameters, find_weight_files, locate_model


def model_identity(spec: str, revision: str | None = None) -> str:
    """What tells one model from another without loading it: hashes of its files, or the endpoint it is asked at.

    Args:
        revision: Of a model of the hub.

    Raises:
        ConfigError: no kind of model is called so.
        LanguageModelError: a local or hub model is missing.
    """
    kind, name = parse_spec(spec)
    if not SCHEMES[kind].is_local:
        return spec if kind != "openai" else f"{spec} {os.environ.get('OPENAI_BASE_URL', '')}"
    if kind == "gguf":
        return gguf_identity(Path(name))
    if kind == EMBEDDED_MODEL and (path := find_embedded_gguf()) is not None:
        return gguf_identity(path)
    folder = locate_hub_copy() if kind == EMBEDDED_MODEL else locate_model(name, revision=revision)
    small_files = [path for path in sorted(folder.glob("*.json")) if path.is_file()]
    return hash_files(find_weight_files(folder)) + hash_files([*small_files, *sorted(folder.glob("*.jinja"))])


def model_dtype(spec: str) -> str:
    """The floating-point type that a model would be loaded in on this machine, without loading it; "" for a hosted one.

    Raises:
        ConfigError: no kind of model is called so.
        LanguageModelError: a local or hub model is missing.
    """
    kind, name = parse_spec(spec)
    if not SCHEMES[kind].is_local:
        return ""
    import torch

    from lm.local.dtype import choose_dtype

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return str(choose_dtype(device, _n_parameters(kind, name))).removeprefix("torch.")


def _n_parameters(kind: str, name: str) -> int:
    if kind == EMBEDDED_MODEL:
        return EMBEDDED_PARAMETERS
    return count_parameters(find_weight_files(locate_converted(Path(name)) if kind == "gguf" else locate_model(name)))
