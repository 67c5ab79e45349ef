"""Answer tokens learnt per second: our training against TRL's SFTTrainer, with the same LoRA, rate, batch and rows.

    python -m benchmarks.tuning_speed
    python -m benchmarks.tuning_speed --dataset claims-to-json --dtype float32 --n-rows 48

Four trainings a dataset (ours, TRL's, TRL's, ours; the second half with another seed), each from the same base and the
same first adapter weights. The clock runs while the training call does: on our side also for the trial of what the
model takes, and for checkpoints, which TRL is told not to write. TRL runs as it comes, but for what the comparison
fixes: no gradient checkpointing, no packing, the loss on completions alone. Losses are those of the trained adapters on
the rows of training and of validation, computed by one function.
"""

import argparse
import copy
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import torch

from advisor.data.files import load_dataset
from benchmarks.gemm_share import forward_flop, gemm_rate, prefill_share
from finetune.forward.answer_logits import AnswerLogits
from finetune.forward.batches import optimiser_steps, packs, shared_beginning
from finetune.methods import METHODS
from finetune.recipe import TuningRecipe, scaled_learning_rate
from finetune.rows import TrainingRow, build_rows, question_messages
from finetune.train import autocast_dtype, train, validate
from lm.local.huggingface import HuggingFaceModel
from lm.registry import load_language_model

DATASETS = Path(__file__).parents[1] / "datasets"
ORDER = ("ours", "trl", "trl", "ours")


@dataclass(frozen=True)
class Run:
    """One training: who, how long, and what its adapter's losses are afterwards, in nats per answer token."""

    by: str
    seconds: float
    train_loss: float
    validation_loss: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--dataset", action="append", help="ticket-triage and appliance-support if not given")
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--n-rows", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--group-by-length", action="store_true", help="let TRL sort rows by length, as we do")
    given = parser.parse_args()
    model = load_language_model(given.model)
    assert isinstance(model, HuggingFaceModel)
    for dataset in given.dataset or ["ticket-triage", "appliance-support"]:
        recipe = TuningRecipe(
            precision=given.dtype,
            schedule="linear",
            warmup_fraction=0.0,
            batch_size=given.batch_size,
            max_epochs=given.epochs,
            patience=given.epochs,
            learning_rate=scaled_learning_rate(model.module.config.hidden_size),
        )
        compare(model, dataset, recipe, given.n_rows, group_by_length=given.group_by_length)


