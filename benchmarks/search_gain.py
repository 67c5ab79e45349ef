"""Whether a search for a recipe beats the default one on questions that it never saw.

    python -m benchmarks.search_gain
    python -m benchmarks.search_gain --n-trials 4 --n-rows 48 --epochs 1 --n-questions 40

Trials are trained and judged as in `tuningfork compare --search`; then the recipe as it was set, and the chosen one,
answer the same test questions.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from advisor.data.dataset import TrainingView
from advisor.data.files import load_dataset
from advisor.data.prompt import QuestionOnly
from benchmarks.tuning_methods import DATASETS, questions
from finetune.progress import TrainingEvent
from finetune.recipe import TuningRecipe
from finetune.search import best_trial, search_recipe
from finetune.tuned_model import peak_rate, train_adapter
from lm.completion import GenerationConfig
from lm.local.huggingface import HuggingFaceModel
from lm.registry import load_language_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--dataset", action="append", help="ticket-triage and claims-to-json if not given")
    parser.add_argument("--n-trials", type=int, default=12)
    parser.add_argument("--n-rows", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--n-questions", type=int, default=100)
    given = parser.parse_args()
    model = load_language_model(given.model)
    assert isinstance(model, HuggingFaceModel)
    for name in given.dataset or ["ticket-triage", "claims-to-json"]:
        dataset = load_dataset(DATASETS / name)
        view = dataset.training_view()
        view = TrainingView(view.card, view.documents, view.train[: given.n_rows], view.validation[: given.n_rows // 3])
        asked = questions(dataset)[: given.n_questions]
        prompts = [e.question for e in asked]
        with tempfile.TemporaryDirectory() as folder:

            def place(recipe: TuningRecipe, folder: str = folder) -> Path:
                return Path(folder) / recipe.hash

            def train(
                recipe: TuningRecipe, on_event: Callable[[TrainingEvent], None], view: TrainingView = view
            ) -> tuple[Any, Any]:
                record = train_adapter(model, view, recipe, place(recipe), on_event=on_event)
                return record.epochs, record.build_usage

            start = TuningRecipe(max_epochs=given.epochs)
            trials = search_recipe(train, start, peak_rate(model, start), given.n_trials, Path(folder) / "trials.json")
            best = best_trial(trials)
            right = []
            for recipe in (start, best.recipe):
                tuned = model.with_adapter(place(recipe), "tuned")
                built = QuestionOnly(dataset.card.instruction).build(prompts, tuned, dataset.card.max_output_tokens)
                answers = tuned.generate(
                    [prompt.messages for prompt in built],
                    GenerationConfig(max_output_tokens=dataset.card.max_output_tokens),
                )
                right.append([answer.text in e.answers for answer, e in zip(answers, asked, strict=True)])
                tuned.close()
        for i, trial in enumerate(trials, 1):
            print(
                f"  {i}: rate {trial.learning_rate:.2g}, r {trial.recipe.r}, batch {trial.recipe.batch_size}, "
                f"epochs {len(trial.epoch_scores)} of {trial.recipe.max_epochs}, score {trial.score or 0:.3f}"
                f"{', pruned' if trial.pruned else ''}{', chosen' if trial is best else ''}"
            )
        shares = np.array(right, np.float64).mean(axis=1)
        print(f"{name}: as set {shares[0]:.0%}, searched {shares[1]:.0%} right of {len(asked)}", flush=True)


if __name__ == "__main__":
    main()
