"""Trains an adapter of the model in a folder, going on from what it finds.

Arguments: the model, the adapter, and a launch_config where several processes train.
"""

import sys
from pathlib import Path

from advisor.data.dataset import DatasetCard, Example, Split, Task, TrainingView
from finetune.launch import read_launch_config
from finetune.progress import TrainingEvent
from finetune.recipe import TuningRecipe
from finetune.tuned_model import train_adapter
from lm.local.huggingface import load_huggingface_model

N_EPOCHS = 6


def example(i: int, split: Split) -> Example:
    return Example(f"{split}{i}", f"Which number has thing {i}?", (f"{i * 7}",), (), f"g{i}", split)


def tiny_view() -> TrainingView:
    card = DatasetCard("tiny", Task.QUESTION_ANSWERING, "en", "CC0-1.0", ("exact_match",), "Numbers.", "Answer.")
    train = tuple(example(i, Split.TRAIN) for i in range(48))
    return TrainingView(card, (), train, tuple(example(i, Split.VALIDATION) for i in range(8)))


def main() -> None:
    base, out, *config = map(Path, sys.argv[1:])
    launch = read_launch_config(config[0]) if config else None
    model = load_huggingface_model(base, name="tiny", device="cpu", dtype="float32")
    recipe = TuningRecipe(max_epochs=N_EPOCHS, patience=N_EPOCHS, batch_size=8, prompt_dropout=0.3)

    def tell(event: TrainingEvent) -> None:
        sys.stdout.write(f"step {event.step}\n")
        sys.stdout.flush()

    train_adapter(model, tiny_view(), recipe, out, on_event=tell, launch=launch)


if __name__ == "__main__":
    main()
