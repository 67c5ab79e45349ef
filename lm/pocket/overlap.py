"""Do the bundled data sets share text with the training text?

Command: `python -m lm.pocket.overlap --text FOLDER --datasets DIR`.

Counts, for every data set, the documents and questions that share a run of 8 words with the real text or with freshly
generated conversations.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from lm.pocket.conversations import ConversationSource
from lm.pocket.neighbours import word_neighbours
from lm.pocket.real_text import read_real_text

N_WORDS = 8


def runs(text: str, n_words: int = N_WORDS) -> set[tuple[str, ...]]:
    """All runs of `n_words` lower-case words of a text."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + n_words]) for i in range(len(words) - n_words + 1)}


def dataset_texts(folder: Path) -> Iterator[str]:
    """Every string of the JSON lines files below a folder."""
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                yield from _strings(json.loads(line))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def shared(texts: Iterable[str], trained: set[tuple[str, ...]]) -> tuple[int, list[str]]:
    """How many texts are long enough to compare, and those that share a run."""
    n_compared, hits = 0, []
    for text in texts:
        own = runs(text)
        n_compared += bool(own)
        if own & trained:
            hits.append(text)
    return n_compared, hits


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path, required=True, help="folder of the real training text")
    parser.add_argument("--datasets", type=Path, default=Path("datasets"), help="folder of the bundled data sets")
    parser.add_argument("--conversations", type=int, default=20_000, help="generated conversations to compare with")
    arguments = parser.parse_args()
    real = read_real_text(arguments.text)
    real = replace(real, neighbours=word_neighbours(real.open_words))
    trained: set[tuple[str, ...]] = set()
    for _, text in real.paragraphs:
        trained |= runs(text)
    for context in real.contexts:
        trained |= runs(context.text)
        for question, _ in context.questions:
            trained |= runs(question)
    source = ConversationSource(4711, real)
    for i in range(arguments.conversations):
        for _, text in source.conversation(1 + i % 2, 250):
            trained |= runs(text)
    for folder in sorted(path for path in arguments.datasets.iterdir() if path.is_dir()):
        n_compared, hits = shared(dataset_texts(folder), trained)
        sys.stdout.write(f"{folder.name}: {len(hits)} of {n_compared} texts share {N_WORDS} words in a row\n")
        for text in hits[:5]:
            sys.stdout.write(f"    {text[:160]!r}\n")


if __name__ == "__main__":
    main()
