"""From a training view to an adapter on disk: the entry to tuning."""

import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from advisor.data.dataset import Dataset, Example, TrainingView
from advisor.results.answer import BuildUsage
from finetune.adapter import AdapterRecord, load_adapter_record, save_adapter, write_adapter
from finetune.attach import attach, four_bit_layer, refuse_too_large
from finetune.checkpoint import checkpoint_directory, discard_checkpoints, take_best_weights
from finetune.errors import TrainingError
from finetune.launch import LaunchConfig, train_launched
from finetune.memory import reset_peak_memory
from finetune.methods import METHODS
from finetune.recipe import TuningRecipe, scaled_learning_rate
from finetune.rows import build_rows, build_text_rows, question_messages, rows_hash
from finetune.train import OnEvent, autocast_dtype, train
from lm.completion import Messages
from lm.files import sha256
from lm.local.huggingface import HuggingFaceModel


def train_adapter(
    model: HuggingFaceModel,
    view: TrainingView,
    recipe: TuningRecipe,
    out_dir: Path,
    *,
    messages_of: Callable[[Example], Messages] | None = None,
    texts: Sequence[str] = (),
    on_event: OnEvent | None = None,
    launch: LaunchConfig | None = None,
) -> AdapterRecord:
    """Train an adapter on the training split, watched on the validation split, and save it in `out_dir`.

    Full tuning has all weights trained and saved, in a folder that transformers loads as any model.

    Nothing is done twice: a finished adapter of the same key is returned as it is, a half-finished training goes on
    from its last epoch. The caller's model is not touched: a copy of its weights is trained. `model.with_adapter`
    makes a language model of the result.

    Args:
        model: The base.
        messages_of: The prompt of an example; that of the question-only arms if not given. Other prompts may hold the
            answer to a fact that was never trained, so with them all validation questions are watched.
        texts: Read beside the questions, as plain text: what the facts stand in.
        on_event: Called after each step and epoch. KeyboardInterrupt, from here or elsewhere, leaves what is needed to
            resume from the last whole epoch in a sibling directory, `<out_dir>.partial`.
        launch: The processes to train in; this one where it is left out. It changes the result by rounding alone.
    Returns:
        The record also saved as `adapter.json`.
    Raises:
        TrainingError: no row can be trained on, the loss diverged, or `out_dir` holds something else.
    """
    started = time.perf_counter()
    watched = view.validation if messages_of else _watched(view)
    messages_of = messages_of or question_messages(view.card.instruction)
    max_length = min(recipe.max_length, model.context_tokens)
    train_rows, train_report = build_rows(view.train, messages_of, model, max_length)
    validation_rows, validation_report = build_rows(watched, messages_of, model, max_length)
    if not train_rows:
        raise TrainingError(
            f"none of the {len(view.train)} training questions of {view.card.name!r} gives a row of at most "
            f"{max_length} tokens; add training questions, or raise max_length"
        )
    text_rows, text_report = build_text_rows(texts, model, max_length)
    train_rows += text_rows
    method = METHODS[recipe.method]
    if method.quantises:
        four_bit_layer()
    libraries = ("torch", "transformers", "peft", "safetensors", *(("bitsandbytes",) if method.quantises else ()))
    versions = {name: version(name) for name in libraries}
    hashes = rows_hash(train_rows), rows_hash(validation_rows)
    key = _key(model.fingerprint, recipe.hash, *hashes, json.dumps(versions, sort_keys=True))
    if out_dir.exists():
        return _finished(out_dir, key)

    refuse_too_large(model.n_parameters, recipe, model.device, model.name)
    learning_rate = peak_rate(model, recipe)
    checkpoints = checkpoint_directory(out_dir)
    how: dict[str, Any] = {
        "learning_rate": learning_rate,
        "pad_token_id": model.tokenizer.pad_token_id or 0,
        "special_ids": frozenset(model.tokenizer.all_special_ids),
        "key": key,
        "checkpoint_dir": checkpoints,
    }
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        reset_peak_memory(model.device)
        training_started = time.perf_counter()
        if launch is not None:
            job = {"rows": train_rows, "validation_rows": validation_rows, "recipe": recipe, **how}
            train_launched(launch, model.folder, model.device, model.name, on_event, **job)
        adapted = attach(model.folder, type(model.module), recipe, model.device, model.name)
        start = _adapter_weights(adapted) if method.configure else {}
        if launch is None:
            state = train(adapted, train_rows, validation_rows, recipe, **how, on_event=on_event)
        else:
            state = take_best_weights(checkpoints, key, adapted)
        session_s = time.perf_counter() - training_started
    n_trainable = sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)
    record = AdapterRecord(
        key=key,
        base_model=model.name,
        base_fingerprint=model.fingerprint,
        base_weights_sha256=model.weights_sha256,
        recipe=recipe,
        precision=str(autocast_dtype(recipe, model.device) or torch.float32).removeprefix("torch."),
        learning_rate=learning_rate,
        n_trainable_parameters=n_trainable,
        dataset_hash=Dataset(view.card, view.documents, view.train + view.validation).content_hash,
        train_rows_hash=hashes[0],
        validation_rows_hash=hashes[1],
        train_rows=train_report,
        validation_rows=validation_report,
        epochs=tuple(state.epochs),
        best_epoch=state.best_epoch,
        stopped_early=len(state.epochs) < recipe.max_epochs,
        build_usage=BuildUsage(
            wall_s=state.seconds + time.perf_counter() - started - session_s,
            device_s=state.seconds,
            input_tokens=state.n_tokens,
            device=torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else "cpu",
        ),
        library_versions=versions | {"python": platform.python_version()},
        text_rows=text_report if texts else None,
        n_parameters=model.n_parameters + (n_trainable if method.configure else 0),
        peak_memory_bytes=max(epoch.peak_memory_bytes or 0 for epoch in state.epochs),
        n_processes=launch.n_processes if launch is not None else 1,
    )

    def write(folder: Path) -> None:
        if method.configure is None:
            adapted.save_pretrained(folder, max_shard_size="1TB")
            model.tokenizer.save_pretrained(folder)
            return
        weights, config = _plain_adapter(start, _adapter_weights(adapted), adapted.peft_config["default"])
        write_adapter(folder, weights, config | {"base_model_name_or_path": model.source})

    record = save_adapter(out_dir, write, record)
    discard_checkpoints(out_dir)
    return record


