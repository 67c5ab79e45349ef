"""Can the model be tuned? `python -m lm.pocket.tunability [--checkpoint FOLDER]`: LoRA on facts it cannot know.

Facts about invented things (held-out attributes) are taught as question and answer in two wordings, then asked
closed-book in a third. The base model must abstain; the tuned one should answer.
"""

import argparse
import random
import sys
import time
from pathlib import Path
from typing import Any

import torch

from lm.pocket.evaluate import CHECKPOINT, answers_to, load, normalised
from lm.pocket.held_out import HeldOutSource, Item, reading_turn
from lm.pocket.passages import capitalised


def facts(n: int, seed: int = 0) -> list[tuple[list[str], str]]:
    """(three wordings of a question, answer) about things with different names."""
    source = HeldOutSource(seed)
    drawn: dict[tuple[str, str], tuple[list[str], str]] = {}
    while len(drawn) < n:
        attribute, entity = source.rng.choice(source.attributes), source.entity()
        wordings = [question.replace("{e}", entity) for question in attribute.questions[:2]]
        wordings.append(f"Please tell me the {attribute.nouns[0]} of {entity}.")
        key = (entity, attribute.key)
        drawn.setdefault(key, ([capitalised(w) for w in wordings], source.values.value(attribute.kind)))
    return list(drawn.values())


def tuned(model: Any, tokenizer: Any, rows: list[tuple[str, str]], *, epochs: int, rate: float, seed: int = 0) -> Any:
    """The model with a LoRA adapter (rank 16, all linear layers) trained on the answers of (question, answer) rows."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    rng = random.Random(seed)
    wrapped = get_peft_model(
        model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    ).train()
    examples = []
    for question, answer in rows:
        user = {"role": "user", "content": reading_turn((), question)[1]}
        asked = tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
        n_prompt = len(tokenizer(asked, add_special_tokens=False).input_ids)
        ids = tokenizer(f"{asked} {answer}{tokenizer.eos_token}", add_special_tokens=False).input_ids
        examples.append((ids, n_prompt))
    parameters = [p for p in wrapped.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
    n_steps = epochs * -(-len(examples) // 16)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.05, 1 - step / n_steps))
    for _ in range(epochs):
        rng.shuffle(examples)
        for start in range(0, len(examples), 16):
            batch = examples[start : start + 16]
            width = max(len(ids) for ids, _ in batch)
            ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in batch])
            labels = torch.tensor([[-100] * n + ids[n:] + [-100] * (width - len(ids)) for ids, n in batch])
            mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in batch])
            wrapped(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return wrapped.eval()


def share_right(model: Any, tokenizer: Any, asked: list[tuple[str, str]]) -> float:
    """Share of (question, answer) pairs answered exactly, closed-book."""
    items = [Item((reading_turn((), question),), (answer,)) for question, answer in asked]
    replies = answers_to(items, model, tokenizer, batch_size=32)
    right = [normalised(reply) == normalised(answer) for reply, (_, answer) in zip(replies, asked, strict=True)]
    return sum(right) / len(right)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--facts", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=3e-3)
    arguments = parser.parse_args()
    model, tokenizer = load(arguments.checkpoint)
    drawn = facts(arguments.facts)
    taught = [(wordings[i], answer) for wordings, answer in drawn for i in (0, 2)]
    reworded = [(wordings[1], answer) for wordings, answer in drawn]
    sys.stdout.write(f"base model, closed book: {share_right(model, tokenizer, reworded):.2f}\n")
    started = time.perf_counter()
    adapted = tuned(model, tokenizer, taught, epochs=arguments.epochs, rate=arguments.rate)
    sys.stdout.write(f"tuned on {len(taught)} rows, {arguments.epochs} epochs, {time.perf_counter() - started:.0f} s\n")
    sys.stdout.write(f"wordings taught: {share_right(adapted, tokenizer, taught):.2f}\n")
    sys.stdout.write(f"another wording: {share_right(adapted, tokenizer, reworded):.2f}\n")


if __name__ == "__main__":
    main()
