"""Skills of a checkpoint: `python -m lm.pocket.evaluate [--checkpoint FOLDER] [--text FOLDER] [--n 100]`.

Prints one row a skill: share right with its 95 % Wilson interval. Greedy decoding, at most 24 new tokens, prompts as
the project lays them out. Rows on SQuAD-style validation contexts need `--text`.
"""

import argparse
import json
import re
import statistics
import string
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lm.errors import LanguageModelError
from lm.pocket.held_out import (
    HeldOutSource,
    Item,
    closed_book_items,
    label_items,
    reading_turn,
    written_items,
    written_unanswerable_items,
)
from lm.pocket.passages import ABSTENTION
from lm.pocket.real_text import read_contexts

CHECKPOINT = Path(__file__).with_name("checkpoint")
FEW_SHOT_ROW = "labels of unseen themes, gain of 12 worked examples over none, paired"


@dataclass(frozen=True)
class Skill:
    """A measured row: `n_right` of `n` items.

    Attributes:
        f1: mean token F1 over answerable items; None if there are none.
        answered: share of the answerable items with another reply than the abstention; None if there are none.
    """

    name: str
    n_right: int
    n: int
    f1: float | None = None
    answered: float | None = None

    @property
    def share(self) -> float:
        """Share right."""
        return self.n_right / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the share."""
        return wilson(self.n_right, self.n)


def wilson(n_right: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson score interval of a proportion (Wilson 1927)."""
    share = n_right / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def normalised(text: str) -> str:
    """Lower case without punctuation at the ends, articles and leading prepositions."""
    words = [word.strip(string.punctuation) for word in text.lower().split()]
    kept = [word for word in words if word and word not in ("a", "an", "the")]
    while len(kept) > 1 and kept[0] in ("in", "on", "at", "after", "by", "for"):
        kept = kept[1:]
    return " ".join(kept)


def token_f1(given: str, wanted: str) -> float:
    """Harmonic mean of token precision and recall (Rajpurkar et al. 2016)."""
    ours, theirs = Counter(normalised(given).split()), Counter(normalised(wanted).split())
    common = sum((ours & theirs).values())
    return 2 * common / (ours.total() + theirs.total()) if common else 0.0


def load(checkpoint: Path) -> tuple[Any, Any]:
    """Model and tokenizer of a local folder, never from a hub.

    Raises:
        LanguageModelError: the folder has no model.
    """
    if not (checkpoint / "config.json").exists():
        raise LanguageModelError(f"no model in {checkpoint}: give the folder that holds config.json")
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, padding_side="left", local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, local_files_only=True)
    return model.eval(), tokenizer


