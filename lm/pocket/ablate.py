"""What each choice of the recipe is worth: `python -m lm.pocket.ablate --text FOLDER --out FOLDER [--steps 800]`.

Trains a model of each variant from the start on the same conversations and prints how many tokens it took until answers
are copied, and the answers' loss on fixed questions, on trained and on held-out attributes. Short runs tell which
variant learns sooner, not which is best in the end.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from transformers import AutoModelForCausalLM

from lm.pocket.held_out import HeldOutSource
from lm.pocket.packing import Packer
from lm.pocket.real_text import read_real_text
from lm.pocket.train import Recipe, answer_logits, first_exchange, train

BASE = Recipe(first_stage_until=1.0, second_stage_until=1.0, decay=0.2)
RANDOM = replace(BASE, semantic=False, embedding_scale=1.0)
VARIANTS = {
    "the recipe": BASE,
    "the recipe, embeddings at the full rate": replace(BASE, embedding_scale=1.0),
    "random embeddings at the full rate": RANDOM,
    "attention only": replace(BASE, layers="aaaaa"),
    "random embeddings at the full rate, attention only": replace(RANDOM, layers="aaaaa"),
    "vocabulary of 16,384": replace(BASE, vocabulary_size=16384),
    "9 layers of 192": replace(BASE, layers="cacacacaa", hidden_size=192, n_heads=3, intermediate_size=480),
}
Row = tuple[list[int], list[int]]
"""(token ids, target classes)"""


def tokens_until_copying(log: str) -> float | None:
    """Million tokens after which a training log is first in its second stage; None if it never is."""
    found = re.search(r"tokens ([\d.]+)M \d+s stage 1", log)
    return float(found[1]) if found else None


def nats_per_answer(model: Any, rows: Sequence[Row]) -> tuple[float, float]:
    """Mean and standard error of the negative log-probability of whole answers: comparable across vocabularies."""
    losses = []
    for row in rows:
        logits, targets = answer_logits(model, row)
        losses.append(F.cross_entropy(logits.float(), targets, reduction="sum"))
    nats = torch.stack(losses)
    return float(nats.mean()), float(nats.std() / len(nats) ** 0.5)


def questions(packer: Packer, n: int) -> tuple[list[Row], list[Row]]:
    """Rows with one question on one short passage: `n` on trained attributes, `n` on held-out ones."""
    trained = [packer.encode(first_exchange(packer.source.invented_reading(1, 20))) for _ in range(n)]
    source = HeldOutSource(1)
    items = [source.item(1, answerable=True, n_words=20) for _ in range(n)]
    return trained, [packer.encode([*item.turns, ("assistant", item.answers[0])]) for item in items]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path, required=True, help="folder of the real text")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--steps", type=int, default=800, help="of each run")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--n", type=int, default=300, help="questions of each sort")
    parser.add_argument("--only", default="", help="regular expression of the variants to train")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    write = sys.stdout.write
    write("| variant | million tokens until copying | nats per answer, trained attributes | held-out attributes |\n")
    write("| --- | --- | --- | --- |\n")
    real = read_real_text(arguments.text)
    for name, recipe in VARIANTS.items():
        if not re.search(arguments.only, name):
            continue
        out = arguments.out / re.sub(r"\W+", "_", name)
        folder = train(arguments.text, out, recipe=recipe, n_steps=arguments.steps, save_every_s=10**9)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
        packer = Packer(folder / "tokenizer.json", 987_655, real)
        cells = [
            f"{mean:.2f} ± {error:.2f}"
            for mean, error in (nats_per_answer(model, rows) for rows in questions(packer, arguments.n))
        ]
        copying = tokens_until_copying((out / "log.txt").read_text(encoding="utf-8"))
        write(f"| {name} | {f'{copying:.1f}' if copying else 'not reached'} | {' | '.join(cells)} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
