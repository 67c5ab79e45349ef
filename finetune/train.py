"""The training loop, top to bottom."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from finetune.checkpoint import TrainingState, restore_checkpoint, save_checkpoint
from finetune.errors import DivergedError, TrainingError
from finetune.forward.answer_logits import AnswerLogits
from finetune.forward.batches import Batch, drop_prompt_tokens, optimiser_steps
from finetune.losses import LOSSES, cross_entropy
from finetune.memory import peak_memory_bytes
from finetune.processes import ALONE, Processes
from finetune.progress import EpochResult, TrainingEvent, Validation
from finetune.recipe import TuningRecipe
from finetune.rows import TrainingRow
from finetune.stepping import stepping
from lm.files import sha256
from lm.local.dtype import computes_rightly, has_native_bfloat16
from lm.local.fused_lora import fuse_lora

OnEvent = Callable[[TrainingEvent], None]


def train(
    model: Any,
    rows: Sequence[TrainingRow],
    validation_rows: Sequence[TrainingRow],
    recipe: TuningRecipe,
    *,
    learning_rate: float,
    pad_token_id: int,
    special_ids: frozenset[int] = frozenset(),
    key: str,
    checkpoint_dir: Path,
    on_event: OnEvent | None = None,
    processes: Processes = ALONE,
) -> TrainingState:
    """Train the weights of `model` that require a gradient; they end as those of the best epoch.

    The loss of a step is summed over its answer tokens and divided once by their number, so that splitting a step into
    several forward passes changes nothing. A checkpoint follows every epoch; with one of the same `key` in
    `checkpoint_dir` training goes on from there and ends with the same weights as an uninterrupted run.

    Args:
        model: A causal language model; its weights that require a gradient are those of an adapter, or all.
        learning_rate: Peak rate.
        special_ids: Tokens that prompt dropout never leaves out.
        on_event: Called after each step and each epoch; what it raises ends training.
        processes: Who trains; all call with the same arguments. Each takes a share of every step's rows, and losses and
            checkpoints are those of one process, up to rounding.
    Raises:
        TrainingError: there are no rows.
        DivergedError: the loss is no longer finite.
    """
    if not rows:
        raise TrainingError("there are no training rows; add training questions, or raise max_length")
    device = next(model.parameters()).device
    token_loss = LOSSES[recipe.loss]
    model.eval()
    answer_logits = AnswerLogits.of(model, autocast_dtype(recipe, device), rows, pad_token_id)
    if processes.world == 1:
        fuse_lora(model, answer_logits.autocast_dtype)
    steps = stepping(model, recipe, processes, device, answer_logits.autocast_dtype)
    answer_logits = replace(answer_logits, model=steps.model)
    steps_an_epoch = math.ceil(len(rows) / recipe.batch_size)
    n_steps = recipe.max_epochs * steps_an_epoch
    torch.manual_seed(recipe.seed)
    state = restore_checkpoint(checkpoint_dir, key, steps, device) or TrainingState()
    started = time.perf_counter() - state.seconds

    for epoch in range(len(state.epochs) + 1, recipe.max_epochs + 1):
        if epoch - 1 - state.best_epoch >= recipe.patience:
            break
        answer_logits.model.train()
        if processes.world > 1:
            # What is drawn hangs on no other process, nor on what was drawn before an interruption.
            torch.manual_seed(int(sha256(f"{recipe.seed}/{epoch}/{processes.rank}")[:15], 16))
        epoch_loss, epoch_answer_tokens = 0.0, 0
        epoch_rows = rows
        if recipe.prompt_dropout:
            epoch_rows = drop_prompt_tokens(rows, recipe.prompt_dropout, special_ids, seed=recipe.seed, epoch=epoch)
        batches = optimiser_steps(
            epoch_rows, recipe.batch_size, recipe.gradient_accumulation, seed=recipe.seed, epoch=epoch
        )
        for step, parts in enumerate(batches, 1 + (epoch - 1) * steps_an_epoch):
            n_answer_tokens = sum(row.n_answer_tokens for part in parts for row in part)
            rate = learning_rate * schedule_factor(step, n_steps, recipe)
            step_loss = 0.0
            passes = shared_passes(answer_logits, parts, processes)
            for number, (batch, weight) in enumerate(passes, 1):
                logits = answer_logits(batch).float()  # (n_scored, vocabulary)
                loss = weight * token_loss(logits, batch.target_ids[batch.scored]).sum() / n_answer_tokens
                steps.backward(processes.world * loss, is_last=number == len(passes))  # as processes average
                step_loss += loss.item()
            (step_loss,) = processes.sum(step_loss)
            norm = steps.step(rate)
            if not math.isfinite(step_loss + norm.item()):
                raise DivergedError(
                    f"the loss or its gradient was no longer finite in step {step} of epoch {epoch}; lower "
                    f"learning_rate (was {learning_rate:g}) or max_grad_norm (was {recipe.max_grad_norm:g}), or set "
                    f"precision to float32 if it was bfloat16"
                )
            epoch_loss += step_loss * n_answer_tokens
            epoch_answer_tokens += n_answer_tokens
            state.n_tokens += sum(len(row.token_ids) for part in parts for row in part)
            if on_event:
                seconds, peak = time.perf_counter() - started, peak_memory_bytes(device)
                on_event(TrainingEvent(epoch, step, n_steps, step_loss, None, rate, seconds, state.n_tokens, peak))

        train_loss = epoch_loss / epoch_answer_tokens
        validation = None
        if validation_rows:
            validation = validate(answer_logits, validation_rows, recipe.batch_size, processes)
        state.seconds = time.perf_counter() - started
        result = EpochResult(
            epoch=epoch,
            train_loss=train_loss,
            validation_loss=validation.loss if validation else None,
            validation_exact_match=validation.exact_match if validation else None,
            learning_rate=rate,
            seconds=state.seconds,
            validation_probability=validation.probability if validation else None,
            peak_memory_bytes=peak_memory_bytes(device),
            n_tokens=state.n_tokens,
        )
        if is_better(result, state):
            state.best_epoch = epoch
            state.best_weights = steps.weights()
        state.epochs.append(result)
        save_checkpoint(checkpoint_dir, key, state, steps, device, writes=processes.rank == 0)
        if on_event:
            on_event(
                TrainingEvent(
                    epoch,
                    step,
                    n_steps,
                    train_loss,
                    result.validation_loss,
                    rate,
                    state.seconds,
                    state.n_tokens,
                    peak_memory_bytes(device),
                    tuple(state.epochs),
                )
            )

    steps.set_weights(state.best_weights)
    model.eval()
    return state


def shared_passes(
    answer_logits: AnswerLogits, parts: Sequence[Sequence[TrainingRow]], processes: Processes
) -> list[tuple[Batch, float]]:
    """This process's forward passes over its share of the rows, each with its weight.

    All processes make as many, as each waits for the others in every layer: who has fewer makes one again that weighs
    nothing.
    """
    by_rank = [
        [
            batch
            for part in parts
            if part[rank :: processes.world]
            for batch in answer_logits.batches(part[rank :: processes.world])
        ]
        for rank in range(processes.world)
    ]
    own, longest = by_rank[processes.rank], max(by_rank, key=len)
    return [(batch, 1.0) for batch in own] + [(batch, 0.0) for batch in longest[len(own) :]]


def schedule_factor(step: int, n_steps: int, recipe: TuningRecipe) -> float:
    """Share of the peak rate at a step (from 1): linear warm-up, then the recipe's decay."""
    n_warmup = math.ceil(recipe.warmup_fraction * n_steps)
    if step <= n_warmup:
        return step / n_warmup
    if recipe.schedule == "constant":
        return 1.0
    left = (n_steps - step + 1) / (n_steps - n_warmup)  # 1 at the first step after the warm-up, above 0 at the last
    return left if recipe.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))


