import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from advisor.data.dataset import Split, TrainingView
from finetune.adapter import RECORD, load_adapter_record
from finetune.errors import TrainingError
from finetune.methods import METHODS
from finetune.progress import TrainingEvent
from finetune.recipe import TuningRecipe
from finetune.tuned_model import train_adapter
from lm.completion import GenerationConfig, Message, Role
from lm.errors import LanguageModelError, MissingDependencyError
from lm.files import SEAL
from lm.local.huggingface import HuggingFaceModel
from tests.finetune.conftest import WORDS, example

PROBE = torch.tensor([[1, 3, 8, 9, 10, 12, 18, 2, 4, 20, 2]])


def logits(module: Any) -> torch.Tensor:
    with torch.no_grad():
        return module.eval()(input_ids=PROBE).logits


def plain_peft(base: Path, adapter: Path) -> Any:
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)


def four_bit(base: Path, adapter: Path) -> Any:
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    module = AutoModelForCausalLM.from_pretrained(base, quantization_config=config, dtype=torch.float32)
    # In evaluation bitsandbytes repacks weights for a processor with bfloat16, and computes in it.
    return PeftModel.from_pretrained(module, adapter).train()


def test_base_gives_the_same_bits_before_and_after(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path
) -> None:
    before, random_state = logits(model.module), torch.get_rng_state()
    train_adapter(model, view, recipe, tmp_path / "adapter")
    assert torch.equal(logits(model.module), before)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_training_ignores_adapters_attached_to_the_callers_model(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path
) -> None:
    train_adapter(model, view, recipe, tmp_path / "first")
    tuned = model.with_adapter(tmp_path / "first", "tuned")
    tuned.generate([[Message(Role.USER, "Which colour")]], GenerationConfig(max_output_tokens=2))
    train_adapter(model, view, recipe, tmp_path / "second")
    assert adapter_files(tmp_path / "second") == adapter_files(tmp_path / "first")


@pytest.mark.parametrize("method", METHODS)
def test_each_method_learns_and_answers_as_it_was_validated(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path, base_folder: Path, method: str
) -> None:
    view = replace(
        view, train=view.train[:4], validation=tuple(replace(e, split=Split.VALIDATION) for e in view.train[:4])
    )
    rate = {"ia3": 0.2, "vera": 0.2, "full": 0.005}.get(method, 0.02)
    recipe = replace(recipe, method=method, max_epochs=12, patience=12, learning_rate=rate)
    before = logits(model.module)
    record = train_adapter(model, view, recipe, tmp_path / "adapter")
    assert record.epochs[-1].train_loss < 0.7 * record.epochs[0].train_loss
    assert record.n_parameters is not None
    assert record.peak_memory_bytes is not None
    assert (record.n_trainable_parameters == record.n_parameters) == (method == "full")
    assert record.peak_memory_bytes > 4 * record.n_parameters
    assert record.n_bytes == sum(len(content) for content in adapter_files(tmp_path / "adapter").values())
    best = record.epochs[record.best_epoch - 1]
    tuned = model.with_adapter(tmp_path / "adapter", "tuned")
    tuned.base._activate(tuned._key)
    # The base has all its bits when it answers, which matters to a model as small as this.
    module = four_bit(base_folder, tmp_path / "adapter") if method == "qlora" else tuned.base.module
    losses = []
    for item in view.train:
        prompt = model.encode([Message(Role.USER, f"Question: {item.question}")])
        ids = torch.tensor([[*prompt, WORDS.index(item.answers[0]), WORDS.index("<end>")]])
        with torch.no_grad():
            scores = module(input_ids=ids).logits[0, len(prompt) - 1 : -1]  # (2, vocabulary)
        losses.append(torch.nn.functional.cross_entropy(scores, ids[0, len(prompt) :]).item())
    assert sum(losses) / len(losses) == pytest.approx(best.validation_loss, abs=1e-4)
    tuned.close()
    with pytest.raises(LanguageModelError, match="was closed and answers no more"):
        tuned.generate([[Message(Role.USER, "Which colour")]], GenerationConfig(max_output_tokens=2))
    model._activate(None)
    torch.testing.assert_close(logits(model.module), before, rtol=0, atol=0)
    if method != "full":
        loaded = plain_peft(base_folder, tmp_path / "adapter")
        with loaded.disable_adapter():
            torch.testing.assert_close(logits(loaded), before, rtol=0, atol=0)