def compare(model: HuggingFaceModel, name: str, recipe: TuningRecipe, n_rows: int, *, group_by_length: bool) -> None:
    view = load_dataset(DATASETS / name).training_view()
    messages_of = question_messages(view.card.instruction)
    rows = build_rows(view.train[:n_rows], messages_of, model, recipe.max_length)[0]
    validation = build_rows(view.validation, messages_of, model, recipe.max_length)[0]
    dtype = autocast_dtype(recipe, model.device) or torch.float32
    rate = gemm_rate(dtype)
    runs: list[Run] = []
    for i, by in enumerate(ORDER):
        seeded = replace(recipe, seed=i // 2)
        adapted = adapted_model(model, seeded, dtype)
        if by == "ours":
            seconds = train_ours(adapted, model, rows, seeded)
        else:
            seconds = train_trl(adapted, model, rows, seeded, group_by_length=group_by_length)
        losses = [loss_of(adapted, dtype, some) for some in (rows, validation)]
        runs.append(Run(by, seconds, *losses))
        print(f"{name}: {by}, seed {seeded.seed}: {seconds:.1f} s, loss {losses[0]:.3f}, validation {losses[1]:.3f}")
        rate = max(rate, gemm_rate(dtype))
    report(name, recipe, rows, runs, n_flop=n_training_flop(adapted, rows, recipe), rate=rate, dtype=dtype)
    print(f"  prefill, untuned, 8 rows of 128 tokens: {prefill_share(untuned(model, dtype), rate):.0%} of it")


def report(
    name: str,
    recipe: TuningRecipe,
    rows: Sequence[TrainingRow],
    runs: Sequence[Run],
    *,
    n_flop: float,
    rate: float,
    dtype: torch.dtype,
) -> None:
    n_learnt = sum(row.n_answer_tokens for row in rows) * recipe.max_epochs
    seconds = {by: [run.seconds for run in runs if run.by == by] for by in ("ours", "trl")}
    speed = {by: n_learnt * len(of) / sum(of) for by, of in seconds.items()}
    print(
        f"{name}: {len(rows)} rows of {sum(len(row.token_ids) for row in rows) / len(rows):.0f} tokens, "
        f"{shared_beginning(rows)} of them shared, {recipe.max_epochs} epochs, batch {recipe.batch_size}, "
        f"{str(dtype).removeprefix('torch.')}, {torch.get_num_threads()} threads\n"
        f"  answer tokens learnt per second: ours {speed['ours']:.1f}, TRL {speed['trl']:.1f}, "
        f"ratio {speed['ours'] / speed['trl']:.2f} (halves "
        + ", ".join(f"{trl / ours:.2f}" for ours, trl in zip(*seconds.values(), strict=True))
        + ")"
    )
    for field in ("train_loss", "validation_loss"):
        of = {by: [getattr(run, field) for run in runs if run.by == by] for by in seconds}
        print(
            f"  {field}: ours "
            + ", ".join(f"{x:.3f}" for x in of["ours"])
            + "; TRL "
            + ", ".join(f"{x:.3f}" for x in of["trl"])
        )
    share = n_flop / min(seconds["ours"]) / rate
    print(f"  GEMM rate {rate / 1e9:.0f} GFLOP/s; training: {share:.0%} of it")


def adapted_model(model: HuggingFaceModel, recipe: TuningRecipe, dtype: torch.dtype) -> Any:
    from peft import get_peft_model

    torch.manual_seed(recipe.seed)
    return get_peft_model(untuned(model, dtype), METHODS[recipe.method].configure(recipe))


def untuned(model: HuggingFaceModel, dtype: torch.dtype) -> Any:
    return type(model.module).from_pretrained(model.folder, dtype=dtype, use_safetensors=True)


def train_ours(adapted: Any, model: HuggingFaceModel, rows: Sequence[TrainingRow], recipe: TuningRecipe) -> float:
    assert recipe.learning_rate
    with tempfile.TemporaryDirectory() as checkpoints:
        started = time.perf_counter()
        train(
            adapted,
            rows,
            (),
            recipe,
            learning_rate=recipe.learning_rate,
            pad_token_id=model.tokenizer.pad_token_id,
            key="benchmark",
            checkpoint_dir=Path(checkpoints),
        )
        return time.perf_counter() - started


def train_trl(
    adapted: Any, model: HuggingFaceModel, rows: Sequence[TrainingRow], recipe: TuningRecipe, *, group_by_length: bool
) -> float:
    from trl import SFTConfig, SFTTrainer

    columns = {
        "input_ids": [list(row.token_ids) for row in rows],
        "completion_mask": [[0] * row.n_prompt_tokens + [1] * row.n_answer_tokens for row in rows],
    }
    with tempfile.TemporaryDirectory() as out:
        trainer = SFTTrainer(
            model=adapted,
            processing_class=copy.deepcopy(model.tokenizer),
            train_dataset=datasets.Dataset.from_dict(columns),
            args=SFTConfig(
                output_dir=out,
                use_cpu=True,
                bf16=autocast_dtype(recipe, model.device) is not None,
                gradient_checkpointing=False,
                completion_only_loss=True,
                max_length=recipe.max_length,
                per_device_train_batch_size=recipe.batch_size,
                num_train_epochs=recipe.max_epochs,
                learning_rate=recipe.learning_rate,
                lr_scheduler_type=recipe.schedule,
                max_grad_norm=recipe.max_grad_norm,
                weight_decay=recipe.weight_decay,
                train_sampling_strategy="group_by_length" if group_by_length else "random",
                seed=recipe.seed,
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
        )
        started = time.perf_counter()
        trainer.train()
        return time.perf_counter() - started


def loss_of(adapted: Any, dtype: torch.dtype, rows: Sequence[TrainingRow]) -> float:
    adapted.set_attn_implementation("sdpa")
    autocast = None if dtype is torch.float32 else dtype
    return validate(AnswerLogits(adapted, autocast, pad_token_id=0, in_forward=True), rows, batch_size=16).loss


def n_training_flop(adapted: Any, rows: Sequence[TrainingRow], recipe: TuningRecipe) -> float:
    """Of what is computed: forward, and back through frozen weights; adapters and attention are not counted."""
    flop = 0.0
    for epoch in range(1, recipe.max_epochs + 1):
        for parts in optimiser_steps(rows, recipe.batch_size, 1, seed=recipe.seed, epoch=epoch):
            for pack in (pack for part in parts for pack in packs(part)):
                n_shared = shared_beginning(pack)
                n_tokens = n_shared + sum(len(row.token_ids) - n_shared for row in pack)
                n_scored = sum(row.n_answer_tokens for row in pack)
                flop += 2 * forward_flop(adapted.get_base_model(), n_tokens, n_scored)
    return flop


if __name__ == "__main__":
    # Both sides' libraries warn of names that are going away, and draw bars.
    warnings.simplefilter("ignore")
    datasets.disable_progress_bars()
    main()
