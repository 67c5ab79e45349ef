import math
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from advisor.data.dataset import TrainingView
from advisor.results.answer import BuildUsage
from finetune.errors import DivergedError, TrainingError
from finetune.progress import EpochResult, TrainingEvent
from finetune.recipe import TuningRecipe
from finetune.search import N_UNPRUNED, Trial, best_trial, read_trials, search_recipe
from finetune.train import OnEvent

RATE = 1e-3
START = TuningRecipe(max_epochs=3)


class Killed(BaseException):
    """What a kill is to a training."""


def epoch(number: int, score: float | None) -> EpochResult:
    return EpochResult(number, 1.0, 1.0, 0.0, RATE, float(number), validation_probability=score)


def planted(recipe: TuningRecipe) -> list[float]:
    """Best at a rate of 6e-3 and rank 32; epochs bring it nearer to what the recipe can reach."""
    off = abs(math.log10((recipe.learning_rate or RATE) / 6e-3)) + 0.2 * abs(math.log2(recipe.r / 32))
    return [math.exp(-off) * (1 - 0.5**n) for n in range(1, recipe.max_epochs + 1)]


class Trainer:
    """Trains nothing and tells what was planted; dies where it is told to."""

    def __init__(self, dies_after: int | None = None) -> None:
        self.recipes: list[TuningRecipe] = []
        self.n_events = 0
        self.dies_after = dies_after

    def __call__(self, recipe: TuningRecipe, on_event: OnEvent) -> tuple[Sequence[EpochResult], BuildUsage]:
        self.recipes.append(recipe)
        epochs: list[EpochResult] = []
        for score in planted(recipe):
            epochs.append(epoch(len(epochs) + 1, score))
            self.n_events += 1
            if self.n_events == self.dies_after:
                raise Killed
            on_event(TrainingEvent(len(epochs), 1, 9, 1.0, 1.0, RATE, 1.0, 10, 0, tuple(epochs)))
        return epochs, BuildUsage(wall_s=1.0)


def plain(trials: Sequence[Trial]) -> list[Any]:
    return [(trial.recipe, trial.epoch_scores, trial.pruned) for trial in trials]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_planted_good_region_is_found(tmp_path: Path, seed: int) -> None:
    trials = search_recipe(Trainer(), replace(START, seed=seed), RATE, 30, tmp_path / "trials.json")
    best = best_trial(trials)
    assert 2e-3 < best.learning_rate < 2e-2
    assert (best.score or 0) > 0.8 > 1.5 * (trials[0].score or 0)
    assert best.recipe.lora_alpha == 2 * best.recipe.r


def test_the_given_recipe_is_the_first_trial_and_hopeless_ones_are_ended_early(tmp_path: Path) -> None:
    trainer = Trainer()
    trials = search_recipe(trainer, START, RATE, 20, tmp_path / "trials.json")
    assert trials[0].recipe == START
    pruned = [trial for trial in trials if trial.pruned]
    assert pruned
    assert all(len(trial.epoch_scores) <= trial.recipe.max_epochs for trial in pruned)
    assert not any(trial.pruned for trial in trials[:N_UNPRUNED])


def test_a_search_killed_at_every_moment_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = search_recipe(Trainer(), START, RATE, 9, tmp_path / "whole.json")
    n_events = sum(len(trial.epoch_scores) for trial in whole)
    for moment in range(1, n_events + 1, 5):
        record = tmp_path / f"killed-{moment}.json"
        with pytest.raises(Killed):
            search_recipe(Trainer(dies_after=moment), START, RATE, 9, record)
        n_before = len(read_trials(record))
        again = Trainer()
        assert plain(search_recipe(again, START, RATE, 9, record)) == plain(whole)
        assert len(again.recipes) == 9 - n_before


def test_a_longer_search_goes_on_from_a_shorter_one(tmp_path: Path) -> None:
    search_recipe(Trainer(), START, RATE, 4, tmp_path / "trials.json")
    longer = Trainer()
    found = search_recipe(longer, START, RATE, 7, tmp_path / "trials.json")
    assert len(longer.recipes) == 3
    assert plain(found) == plain(search_recipe(Trainer(), START, RATE, 7, tmp_path / "whole.json"))


def test_a_resumed_training_that_tells_earlier_epochs_late_is_judged_the_same(tmp_path: Path) -> None:
    def silent(recipe: TuningRecipe, on_event: OnEvent) -> tuple[Sequence[EpochResult], BuildUsage]:
        return [epoch(i, score) for i, score in enumerate(planted(recipe), 1)], BuildUsage()

    told = search_recipe(Trainer(), START, RATE, 8, tmp_path / "told.json")
    assert plain(search_recipe(silent, START, RATE, 8, tmp_path / "silent.json")) == plain(told)


def test_a_trial_that_diverges_is_recorded_and_not_chosen(tmp_path: Path) -> None:
    def diverging(recipe: TuningRecipe, on_event: OnEvent) -> tuple[Sequence[EpochResult], BuildUsage]:
        if recipe != START:
            raise DivergedError("the loss was no longer finite")
        return Trainer()(recipe, on_event)

    trials = search_recipe(diverging, START, RATE, 3, tmp_path / "trials.json")
    assert [trial.score is None for trial in trials] == [False, True, True]
    assert best_trial(trials) is trials[0]


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_training_that_fails_otherwise_ends_the_search_and_is_no_trial(tmp_path: Path, fails_at: int) -> None:
    train = Trainer()

    def failing(recipe: TuningRecipe, on_event: OnEvent) -> tuple[Sequence[EpochResult], BuildUsage]:
        if len(train.recipes) == fails_at - 1:
            raise TrainingError("a process of the training ended before its time")
        return train(recipe, on_event)

    with pytest.raises(TrainingError, match="before its time"):
        search_recipe(failing, START, RATE, 3, tmp_path / "trials.json")
    assert len(read_trials(tmp_path / "trials.json")) == fails_at - 1


def test_without_validation_questions_there_is_nothing_to_judge_by(tmp_path: Path) -> None:
    def blind(recipe: TuningRecipe, on_event: OnEvent) -> tuple[Sequence[EpochResult], BuildUsage]:
        return [epoch(1, None)], BuildUsage()

    with pytest.raises(TrainingError, match="judges recipes on validation questions"):
        search_recipe(blind, START, RATE, 3, tmp_path / "trials.json")


def test_only_what_a_method_has_is_searched(tmp_path: Path) -> None:
    trials = search_recipe(Trainer(), replace(START, method="full"), RATE, 6, tmp_path / "trials.json")
    assert {(trial.recipe.r, trial.recipe.lora_dropout) for trial in trials} == {(START.r, START.lora_dropout)}
    assert len({trial.recipe.batch_size for trial in trials}) > 1


def test_a_damaged_record_is_refused_by_name(tmp_path: Path) -> None:
    record = tmp_path / "trials.json"
    record.write_text('[{"recipe": 1}]')
    with pytest.raises(TrainingError, match=r"trials\.json is damaged"):
        search_recipe(Trainer(), START, RATE, 1, record)


def test_what_training_sees_has_no_test_questions() -> None:
    assert [field.name for field in fields(TrainingView)] == ["card", "documents", "train", "validation"]