def peak_rate(model: HuggingFaceModel, recipe: TuningRecipe) -> float:
    """The recipe's learning rate, or the one that suits its method and the model's width."""
    width = model.module.config.get_text_config().hidden_size
    return recipe.learning_rate or METHODS[recipe.method].rate * scaled_learning_rate(width)


def _watched(view: TrainingView) -> tuple[Example, ...]:
    """The validation questions early stopping looks at.

    Where some ask for a trained fact (another wording of a training group), only those and the unanswerable ones: on
    facts tuning never saw the loss rises from the first epoch, whatever is learnt.
    """
    trained = {example.group for example in view.train}
    if not any(example.group in trained for example in view.validation):
        return view.validation
    return tuple(e for e in view.validation if e.group in trained or not e.answerable)


def _finished(out_dir: Path, key: str) -> AdapterRecord:
    record = load_adapter_record(out_dir)
    if record.key != key:
        raise TrainingError(
            f"{out_dir} already holds an adapter of another base, recipe, data or library version "
            f"(key {record.key[:12]}… instead of {key[:12]}…); choose another directory, or delete that one"
        )
    return record


def _adapter_weights(adapted: Any) -> dict[str, torch.Tensor]:
    from peft import get_peft_model_state_dict

    weights = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    return {name: weight.detach().cpu().clone().contiguous() for name, weight in weights.items()}


def _plain_adapter(
    start: Mapping[str, torch.Tensor], end: Mapping[str, torch.Tensor], config: Any
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Weights and configuration that fit the base as it is on disk.

    Methods that start from the base's own weights (pissa, olora) take B0 A0 out of them first. What was learnt is then
    B A - B0 A0, which is again a LoRA, of twice the rank: [B, -B0] [A; A0].
    """
    settings = {name: sorted(v) if isinstance(v, set) else v for name, v in config.to_dict().items()}
    settings["inference_mode"] = True
    if getattr(config, "init_lora_weights", True) is True:
        return dict(end), settings
    settings |= {"r": 2 * config.r, "lora_alpha": 2 * config.lora_alpha, "init_lora_weights": True}
    weights = {
        name: torch.cat([weight, start[name]], dim=0) if "lora_A" in name else torch.cat([weight, -start[name]], dim=1)
        for name, weight in end.items()
    }
    return weights, settings


def _key(*parts: str) -> str:
    return sha256("\n".join(parts))
