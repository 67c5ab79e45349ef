import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from torch.nn.functional import cross_entropy

from finetune.checkpoint import TrainingState
from finetune.errors import TrainingError
from finetune.forward.answer_logits import AnswerLogits
from finetune.methods import METHODS
from finetune.progress import EpochResult, TrainingEvent
from finetune.recipe import TuningRecipe
from finetune.rows import TrainingRow, build_rows, question_messages
from finetune.train import OnEvent, autocast_dtype, is_better, schedule_factor, train, validate
from lm.local.huggingface import HuggingFaceModel
from tests.finetune.conftest import example

Rows = tuple[TrainingRow, ...]


@pytest.fixture
def rows(model: HuggingFaceModel) -> Rows:
    return build_rows([example(i) for i in range(12)], question_messages(""), model, 64)[0]


@pytest.fixture
def other_wordings(model: HuggingFaceModel) -> Rows:
    return build_rows([example(i, wording=1) for i in range(4)], question_messages(""), model, 64)[0]


def adapted_model(base: Path, recipe: TuningRecipe) -> Any:
    from transformers import AutoModelForCausalLM

    torch.manual_seed(recipe.seed)
    return get_peft_model(AutoModelForCausalLM.from_pretrained(base), METHODS[recipe.method].configure(recipe))


def run(
    model: Any,
    rows: Rows,
    validation: Rows,
    recipe: TuningRecipe,
    directory: Path,
    on_event: OnEvent | None = None,
    key: str = "key",
) -> TrainingState:
    return train(
        model,
        rows,
        validation,
        recipe,
        learning_rate=recipe.learning_rate or 0.01,
        pad_token_id=0,
        key=key,
        checkpoint_dir=directory,
        on_event=on_event,
    )


def trainable(model: Any) -> dict[str, torch.Tensor]:
    return {name: w.detach().clone() for name, w in model.named_parameters() if w.requires_grad}


def interrupt_in(epoch: int) -> Callable[[TrainingEvent], None]:
    def stop(event: TrainingEvent) -> None:
        if event.epoch == epoch:
            raise KeyboardInterrupt

    return stop


def test_only_adapter_weights_change(base_folder: Path, rows: Rows, recipe: TuningRecipe, tmp_path: Path) -> None:
    model = adapted_model(base_folder, recipe)
    before = {name: w.detach().clone() for name, w in model.named_parameters()}
    run(model, rows, (), recipe, tmp_path)
    changed = {name for name, w in model.named_parameters() if not torch.equal(w, before[name])}
    assert changed
    assert all("lora_" in name for name in changed)
    assert len(changed) == sum("lora_" in name for name in before)


def test_four_examples_overfit(base_folder: Path, rows: Rows, recipe: TuningRecipe, tmp_path: Path) -> None:
    model = adapted_model(base_folder, recipe)
    state = run(model, rows[:4], rows[:4], replace(recipe, max_epochs=80, patience=80), tmp_path)
    assert state.epochs[0].train_loss > 1
    assert state.epochs[-1].validation_loss is not None
    assert state.epochs[-1].validation_loss < 0.01
    assert state.epochs[-1].validation_exact_match == 1


def test_loss_is_the_mean_over_answer_tokens(
    base_folder: Path, rows: Rows, recipe: TuningRecipe, tmp_path: Path
) -> None:
    model = adapted_model(base_folder, recipe)
    losses = []
    for row in rows[:4]:
        ids = torch.tensor([row.token_ids])
        logits = model(input_ids=ids).logits[0, row.n_prompt_tokens - 1 : -1]  # (n_answer, vocabulary)
        losses.append(cross_entropy(logits, ids[0, row.n_prompt_tokens :], reduction="sum").item())
    events: list[TrainingEvent] = []
    run(model, rows[:4], (), replace(recipe, max_epochs=1), tmp_path, events.append)
    assert events[0].train_loss == pytest.approx(sum(losses) / sum(row.n_answer_tokens for row in rows[:4]), rel=1e-5)


def test_another_loss_is_minimised_and_validation_stays_comparable(
    base_folder: Path, rows: Rows, recipe: TuningRecipe, tmp_path: Path
) -> None:
    first = replace(recipe, max_epochs=1)
    states = {}
    for loss in ("cross-entropy", "focal"):
        model = adapted_model(base_folder, recipe)
        states[loss] = run(model, rows[:4], rows[:4], replace(first, loss=loss), tmp_path / loss).epochs[0]
    assert states["focal"].train_loss < states["cross-entropy"].train_loss
    assert states["focal"].validation_loss == pytest.approx(states["cross-entropy"].validation_loss, rel=0.2)


