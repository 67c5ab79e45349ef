"""Writes an arm for a target: the target's own files, a README of exact commands, and hashes of all of it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lm.completion import chat_rows
from lm.errors import ConfigError
from lm.files import hash_file, staged_directory
from service.handover.targets import TARGETS

if TYPE_CHECKING:
    from service.handover.winner import Winner

README = "README.md"
MANIFEST = "handover.json"
_VERSIONS = ("torch", "transformers", "peft", "safetensors", "sentence-transformers", "tuning-fork")


def hand_over(winner: "Winner", target_name: str, folder: Path) -> Path:
    """Write an arm in a target's form; the folder appears whole or not at all.

    Args:
        folder: New, or empty.
    Returns:
        The README.
    Raises:
        ConfigError: there is no such target, the folder holds something, or the arm does not suit the target.
    """
    check_target(target_name, folder)
    target = TARGETS[target_name]
    with staged_directory(folder) as staged:
        body = target.write(winner, staged)
        files = {
            path.relative_to(staged).as_posix(): {"bytes": path.stat().st_size, "sha256": hash_file(path)}
            for path in sorted(staged.rglob("*"))
            if path.is_file()
        }
        manifest = {
            "target": target_name,
            "comparison": winner.comparison.id,
            "arm": winner.arm,
            "pipeline_fingerprint": winner.pipeline.fingerprint,
            "model": winner.comparison.model,
            "dataset": winner.dataset.card.name,
            "dataset_hash": winner.comparison.dataset_hash,
            "versions": _versions(),
            "files": files,
        }
        (staged / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (staged / README).write_text(_readme(winner, target_name, body), encoding="utf-8")
    return folder / README


def check_target(target_name: str, folder: Path) -> None:
    """Refuse what cannot be written, before anything is loaded.

    Raises:
        ConfigError: there is no such target, or the folder holds something.
    """
    if target_name not in TARGETS:
        raise ConfigError(f"there is no target {target_name!r}; give one of {', '.join(TARGETS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and holds something; give a new folder")


def _readme(winner: "Winner", target_name: str, body: str) -> str:
    comparison = winner.comparison
    arm = next(arm for arm in comparison.arms if arm.id == winner.arm)
    metric = comparison.recommendation.metric
    summary = arm.metric(metric)
    interval = summary.interval if summary is not None else None
    score = "not scored"
    if interval is not None:
        score = f"{metric} {interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
    prompt = "\n".join(f"{turn['role']}: {turn['content']}" for turn in chat_rows(winner.probes()[0]))
    fence = "`" * max(3, 1 + _longest_run(prompt, "`"))
    note = f"{winner.texts_note}\n\n" if winner.texts_note else ""
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    return f"""# {winner.name} for {target_name}: {TARGETS[target_name].description}

The arm `{winner.arm}` ({arm.label}) of the comparison `{comparison.id}` on `{winner.dataset.card.name}`: {score}.
That figure is of the arm as it was measured, before this conversion.

{body.strip()}

## Prompt

It was measured with exactly this form of prompt, answers of at most {winner.pipeline.generation.max_output_tokens}
tokens, and greedy decoding{_held_to(winner)}. One prompt:

{fence}text
{prompt}
{fence}

## Provenance

{note}Versions at the hand-over: {versions}. `{MANIFEST}` has the size and SHA-256 of every file. Data and
texts come under the licence of the dataset ({winner.dataset.card.licence}), weights under that of the base model.
"""


def _held_to(winner: "Winner") -> str:
    if winner.pipeline.generation.constraint is None:
        return ""
    return ", held to the labels or the schema of the dataset while decoding; without that, answers may differ"


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in _VERSIONS}


def _longest_run(text: str, character: str) -> int:
    longest = run = 0
    for one in text:
        run = run + 1 if one == character else 0
        longest = max(longest, run)
    return longest
