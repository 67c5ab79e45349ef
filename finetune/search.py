"""Search for a recipe on the validation split: Optuna's TPE with median pruning. Test questions never come here."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from advisor.results.answer import BuildUsage
from finetune.errors import DivergedError, TrainingError
from finetune.methods import METHODS
from finetune.progress import EpochResult, TrainingEvent
from finetune.recipe import TuningRecipe
from finetune.train import OnEvent
from lm.errors import MissingDependencyError
from lm.files import sha256, write_whole

RECORD = "trials.json"

N_RANDOM = 5
"""Trials at random before TPE has something to go by; the recipe as it was given is the first of them."""
N_UNPRUNED = 3
"""Trials that are never pruned, so that their median means something."""
_RATE_RANGE = 10
_RANKS = (4, 64)
_BATCH_SIZES = (4, 32)
_MAX_DROPOUT = 0.2


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a search.

    Attributes:
        learning_rate: Peak rate, also where the recipe left it to the model's width.
        epoch_scores: After each epoch, the probability of the validation answers.
        pruned: Whether it was ended for being below the median of the others.
        usage: What it took.
    """

    recipe: TuningRecipe
    learning_rate: float
    epoch_scores: tuple[float, ...]
    pruned: bool
    usage: BuildUsage

    @property
    def score(self) -> float | None:
        """Of its best epoch, whose weights are kept; None where it diverged."""
        return max(self.epoch_scores, default=None)


TrainTrial = Callable[[TuningRecipe, OnEvent], tuple[Sequence[EpochResult], BuildUsage]]
"""Trains by a recipe, tells each epoch and gives them all; what the second argument raises ends it."""


def search_recipe(
    train: TrainTrial, recipe: TuningRecipe, learning_rate: float, n_trials: int, record: Path
) -> tuple[Trial, ...]:
    """Train with several recipes; the one to use is that of `best_trial`.

    Each trial depends on the trials before it, the seed and its number alone, and is on disk when it ends: an
    interrupted search goes on from the last whole trial and ends as an uninterrupted one, and a longer search from the
    end of a shorter one.

    Args:
        recipe: Where the search starts; what is not searched stays as it is here.
        learning_rate: In the middle of what is tried.
        record: File of the trials so far; it need not exist.
    Raises:
        TrainingError: there are no validation questions to judge by, or the recipe it starts from cannot be trained.
        MissingDependencyError: Optuna is not installed.
    """
    if find_spec("optuna") is None:
        raise MissingDependencyError("search needs a package that is not installed: pip install 'tuning-fork[search]'")
    trials = list(read_trials(record))
    while len(trials) < n_trials:
        trials.append(_run(train, recipe, learning_rate, trials))
        write_whole(record, json.dumps([asdict(trial) for trial in trials], indent=1) + "\n")
    return tuple(trials[:n_trials])


def best_trial(trials: Sequence[Trial]) -> Trial:
    """The highest score; the earlier of equals. A pruned trial was not trained to its end."""
    return max((trial for trial in trials if not trial.pruned), key=lambda trial: trial.score or 0.0)


def read_trials(record: Path) -> tuple[Trial, ...]:
    """The trials in a file; none where there is no file.

    Raises:
        TrainingError: it is damaged.
    """
    try:
        raw = json.loads(record.read_text(encoding="utf-8"))
        return tuple(
            Trial(
                TuningRecipe(**one["recipe"]),
                one["learning_rate"],
                tuple(one["epoch_scores"]),
                one["pruned"],
                BuildUsage(**one["usage"]),
            )
            for one in raw
        )
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{record} is damaged ({error}); delete it, and the search starts over") from error


@dataclass(frozen=True, slots=True)
class _Range:
    """What is tried of one field.

    Attributes:
        values: In order, where it is drawn by position: neighbours are alike.
        given: What the recipe has.
    """

    distribution: Any
    given: Any
    values: tuple[int, ...] = ()

    def drawn(self, value: Any) -> Any:
        """The value of the field as it is drawn."""
        return self.values.index(value) if self.values else value


class PrunedError(Exception):
    """The trial is below the median of the others."""


