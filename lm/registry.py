"""Every language model that can be named, and how it is loaded: one visible table.

A new provider is a class that speaks `lm.language_model.LanguageModel` and one row in `SCHEMES`, here or by an entry
point of another package. Nothing heavy is imported before a model is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lm.errors import ConfigError, MissingDependencyError
from lm.language_model import LanguageModel
from lm.plugins import Table
from lm.weights.embedded_model import EMBEDDED_MODEL, EMBEDDED_PARAMETERS, locate_embedded_model
from lm.weights.gguf_cache import locate_converted

RETIRED = frozenset({"pocket"})
"""Models that were shipped once; comparisons made with them keep their reports."""

_LOCAL_PACKAGES = frozenset({"torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "jinja2"})
_LOCAL_INSTALL = "pip install torch transformers"


class RetiredModelError(ConfigError):
    """The model came with an earlier version of the program and no longer does."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What a caller may ask of a model besides its name; a kind of model reads what applies to it.

    Attributes:
        device: `cpu`, `cuda`, ...; a GPU if there is one. Local models.
        dtype: `float32`, `bfloat16` or `float16`; chosen by hardware if not given. Local models.
        trust_remote_code: Run Python code that comes with a model. Local models.
        revision: Branch, tag or commit. Hub models.
        context_tokens: Longest prompt and answer together. Remote models, which do not tell.
    """

    device: str | None = None
    dtype: str | None = None
    trust_remote_code: bool = False
    revision: str | None = None
    context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Scheme:
    """One kind of model: what is before the colon of a spec.

    Attributes:
        load: Takes what is after the colon, and the options.
        packages: Import names it needs; one of them missing is the user's to install.
        install: The command that brings them.
        is_local: Whether its weights are files here, which name it; otherwise its spec does, and it cannot be tuned.
    """

    spec: str
    description: str
    runs_on: str
    load: Callable[[str, LoadOptions], LanguageModel]
    packages: frozenset[str] = frozenset()
    install: str = ""
    is_local: bool = False


@dataclass(frozen=True, slots=True)
class KnownModel:
    """One row of `tuningfork models`.

    Attributes:
        name: What to type; words in capitals stand for a choice.
        parameters: How many, None if it depends on the choice.
    """

    name: str
    kind: str
    description: str
    runs_on: str
    parameters: int | None


def load_language_model(spec: str, options: LoadOptions | None = None) -> LanguageModel:
    """Load the model a spec names.

    Args:
        spec: `smollm2`; `hf:ID_OR_PATH`, or the bare path or `org/name`; `gguf:PATH`, or the bare path of a file
            that ends in .gguf; `openai:MODEL`, at OPENAI_BASE_URL or at `openai:MODEL@http://host:port/v1`.
    Raises:
        ConfigError: no kind of model is called so.
        LanguageModelError: the model cannot be loaded.
        MissingDependencyError: a package it needs is not installed.
    """
    scheme_name, rest = parse_spec(spec)
    scheme = SCHEMES[scheme_name]
    try:
        return scheme.load(rest, options or LoadOptions())
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in scheme.packages:
            raise
        raise MissingDependencyError(
            f"the model {spec!r} needs the package {error.name!r}, which is not installed: {scheme.install}"
        ) from error


def known_models() -> list[KnownModel]:
    """What can be named, in the order of the table."""
    return [
        KnownModel(
            scheme.spec,
            name,
            scheme.description,
            scheme.runs_on,
            EMBEDDED_PARAMETERS if name == EMBEDDED_MODEL else None,
        )
        for name, scheme in SCHEMES.items()
    ]


def parse_spec(spec: str) -> tuple[str, str]:
    """The kind of model a spec names, a key of `SCHEMES`, and what is after the colon. Nothing is loaded.

    Raises:
        ConfigError: no kind of model is called so; RetiredModelError: one was.
    """
    if (path := gguf_path(spec)) is not None:
        return "gguf", str(path)
    name, colon, rest = spec.strip().partition(":")
    if name in SCHEMES and bool(colon) != (name == EMBEDDED_MODEL) and bool(rest.strip()) == bool(colon):
        return name, rest.strip()
    is_path = spec.startswith((".", "/", "~")) or Path(spec).is_dir()
    if spec and name not in SCHEMES and (is_path or (not colon and spec.count("/") == 1)):
        return "hf", spec
    if spec in RETIRED:
        raise RetiredModelError(f"the model {spec!r} is no longer shipped; choose {EMBEDDED_MODEL}, the embedded model")
    if name in SCHEMES.broken:
        raise ConfigError(SCHEMES.broken[name])
    possible = ", ".join(f"`{scheme.spec}`" for scheme in SCHEMES.values())
    raise ConfigError(f"unknown model {spec!r}; possible are {possible}, a folder like `./my-model`, or `org/name`")


def is_tunable(spec: str) -> bool:
    """Whether the model a spec names has its weights here, so that it can be tuned. Nothing is loaded.

    Raises:
        ConfigError: no kind of model is called so.
    """
    return SCHEMES[parse_spec(spec)[0]].is_local


def gguf_path(spec: str) -> Path | None:
    """The GGUF file a spec names, as `gguf:PATH` or by a bare path that ends in .gguf; None if it names another."""
    name, colon, rest = spec.strip().partition(":")
    if name == "gguf" and rest.strip():
        return Path(rest.strip()).expanduser()
    return Path(name).expanduser() if not colon and name.endswith(".gguf") else None


def _load_embedded(rest: str, options: LoadOptions) -> LanguageModel:
    from lm.local.huggingface import load_huggingface_model

    folder, name = locate_embedded_model()
    return load_huggingface_model(folder, name=name, device=options.device, dtype=options.dtype)


def _load_gguf(rest: str, options: LoadOptions) -> LanguageModel:
    from lm.local.huggingface import load_huggingface_model

    folder = locate_converted(Path(rest))
    return load_huggingface_model(folder, name=f"gguf:{Path(rest).name}", device=options.device, dtype=options.dtype)


def _load_huggingface(rest: str, options: LoadOptions) -> LanguageModel:
    from lm.local.huggingface import load_huggingface_model

    return load_huggingface_model(
        rest,
        device=options.device,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
        revision=options.revision,
    )


def _load_openai(rest: str, options: LoadOptions) -> LanguageModel:
    from lm.endpoint.openai_compatible import OpenAICompatibleModel

    model, _, base_url = rest.partition("@")
    return OpenAICompatibleModel(model, base_url=base_url or None, context_tokens=options.context_tokens)


_OWN = {
    EMBEDDED_MODEL: Scheme(
        spec=EMBEDDED_MODEL,
        description="the embedded model, SmolLM2-135M-Instruct: small, and quickly tuned on a CPU",
        runs_on="this machine",
        load=_load_embedded,
        packages=_LOCAL_PACKAGES | {"gguf"},
        install=f"{_LOCAL_INSTALL} gguf",
        is_local=True,
    ),
    "hf": Scheme(
        spec="hf:ID_OR_PATH",
        description="any causal language model of the Hugging Face hub or in a folder, as safetensors",
        runs_on="this machine",
        load=_load_huggingface,
        packages=_LOCAL_PACKAGES,
        install=_LOCAL_INSTALL,
        is_local=True,
    ),
    "gguf": Scheme(
        spec="gguf:PATH",
        description="any GGUF file of an architecture that transformers reads, dequantised once",
        runs_on="this machine",
        load=_load_gguf,
        packages=_LOCAL_PACKAGES | {"gguf"},
        install=f"{_LOCAL_INSTALL} gguf",
        is_local=True,
    ),
    "openai": Scheme(
        spec="openai:MODEL[@BASE_URL]",
        description="any OpenAI-compatible endpoint: OpenAI, Azure OpenAI, vLLM, Ollama, llama.cpp",
        runs_on="the endpoint",
        load=_load_openai,
        packages=frozenset({"openai", "httpx2"}),
        install="pip install 'openai>=3.3'",
    ),
}
SCHEMES: Table[Scheme] = Table("tuning_fork.models", _OWN)
"""Scheme to loader."""