def test_full_tuning_that_does_not_fit_is_refused_before_it_starts(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finetune.attach.free_memory_bytes", lambda device: 1000)
    train_adapter(model, view, replace(recipe, max_epochs=1), tmp_path / "adapter")
    with pytest.raises(TrainingError, match=r"full tuning of 'tiny' does not fit .* choose method lora or qlora"):
        train_adapter(model, view, replace(recipe, method="full"), tmp_path / "full")


def test_a_method_whose_package_is_missing_names_it(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.nn", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'tuning-fork\[qlora\]'"):
        train_adapter(model, view, replace(recipe, method="qlora"), tmp_path / "adapter")


def test_merged_adapter_equals_the_attached_one(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path, base_folder: Path
) -> None:
    train_adapter(model, view, recipe, tmp_path / "adapter")
    attached = logits(plain_peft(base_folder, tmp_path / "adapter"))
    merged = logits(plain_peft(base_folder, tmp_path / "adapter").merge_and_unload())
    assert not torch.allclose(attached, logits(model.module), atol=1e-2)
    torch.testing.assert_close(merged, attached, rtol=0, atol=1e-5)


def test_tuned_model_answers_what_it_was_taught(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path
) -> None:
    view = replace(view, train=view.train[:4], validation=())
    train_adapter(model, view, replace(recipe, max_epochs=40), tmp_path / "adapter")
    tuned = model.with_adapter(tmp_path / "adapter", "tuned")
    prompts = [[Message(Role.USER, f"Question: {item.question}")] for item in view.train]
    answers = [c.text for c in tuned.generate(prompts, GenerationConfig(max_output_tokens=3))]
    assert answers == [item.answers[0] for item in view.train]


def test_record_tells_where_the_adapter_came_from(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path
) -> None:
    record = train_adapter(model, view, recipe, tmp_path / "adapter")
    assert load_adapter_record(tmp_path / "adapter") == record
    written = json.loads((tmp_path / "adapter" / "adapter.json").read_text())
    assert written["base_weights_sha256"] == model.weights_sha256
    assert record.base_fingerprint == model.fingerprint
    assert record.precision == "float32"
    assert (record.train_rows.n_rows, record.validation_rows.n_rows) == (12, 4)
    assert record.build_usage.input_tokens == record.train_rows.n_tokens * len(record.epochs)
    assert 0 < record.build_usage.device_s <= record.build_usage.wall_s
    assert sorted(adapter_files(tmp_path / "adapter")) == ["adapter_config.json", "adapter_model.safetensors"]
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_finished_adapter_is_not_trained_again(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path
) -> None:
    record = train_adapter(model, view, recipe, tmp_path / "adapter")
    events: list[TrainingEvent] = []
    assert train_adapter(model, view, recipe, tmp_path / "adapter", on_event=events.append) == record
    assert not events


def test_adapter_of_another_recipe_is_not_overwritten(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path
) -> None:
    train_adapter(model, view, recipe, tmp_path / "adapter")
    with pytest.raises(TrainingError, match="already holds an adapter of another base, recipe"):
        train_adapter(model, view, replace(recipe, seed=1), tmp_path / "adapter")


def test_interrupted_training_is_resumed_and_ends_the_same(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path
) -> None:
    train_adapter(model, view, recipe, tmp_path / "whole")

    def interrupt(event: TrainingEvent) -> None:
        if event.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_adapter(model, view, recipe, tmp_path / "cut", on_event=interrupt)
    assert not (tmp_path / "cut").exists()
    events: list[TrainingEvent] = []
    train_adapter(model, view, recipe, tmp_path / "cut", on_event=events.append)
    assert events[0].epoch == 3
    assert adapter_files(tmp_path / "cut") == adapter_files(tmp_path / "whole")
    assert not (tmp_path / "cut.partial").exists()


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json", "adapter.json"])
def test_damaged_adapter_is_refused_by_name(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path, name: str
) -> None:
    train_adapter(model, view, recipe, tmp_path / "adapter")
    damaged = tmp_path / "adapter" / name
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(TrainingError, match=f"the adapter .*{name}"):
        load_adapter_record(tmp_path / "adapter")


def test_validation_on_untrained_facts_is_left_out_where_trained_ones_are_asked(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path
) -> None:
    split = replace(view, train=view.train[:2], validation=(*view.validation, example(9, answer="")))
    record = train_adapter(model, split, replace(recipe, max_epochs=1), tmp_path / "adapter")
    assert record.validation_rows.n_rows == 2 + 1
    unrelated = replace(view, train=view.train[4:])
    record = train_adapter(model, unrelated, replace(recipe, max_epochs=1), tmp_path / "other")
    assert record.validation_rows.n_rows == 4


def test_only_too_long_questions_are_refused_with_their_count(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="none of the 12 training questions .* at most 5 tokens"):
        train_adapter(model, view, replace(recipe, max_length=5), tmp_path / "adapter")


def test_unknown_target_modules_are_refused_by_name(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="cannot be attached to 'tiny' with target_modules .*no_such_layer"):
        train_adapter(model, view, replace(recipe, target_modules="no_such_layer"), tmp_path / "adapter")


def test_gradient_checkpointing_trains_the_same_adapter(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path
) -> None:
    plain = train_adapter(model, view, recipe, tmp_path / "plain")
    saving = train_adapter(model, view, replace(recipe, gradient_checkpointing=True), tmp_path / "saving")
    assert saving.epochs[-1].train_loss == pytest.approx(plain.epochs[-1].train_loss, abs=1e-4)


def test_texts_are_trained_on_beside_the_questions_and_recorded(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path
) -> None:
    plain = train_adapter(model, view, recipe, tmp_path / "plain")
    read = train_adapter(model, view, recipe, tmp_path / "read", texts=["the colour of oak is pink"] * 8)
    assert plain.text_rows is None
    assert read.text_rows is not None
    assert (read.text_rows.n_rows, read.train_rows) == (8, plain.train_rows)
    assert read.build_usage.input_tokens > plain.build_usage.input_tokens
    assert read.key != plain.key
    assert load_adapter_record(tmp_path / "read") == read


def test_prompts_that_may_hold_the_answer_are_watched_on_all_validation_questions(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path
) -> None:
    unseen = replace(view.validation[0], id="new", group="new")
    view = replace(view, validation=(*view.validation, unseen))
    bare = train_adapter(model, view, recipe, tmp_path / "bare")
    passages = train_adapter(
        model, view, recipe, tmp_path / "passages", messages_of=lambda e: (Message(Role.USER, "oak is red"),)
    )
    assert (bare.validation_rows.n_rows, passages.validation_rows.n_rows) == (4, 5)


def adapter_files(folder: Path) -> dict[str, bytes]:
    """What training left, without its record."""
    own = {RECORD, SEAL}
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in own}