def _run(train: TrainTrial, recipe: TuningRecipe, learning_rate: float, before: Sequence[Trial]) -> Trial:
    """One more trial."""
    space = _space(recipe, learning_rate)
    study = _study(recipe.seed, before, space)
    if not before:
        study.enqueue_trial({name: one.drawn(one.given) for name, one in space.items()})
    asked = study.ask({name: one.distribution for name, one in space.items()})
    rate = asked.params["learning_rate"]
    # The first is trained as it was given: that adapter may be there already.
    tried = _recipe_of(asked.params, recipe, space) if before else recipe
    scores: list[float] = []
    usage = BuildUsage()

    def report(epochs: Sequence[EpochResult]) -> None:
        for epoch in epochs[len(scores) :]:
            if epoch.validation_probability is None:
                raise TrainingError(
                    "a search judges recipes on validation questions, and there are none; add some, or leave out search"
                )
            scores.append(epoch.validation_probability)
            asked.report(scores[-1], len(scores))
            if asked.should_prune():
                raise PrunedError

    def on_event(event: TrainingEvent) -> None:
        nonlocal usage
        usage = BuildUsage(event.seconds, event.seconds, event.n_tokens)
        report(event.epochs)

    pruned = False
    try:
        epochs, usage = train(tried, on_event)
        report(epochs)
    except PrunedError:
        pruned = True
    except DivergedError:
        if not before:
            raise
        scores = []
    return Trial(tried, rate, tuple(scores), pruned, usage)


def _study(seed: int, before: Sequence[Trial], space: dict[str, _Range]) -> Any:
    """A study that has seen the trials before; its sampler draws by the seed and the number of the next one."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler_seed = int(sha256(f"search/{seed}/{len(before)}")[:8], 16)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=sampler_seed, n_startup_trials=N_RANDOM),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=N_UNPRUNED),
    )
    states = optuna.trial.TrialState
    for trial in before:
        study.add_trial(
            optuna.trial.create_trial(
                params={name: one.drawn(_value_of(trial, name)) for name, one in space.items()},
                distributions={name: one.distribution for name, one in space.items()},
                value=trial.score or 0.0,
                intermediate_values=dict(enumerate(trial.epoch_scores, 1)),
                state=states.PRUNED if trial.pruned else states.COMPLETE,
            )
        )
    return study


def _space(recipe: TuningRecipe, learning_rate: float) -> dict[str, _Range]:
    """What is searched, by field of the recipe."""
    from optuna.distributions import FloatDistribution, IntDistribution

    def among(values: tuple[int, ...], given: int) -> _Range:
        return _Range(IntDistribution(0, len(values) - 1), given, values)

    highest = min(learning_rate * _RATE_RANGE, 0.5)
    sizes = _powers(*_BATCH_SIZES, recipe.batch_size)
    space = {
        "learning_rate": _Range(FloatDistribution(learning_rate / _RATE_RANGE, highest, log=True), learning_rate),
        "batch_size": among(tuple(n for n in sizes if n % recipe.gradient_accumulation == 0), recipe.batch_size),
        "max_epochs": _Range(IntDistribution(1, 2 * recipe.max_epochs), recipe.max_epochs),
    }
    if METHODS[recipe.method].has_rank:
        space["r"] = among(_powers(*_RANKS, recipe.r), recipe.r)
        largest = max(_MAX_DROPOUT, recipe.lora_dropout)
        space["lora_dropout"] = _Range(FloatDistribution(0.0, largest), recipe.lora_dropout)
    return space


def _powers(low: int, high: int, given: int) -> tuple[int, ...]:
    """Powers of two, and the given number."""
    return tuple(sorted({given, *(2**n for n in range(low.bit_length() - 1, high.bit_length()))}))


def _recipe_of(params: dict[str, Any], recipe: TuningRecipe, space: dict[str, _Range]) -> TuningRecipe:
    """The ratio of alpha and rank stays: it scales the update."""
    fields = {name: space[name].values[value] if space[name].values else value for name, value in params.items()}
    r = fields.get("r", recipe.r)
    return replace(recipe, **fields, lora_alpha=max(1, round(recipe.lora_alpha * r / recipe.r)))


def _value_of(trial: Trial, name: str) -> Any:
    return trial.learning_rate if name == "learning_rate" else getattr(trial.recipe, name)