def autocast_dtype(recipe: TuningRecipe, device: torch.device) -> torch.dtype | None:
    """What matrix products are computed in, None for float32.

    Left open, it is bfloat16 where the device multiplies in it natively and rightly.
    """
    if recipe.precision != "auto":
        return torch.bfloat16 if recipe.precision == "bfloat16" else None
    native = torch.cuda.is_bf16_supported() if device.type == "cuda" else device.type == "cpu" and has_native_bfloat16()
    return torch.bfloat16 if native and computes_rightly(torch.bfloat16, device) else None


@torch.no_grad()
def validate(
    answer_logits: AnswerLogits, rows: Sequence[TrainingRow], batch_size: int, processes: Processes = ALONE
) -> Validation:
    """How well the answers of at least one row are known."""
    answer_logits.model.eval()
    loss, n_exact, probability = 0.0, 0.0, 0.0
    ordered = sorted(rows, key=lambda row: len(row.token_ids))
    for start in range(0, len(ordered), batch_size):
        for batch, weight in shared_passes(answer_logits, [ordered[start : start + batch_size]], processes):
            logits = answer_logits(batch).float()  # (n_scored, vocabulary)
            targets = batch.target_ids[batch.scored]  # (n_scored,)
            losses = cross_entropy(logits, targets)
            n_tokens = batch.row_of_target.bincount()  # (rows,)
            n_wrong = batch.row_of_target.bincount((logits.argmax(-1) != targets).float())
            n_exact += weight * int((n_wrong == 0).sum())
            probability += weight * (-batch.row_of_target.bincount(losses) / n_tokens).exp().sum().item()
            loss += weight * losses.sum().item()
    loss, n_exact, probability = processes.sum(loss, n_exact, probability)
    return Validation(loss / sum(row.n_answer_tokens for row in rows), n_exact / len(rows), probability / len(rows))


def is_better(result: EpochResult, state: TrainingState) -> bool:
    """Whether an epoch is the best so far: by the probability of the answers; the last one without validation rows.

    Not by their loss: one sure mistake weighs more in it than many answers that became right, and it rises while they
    do.
    """
    if result.validation_probability is None or not state.epochs:
        return True
    best = state.epochs[state.best_epoch - 1]
    return best.validation_probability is None or result.validation_probability > best.validation_probability