def test_validation_is_that_of_each_row_alone(base_folder: Path, rows: Rows, recipe: TuningRecipe) -> None:
    model = adapted_model(base_folder, recipe).eval()
    losses = []
    for row in rows:
        ids = torch.tensor([row.token_ids])
        logits = model(input_ids=ids).logits[0, row.n_prompt_tokens - 1 : -1]  # (n_answer, vocabulary)
        losses.append(cross_entropy(logits, ids[0, row.n_prompt_tokens :], reduction="none"))
    found = validate(AnswerLogits.of(model, None, rows, 0), rows, batch_size=5)
    assert found.loss == pytest.approx(torch.cat(losses).mean().item(), rel=1e-5)
    assert found.probability == pytest.approx(
        torch.stack([(-row.mean()).exp() for row in losses]).mean().item(), rel=1e-4
    )


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_passes_equal_the_big_batch(
    base_folder: Path, model: HuggingFaceModel, recipe: TuningRecipe, tmp_path: Path, parts: int
) -> None:
    answers = ["red", "red green blue", "", "teal pink"]
    examples = [example(i, answer=answer) for i, answer in enumerate(answers)]
    rows, _ = build_rows(examples, question_messages(""), model, 64)
    assert len({row.n_answer_tokens for row in rows}) > 2
    whole, split = adapted_model(base_folder, recipe), adapted_model(base_folder, recipe)
    run(whole, rows, (), recipe, tmp_path / "whole")
    run(split, rows, (), replace(recipe, gradient_accumulation=parts), tmp_path / "split")
    for name, weight in trainable(whole).items():
        torch.testing.assert_close(trainable(split)[name], weight, rtol=0, atol=1e-5)