@torch.no_grad()
def answers_to(
    items: Sequence[Item], model: Any, tokenizer: Any, batch_size: int = 8, max_new_tokens: int = 24
) -> list[str]:
    """Greedy answers, in order."""
    replies: list[str] = [""] * len(items)
    order = sorted(range(len(items)), key=lambda i: sum(len(text) for _, text in items[i].turns))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        chats = [[{"role": role, "content": text} for role, text in items[i].turns] for i in chosen]
        prompts = [tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
        batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        generated = model.generate(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        texts = tokenizer.batch_decode(generated[:, batch.input_ids.shape[1] :], skip_special_tokens=True)
        for i, text in zip(chosen, texts, strict=True):
            replies[i] = text.strip()
    return replies


def measure(name: str, items: Sequence[Item], model: Any, tokenizer: Any) -> Skill:
    """Exact match, and over the answerable items token F1 and the share answered at all."""
    replies = answers_to(items, model, tokenizer)
    n_right = sum(is_right(reply, item) for reply, item in zip(replies, items, strict=True))
    answerable = [(r, item) for r, item in zip(replies, items, strict=True) if ABSTENTION not in item.answers]
    if not answerable:
        return Skill(name, n_right, len(items))
    f1 = sum(max(token_f1(reply, answer) for answer in item.answers) for reply, item in answerable)
    n_answered = sum(normalised(reply) != normalised(ABSTENTION) for reply, _ in answerable)
    return Skill(name, n_right, len(items), f1 / len(answerable), n_answered / len(answerable))


def is_right(reply: str, item: Item) -> bool:
    """Whether the reply equals one of the item's answers after normalisation."""
    return any(normalised(reply) == normalised(answer) for answer in item.answers)


def gain(fewer: Sequence[bool], more: Sequence[bool]) -> tuple[float, float, float]:
    """Mean difference of paired outcomes, `more` less `fewer`, with its 95 % normal interval."""
    differences = [float(b) - float(a) for a, b in zip(fewer, more, strict=True)]
    mean = statistics.fmean(differences)
    half = 1.959964 * statistics.stdev(differences) / len(differences) ** 0.5
    return mean, mean - half, mean + half


def skill_items(n: int, text: Path | None) -> dict[str, list[Item]]:
    """All sets of items, each of at most `n`."""
    sets: dict[str, list[Item]] = {}
    for k in (1, 3, 5):
        source = HeldOutSource(70 + k)
        sets[f"reading, everything unseen, {k} passages"] = [source.item(k, answerable=True) for _ in range(n)]
    for k in (1, 3, 5):
        sets[f"reading, hand-written prose, {k} passages"] = written_items(k)[:n]
    if text is not None:
        contexts = read_contexts(text / "validation.jsonl.gz")
        asked = [(context, question, answer) for context in contexts for question, answer in context.questions]
        titled = [(f"{c.title}: {c.text}" if c.title else c.text, q, a) for c, q, a in asked]
        answerable = [Item((reading_turn((t,), q),), (a,)) for t, q, a in titled if a]
        unanswerable = [Item((reading_turn((t,), q),), (ABSTENTION,)) for t, q, a in titled if not a]
        sets["reading, SQuAD-style validation"] = answerable[: 2 * n]
        sets["abstains, SQuAD 2.0 validation"] = unanswerable[:n]
    for k in (1, 3):
        source = HeldOutSource(170 + k)
        sets[f"abstains, attribute not stated, {k} passages"] = [
            source.item(k, answerable=False) for _ in range(n // 2)
        ]
    sets["abstains, hand-written prose, 3 passages"] = written_unanswerable_items(3)
    sets["abstains, no passages"] = closed_book_items(n // 2)
    for shots in (0, 4, 12):
        sets[f"labels of unseen themes, {shots} worked examples"] = label_items(n, shots)
    return sets


def tokens_per_second(model: Any, tokenizer: Any, batch_size: int, new_tokens: int = 64) -> tuple[float, int]:
    """New tokens a second for prompts of three passages, prefill included, and the tokens of the longest prompt."""
    source = HeldOutSource(1)
    turns = [source.item(3, answerable=True).turns for _ in range(batch_size)]
    chats = [[{"role": role, "content": text} for role, text in chat] for chat in turns]
    prompts = [tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
    batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
    options = {"do_sample": False, "pad_token_id": tokenizer.pad_token_id, "attention_mask": batch.attention_mask}
    with torch.no_grad():
        model.generate(batch.input_ids, max_new_tokens=2, **options)
        started = time.perf_counter()
        model.generate(batch.input_ids, max_new_tokens=new_tokens, min_new_tokens=new_tokens, **options)
    return batch_size * new_tokens / (time.perf_counter() - started), batch.input_ids.shape[1]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--text", type=Path, help="folder with validation.jsonl.gz")
    parser.add_argument("--n", type=int, default=100, help="items a skill")
    parser.add_argument("--only", default="", help="regular expression of the skills to measure")
    parser.add_argument("--speed", action="store_true", help="tokens a second too")
    arguments = parser.parse_args()
    model, tokenizer = load(arguments.checkpoint)
    write = sys.stdout.write
    n_parameters = sum(p.numel() for p in model.parameters())
    size = (arguments.checkpoint / "model.safetensors").stat().st_size
    write(f"{json.dumps({'checkpoint': str(arguments.checkpoint), 'parameters': n_parameters, 'bytes': size})}\n")
    write("| skill | right | 95 % interval | token F1 | answered | n |\n| --- | --- | --- | --- | --- | --- |\n")
    for name, items in skill_items(arguments.n, arguments.text).items():
        if re.search(arguments.only, name):
            skill = measure(name, items, model, tokenizer)
            low, high = skill.interval
            f1, answered = ("" if share is None else f"{share:.2f}" for share in (skill.f1, skill.answered))
            write(f"| {name} | {skill.share:.2f} | {low:.2f}-{high:.2f} | {f1} | {answered} | {skill.n} |\n")
            sys.stdout.flush()
    if re.search(arguments.only, FEW_SHOT_ROW):
        outcomes = []
        for shots in (0, 12):
            items = label_items(2 * arguments.n, shots)
            replies = answers_to(items, model, tokenizer)
            outcomes.append([is_right(reply, item) for reply, item in zip(replies, items, strict=True)])
        mean, low, high = gain(*outcomes)
        write(f"| {FEW_SHOT_ROW} | {mean:+.2f} | {low:+.2f} to {high:+.2f} | | | {2 * arguments.n} |\n")
    if arguments.speed:
        for dtype in (torch.float32, torch.bfloat16):
            model = model.to(dtype)
            for batch_size in (1, 16):
                speed, n_prompt = tokens_per_second(model, tokenizer, batch_size)
                write(f"{dtype}, batch of {batch_size}, prompts of {n_prompt} tokens: {speed:.0f} new tokens/s\n")


if __name__ == "__main__":
    main()
