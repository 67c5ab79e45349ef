"""Searches a recipe for the model in a folder, going on from what it finds. Arguments: model, folder of the search."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from advisor.results.answer import BuildUsage
from finetune.progress import EpochResult, TrainingEvent
from finetune.recipe import TuningRecipe
from finetune.search import RECORD, search_recipe
from finetune.tuned_model import train_adapter
from lm.local.huggingface import load_huggingface_model
from tests.chaos.training_process import tiny_view

N_TRIALS = 6


def main() -> None:
    base, out = map(Path, sys.argv[1:])
    model = load_huggingface_model(base, name="tiny", device="cpu", dtype="float32")

    def train(
        recipe: TuningRecipe, on_event: Callable[[TrainingEvent], None]
    ) -> tuple[Sequence[EpochResult], BuildUsage]:
        def tell(event: TrainingEvent) -> None:
            sys.stdout.write(f"step {event.step}\n")
            sys.stdout.flush()
            on_event(event)

        record = train_adapter(model, tiny_view(), recipe, out / recipe.hash, on_event=tell)
        return record.epochs, record.build_usage

    search_recipe(train, TuningRecipe(max_epochs=2, r=4, lora_alpha=8), 5e-3, N_TRIALS, out / RECORD)


if __name__ == "__main__":
    main()