@pytest.mark.parametrize("epoch", [2, 4])
def test_resumed_training_ends_as_an_uninterrupted_one(
    base_folder: Path, rows: Rows, other_wordings: Rows, recipe: TuningRecipe, tmp_path: Path, epoch: int
) -> None:
    recipe = replace(recipe, lora_dropout=0.2, prompt_dropout=0.2)
    whole, cut, resumed = (adapted_model(base_folder, recipe) for _ in range(3))
    expected = run(whole, rows, other_wordings, recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(cut, rows, other_wordings, recipe, tmp_path / "cut", interrupt_in(epoch))
    events: list[TrainingEvent] = []
    state = run(resumed, rows, other_wordings, recipe, tmp_path / "cut", events.append)
    assert events[0].epoch == epoch
    for name, weight in trainable(whole).items():
        torch.testing.assert_close(trainable(resumed)[name], weight, rtol=0, atol=1e-6)
    assert [e.validation_loss for e in state.epochs] == [e.validation_loss for e in expected.epochs]
    assert state.n_tokens == expected.n_tokens


def test_checkpoint_of_another_run_is_not_resumed(
    base_folder: Path, rows: Rows, recipe: TuningRecipe, tmp_path: Path
) -> None:
    run(adapted_model(base_folder, recipe), rows, (), recipe, tmp_path, key="one")
    events: list[TrainingEvent] = []
    run(adapted_model(base_folder, recipe), rows, (), recipe, tmp_path, events.append, key="other")
    assert events[0].epoch == 1


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json"])
def test_damaged_checkpoint_is_not_resumed(
    base_folder: Path, rows: Rows, recipe: TuningRecipe, tmp_path: Path, name: str
) -> None:
    run(adapted_model(base_folder, recipe), rows, (), recipe, tmp_path)
    damaged = next(tmp_path.glob(f"epoch-*/{name}"))
    damaged.write_bytes(damaged.read_bytes()[:-9] + b"123456789")
    events: list[TrainingEvent] = []
    run(adapted_model(base_folder, recipe), rows, (), recipe, tmp_path, events.append)
    assert events[0].epoch == 1


def test_early_stopping_keeps_the_best_epoch(
    base_folder: Path, rows: Rows, model: HuggingFaceModel, recipe: TuningRecipe, tmp_path: Path
) -> None:
    contradicting, _ = build_rows([example(i, answer="black") for i in range(4)], question_messages(""), model, 64)
    model_after = adapted_model(base_folder, recipe)
    state = run(model_after, rows, contradicting, replace(recipe, max_epochs=30, patience=3), tmp_path)
    probabilities = [epoch.validation_probability or 0 for epoch in state.epochs]
    assert len(probabilities) == state.best_epoch + 3 < 30
    assert probabilities[state.best_epoch - 1] == max(probabilities)
    kept = adapted_model(base_folder, recipe)
    shorter = run(kept, rows, contradicting, replace(recipe, max_epochs=30, patience=3), tmp_path / "again")
    assert all(torch.equal(weight, state.best_weights[name]) for name, weight in trainable(model_after).items())
    assert shorter.best_epoch == state.best_epoch


def test_without_validation_rows_the_last_epoch_is_kept(
    base_folder: Path, rows: Rows, recipe: TuningRecipe, tmp_path: Path
) -> None:
    state = run(adapted_model(base_folder, recipe), rows, (), replace(recipe, patience=1), tmp_path)
    assert len(state.epochs) == state.best_epoch == recipe.max_epochs
    assert state.epochs[-1].validation_loss is None
    assert state.epochs[-1].validation_exact_match is None
    assert state.epochs[-1].validation_probability is None


def test_diverged_loss_says_what_to_lower(base_folder: Path, rows: Rows, recipe: TuningRecipe, tmp_path: Path) -> None:
    model = adapted_model(base_folder, recipe)
    with torch.no_grad():
        next(w for w in model.parameters() if w.requires_grad).fill_(math.inf)
    with pytest.raises(TrainingError, match=r"step 1 of epoch 1; lower learning_rate \(was 0.02\) or max_grad_norm"):
        run(model, rows, (), recipe, tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_rows_are_refused(base_folder: Path, recipe: TuningRecipe, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no training rows"):
        run(adapted_model(base_folder, recipe), (), (), recipe, tmp_path)


def test_events_count_steps_and_close_each_epoch_with_the_validation_loss(
    base_folder: Path, rows: Rows, other_wordings: Rows, recipe: TuningRecipe, tmp_path: Path
) -> None:
    events: list[TrainingEvent] = []
    run(adapted_model(base_folder, recipe), rows, other_wordings, recipe, tmp_path, events.append)
    steps = [event for event in events if event.validation_loss is None]
    ends = [event for event in events if event.validation_loss is not None]
    assert [event.step for event in steps] == list(range(1, 13))
    assert [(event.epoch, event.step) for event in ends] == [(1, 3), (2, 6), (3, 9), (4, 12)]
    assert {event.n_steps for event in events} == {12}
    assert all(a.seconds <= b.seconds for a, b in zip(events, events[1:], strict=False))


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_schedule_warms_up_then_decays_towards_zero(schedule: str) -> None:
    recipe = TuningRecipe(schedule=schedule, warmup_fraction=0.1)
    factors = [schedule_factor(step, 100, recipe) for step in range(1, 101)]
    assert factors[:10] == pytest.approx([0.1 * i for i in range(1, 11)])
    assert factors[10] == pytest.approx(1, abs=0.02)
    assert all(a >= b for a, b in zip(factors[9:], factors[10:], strict=False))
    assert 0 < factors[-1] < 0.02


def test_constant_schedule_stays_at_the_peak() -> None:
    recipe = TuningRecipe(schedule="constant", warmup_fraction=0)
    assert {schedule_factor(step, 10, recipe) for step in range(1, 11)} == {1.0}


def test_an_epoch_is_better_by_the_probability_of_the_answers_whatever_their_loss() -> None:
    first = EpochResult(1, 1.0, 0.5, 0.1, 0.1, 1.0, validation_probability=0.4)
    state = TrainingState(epochs=[first], best_epoch=1)
    assert is_better(replace(first, epoch=2, validation_probability=0.41, validation_loss=0.6), state)
    assert not is_better(replace(first, epoch=2), state)


def test_bfloat16_is_chosen_only_where_it_is_native_and_right(monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(precision: str, *, native: bool, right: bool = True) -> torch.dtype | None:
        monkeypatch.setattr("finetune.train.has_native_bfloat16", lambda: native)
        monkeypatch.setattr("finetune.train.computes_rightly", lambda dtype, device: right)
        return autocast_dtype(TuningRecipe(precision=precision), torch.device("cpu"))

    assert chosen("auto", native=True) is torch.bfloat16
    assert chosen("auto", native=False) is None
    assert chosen("auto", native=True, right=False) is None
    assert chosen("float32", native=True) is None
    assert chosen("bfloat16", native=False) is torch.bfloat16


@pytest.mark.parametrize("method", ["lora", "dora"])
def test_bfloat16_learns_as_float32_does_and_keeps_the_adapter_wide(
    base_folder: Path, rows: Rows, recipe: TuningRecipe, tmp_path: Path, method: str
) -> None:
    from transformers import AutoModelForCausalLM

    recipe = replace(recipe, method=method, max_epochs=8)
    wide = run(adapted_model(base_folder, recipe), rows, rows, recipe, tmp_path / "wide")
    base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.bfloat16)
    torch.manual_seed(recipe.seed)
    narrow_model = get_peft_model(base, METHODS[method].configure(recipe))
    narrow = run(narrow_model, rows, rows, replace(recipe, precision="bfloat16"), tmp_path / "narrow")
    assert {weight.dtype for weight in narrow.best_weights.values()} == {torch.float32}
    assert {w.dtype for w in narrow_model.parameters() if not w.requires_grad} == {torch.bfloat16}
    assert wide.epochs[0].train_loss > 2 * wide.epochs[-1].train_loss
    for ours, theirs in zip(narrow.epochs, wide.epochs, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=0.2)
