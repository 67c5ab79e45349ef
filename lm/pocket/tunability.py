"""Can the model be tuned? `python -m lm.pocket.tunability [--checkpoint FOLDER] [--only REGEX] [--labels FILE]`.

LoRA (rank 16, all linear layers) on tasks that the base model cannot do:

- facts about invented things (held-out attributes), taught as questions and answers without passages in two or four
  wordings, then asked in another one;
- messages sorted into labels, rows of a bundled data set: tuned on its train split, asked on its test split;
- five values of a text as JSON, texts of held-out attributes.
"""

import argparse
import json
import random
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lm.pocket.evaluate import CHECKPOINT, answers_to, load, normalised, wilson
from lm.pocket.held_out import HeldOutSource, Item, reading_turn
from lm.pocket.passages import capitalised
from lm.pocket.train import fast_convolutions

LABELS = Path("datasets/ticket-triage/questions.jsonl")
_TAUGHT_WORDINGS = (0, 2, 3, 4)
_ASKED_WORDING = 1

Row = tuple[str, str]
"""(user turn, answer)"""


@dataclass(frozen=True)
class Task:
    """Rows to tune on, and rows to ask afterwards.

    Attributes:
        max_new_tokens: length of the longest answers.
        is_json: whether answers are objects, of which the share that is valid counts too.
    """

    name: str
    taught: tuple[Row, ...]
    asked: tuple[Row, ...]
    epochs: int
    rate: float = 3e-3
    max_new_tokens: int = 24
    is_json: bool = False


def facts(n: int, seed: int = 0) -> list[tuple[list[str], str]]:
    """(five wordings of a question, answer) about things with different names."""
    source = HeldOutSource(seed)
    drawn: dict[tuple[str, str], tuple[list[str], str]] = {}
    while len(drawn) < n:
        attribute, entity = source.rng.choice(source.attributes), source.entity()
        noun = attribute.nouns[0]
        wordings = [question.replace("{e}", entity) for question in attribute.questions[:2]]
        wordings += [
            f"Please tell me the {noun} of {entity}.",
            f"I need to know the {noun} of {entity}.",
            f"{entity}: {noun}?",
        ]
        key = (entity, attribute.key)
        drawn.setdefault(key, ([capitalised(w) for w in wordings], source.values.value(attribute.kind)))
    return list(drawn.values())


def facts_task(n_facts: int, n_wordings: int, epochs: int) -> Task:
    """Facts in `n_wordings` wordings, asked in another one."""
    drawn = facts(n_facts)
    taught = tuple(
        (closed_book(wordings[i]), answer) for wordings, answer in drawn for i in _TAUGHT_WORDINGS[:n_wordings]
    )
    asked = tuple((closed_book(wordings[_ASKED_WORDING]), answer) for wordings, answer in drawn)
    return Task(f"{n_facts} facts in {n_wordings} wordings, asked in another wording", taught, asked, epochs)


def closed_book(question: str) -> str:
    """The user turn of a question without passages."""
    return reading_turn((), question)[1]


def labels_task(path: Path, n_taught: int, n_asked: int, epochs: int) -> Task:
    """Messages of a data set with one label each."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    by_split: dict[str, list[Row]] = {}
    for row in rows:
        prompt = f"Answer with one label.\n\nQuestion: {row['question']}"
        by_split.setdefault(row["split"], []).append((prompt, row["answers"][0]))
    # Published test splits come sorted by label.
    for split in ("train", "test"):
        random.Random(0).shuffle(by_split[split])
    taught, asked = tuple(by_split["train"][:n_taught]), tuple(by_split["test"][:n_asked])
    n_labels = len({answer for _, answer in taught})
    return Task(f"{n_labels} labels from {len(taught)} examples", taught, asked, epochs)


def records_task(n_taught: int, n_asked: int, epochs: int, n_words: int = 45) -> Task:
    """Five values of a text as JSON, the same five attributes throughout, other things and values in every text."""
    source = HeldOutSource(9)
    attributes = source.rng.sample(source.attributes, 5)
    keys = [attribute.nouns[0].replace(" ", "_") for attribute in attributes]
    rows = []
    for _ in range(n_taught + n_asked):
        values = {attribute: source.values.value(attribute.kind) for attribute in attributes}
        text = source.passage(source.entity(), values, n_words)
        record = dict(zip(keys, values.values(), strict=True))
        rows.append((f"Give {', '.join(keys)} as JSON.\n\nQuestion: {text}", json.dumps(record, ensure_ascii=False)))
    taught, asked = tuple(rows[:n_taught]), tuple(rows[n_taught:])
    return Task(f"JSON of 5 fields from {n_taught} examples", taught, asked, epochs, 1.5e-3, 160, is_json=True)


def tuned(model: Any, tokenizer: Any, rows: Sequence[Row], *, epochs: int, rate: float, seed: int = 0) -> Any:
    """The model with a LoRA adapter (rank 16, all linear layers) trained on the rows' answers."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    rng = random.Random(seed)
    wrapped = get_peft_model(
        model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    ).train()
    examples = []
    for prompt, answer in rows:
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
        )
        n_prompt = len(tokenizer(asked, add_special_tokens=False).input_ids)
        ids = tokenizer(f"{asked} {answer}{tokenizer.eos_token}", add_special_tokens=False).input_ids
        examples.append((ids, n_prompt))
    parameters = [p for p in wrapped.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
    n_steps = epochs * -(-len(examples) // 16)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.05, 1 - step / n_steps))
    with fast_convolutions():
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


def replies_to(model: Any, tokenizer: Any, rows: Sequence[Row], max_new_tokens: int = 24) -> list[str]:
    """Greedy answers to the rows' prompts."""
    items = [Item((("user", prompt),), (answer,)) for prompt, answer in rows]
    return answers_to(items, model, tokenizer, batch_size=32, max_new_tokens=max_new_tokens)


def n_right(replies: Sequence[str], rows: Sequence[Row]) -> int:
    """How many replies equal the answers after normalisation; objects are compared field by field."""
    return sum(
        same_object(reply, answer) if answer.startswith("{") else normalised(reply) == normalised(answer)
        for reply, (_, answer) in zip(replies, rows, strict=True)
    )


def same_object(reply: str, answer: str) -> bool:
    """Whether the reply is a JSON object with the answer's keys and values."""
    given = json_object(reply)
    wanted: dict[str, str] = json.loads(answer)
    return given is not None and {k: normalised(str(v)) for k, v in given.items()} == {
        k: normalised(v) for k, v in wanted.items()
    }


def json_object(text: str) -> dict[str, Any] | None:
    """The object that the text is, None if it is not valid JSON or no object."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def tasks(labels: Path) -> list[Task]:
    """All tasks that are measured."""
    return [
        facts_task(96, 2, epochs=20),
        facts_task(250, 4, epochs=12),
        labels_task(labels, 300, 320, epochs=16),
        records_task(250, 60, epochs=8),
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--only", default="", help="regular expression of the tasks to measure")
    parser.add_argument("--labels", type=Path, default=LABELS, help="questions.jsonl of a data set of labels")
    arguments = parser.parse_args()
    write = sys.stdout.write
    write("| tuning | right | 95 % interval | valid | before tuning | n | minutes | minutes of one core |\n")
    write("| --- | --- | --- | --- | --- | --- | --- | --- |\n")
    for task in tasks(arguments.labels):
        if re.search(arguments.only, task.name):
            # The adapter is built into the model it is given, so every task gets a fresh one.
            model, tokenizer = load(arguments.checkpoint)
            untuned = replies_to(model, tokenizer, task.asked[:60], task.max_new_tokens)
            clock, started = time.monotonic(), time.process_time()
            adapted = tuned(model, tokenizer, task.taught, epochs=task.epochs, rate=task.rate)
            minutes, core_minutes = (time.monotonic() - clock) / 60, (time.process_time() - started) / 60
            replies = replies_to(adapted, tokenizer, task.asked, task.max_new_tokens)
            right, n = n_right(replies, task.asked), len(task.asked)
            low, high = wilson(right, n)
            valid = f"{sum(json_object(reply) is not None for reply in replies) / n:.2f}" if task.is_json else ""
            before = n_right(untuned, task.asked[:60]) / len(untuned)
            share = f"{right / n:.2f} | {low:.2f}-{high:.2f} | {valid} | {before:.2f}"
            write(f"| {task.name} | {share} | {n} | {minutes:.1f} | {core_minutes:.1f} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
