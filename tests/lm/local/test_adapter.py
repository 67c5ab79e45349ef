import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from lm.completion import GenerationConfig, Message, Messages, Role
from lm.errors import LanguageModelError
from lm.local.huggingface import HuggingFaceModel, load_huggingface_model

CONFIG = GenerationConfig(max_output_tokens=10)
PROMPTS: list[Messages] = [(Message(Role.USER, text),) for text in ("the warranty?", "fox", "I don't know the manual")]


@pytest.fixture(scope="module")
def base(tiny_model_folder: Path) -> HuggingFaceModel:
    return load_huggingface_model(tiny_model_folder, name="tiny", device="cpu")


@pytest.fixture
def adapter(tiny_adapter_folders: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the first adapter to damage."""
    return shutil.copytree(tiny_adapter_folders[0], tmp_path / "adapter")


def _answers(model: Any) -> list[str]:
    return [completion.text for completion in model.generate(PROMPTS, CONFIG)]


def _edit_config(adapter: Path, **values: object) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_adapters_and_base_answer_each_their_own_way(
    tiny_model_folder: Path, tiny_adapter_folders: tuple[Path, Path]
) -> None:
    base = load_huggingface_model(tiny_model_folder, device="cpu")
    alone = _answers(base)
    first, second = [base.with_adapter(folder, f"tuned-{i}") for i, folder in enumerate(tiny_adapter_folders)]
    answers = {"first": _answers(first), "second": _answers(second)}
    assert len({*map(tuple, answers.values()), tuple(alone)}) == 3
    assert _answers(base) == alone
    assert _answers(first) == answers["first"]
    assert "".join(second.stream(PROMPTS[0], CONFIG)) == answers["second"][0]


def test_adapted_answers_equal_those_of_the_merged_weights(
    tiny_model_folder: Path, tiny_adapter_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    merged = shutil.copytree(tiny_model_folder, tmp_path / "merged")
    state = safetensors.torch.load_file(merged / "model.safetensors")
    lora = safetensors.torch.load_file(tiny_adapter_folders[0] / "adapter_model.safetensors")
    scale = json.loads((tiny_adapter_folders[0] / "adapter_config.json").read_text())["lora_alpha"] / 4
    for name in [name for name in lora if name.endswith("lora_A.weight")]:
        layer = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        state[f"{layer}.weight"] += scale * lora[name.replace("lora_A", "lora_B")] @ lora[name]
    safetensors.torch.save_file(state, merged / "model.safetensors", metadata={"format": "pt"})
    adapted = load_huggingface_model(tiny_model_folder, device="cpu").with_adapter(tiny_adapter_folders[0], "tuned")
    assert _answers(adapted) == _answers(load_huggingface_model(merged, device="cpu"))


def test_several_callers_may_share_one_base(base: HuggingFaceModel, tiny_adapter_folders: tuple[Path, Path]) -> None:
    models: list[Any] = [base, *(base.with_adapter(folder, "tuned") for folder in tiny_adapter_folders)]
    expected = [_answers(model) for model in models]
    seen: list[tuple[int, list[str]]] = []
    threads = [threading.Thread(target=lambda i=i: seen.append((i, _answers(models[i])))) for i in (0, 1, 2, 0, 2, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 6
    assert all(answers == expected[i] for i, answers in seen)


def test_fingerprint_is_the_base_and_the_adapters_files(
    base: HuggingFaceModel, tiny_adapter_folders: tuple[Path, Path], adapter: Path
) -> None:
    first, second = [base.with_adapter(folder, "tuned") for folder in tiny_adapter_folders]
    assert len({base.fingerprint, first.fingerprint, second.fingerprint}) == 3
    assert base.with_adapter(adapter, "copy").fingerprint == first.fingerprint


def test_equal_adapters_are_attached_once(base: HuggingFaceModel, adapter: Path) -> None:
    base.with_adapter(adapter, "one")
    n_attached = len(base._peft.peft_config)
    base.with_adapter(adapter, "two")
    assert len(base._peft.peft_config) == n_attached


def test_pickled_adapter_is_refused_before_it_is_opened(base: HuggingFaceModel, adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").unlink()
    (adapter / "adapter_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(LanguageModelError, match=r"only pickled weights \(adapter_model\.bin\)"):
        base.with_adapter(adapter, "tuned")


def test_missing_folder_weights_or_config_are_refused_by_name(
    base: HuggingFaceModel, adapter: Path, tmp_path: Path
) -> None:
    with pytest.raises(LanguageModelError, match="nothing does not exist"):
        base.with_adapter(tmp_path / "nothing", "tuned")
    (adapter / "adapter_config.json").unlink()
    with pytest.raises(LanguageModelError, match=r"adapter_config\.json is missing"):
        base.with_adapter(adapter, "tuned")
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(LanguageModelError, match=r"holds no adapter_model\.safetensors"):
        base.with_adapter(adapter, "tuned")


def test_adapter_recorded_for_other_weights_is_refused(base: HuggingFaceModel, adapter: Path) -> None:
    (adapter / "adapter.json").write_text(json.dumps({"base_weights_sha256": base.weights_sha256}))
    assert base.with_adapter(adapter, "tuned")
    (adapter / "adapter.json").write_text(json.dumps({"base_weights_sha256": "0" * 64}))
    with pytest.raises(LanguageModelError, match="was trained on other base weights"):
        base.with_adapter(adapter, "tuned")


def test_adapter_of_other_shape_is_refused(base: HuggingFaceModel, adapter: Path) -> None:
    weights = adapter / "adapter_model.safetensors"
    lora = safetensors.torch.load_file(weights)
    name = next(name for name in lora if name.endswith("q_proj.lora_A.weight"))
    safetensors.torch.save_file({**lora, name: torch.zeros(4, 64)}, weights)
    with pytest.raises(LanguageModelError, match=r"q_proj takes 32 inputs, the adapter's 64"):
        base.with_adapter(adapter, "tuned")
    safetensors.torch.save_file({name.replace("layers.0", "layers.9"): lora[name]}, weights)
    with pytest.raises(LanguageModelError, match=r"there is no layer model\.layers\.9"):
        base.with_adapter(adapter, "tuned")


def test_adapter_of_another_hub_model_is_refused(base: HuggingFaceModel, adapter: Path) -> None:
    _edit_config(adapter, base_model_name_or_path="some-org/other-model")
    base_from_hub = load_huggingface_model(base.folder, device="cpu")
    base_from_hub.source = "some-org/this-model"
    with pytest.raises(LanguageModelError, match="was trained on 'some-org/other-model', not on 'some-org/this-model'"):
        base_from_hub.with_adapter(adapter, "tuned")


def test_damaged_adapter_is_refused_and_leaves_base_and_other_adapters_as_they_were(
    tiny_model_folder: Path, tiny_adapter_folders: tuple[Path, Path], adapter: Path
) -> None:
    base = load_huggingface_model(tiny_model_folder, device="cpu")
    before = _answers(base)
    weights = adapter / "adapter_model.safetensors"
    lora = safetensors.torch.load_file(weights)
    safetensors.torch.save_file(dict(list(lora.items())[:2]), weights)
    with pytest.raises(LanguageModelError, match=r"lacks 10 of the tensors its config promises, model\.layers"):
        base.with_adapter(adapter, "tuned")
    assert _answers(base) == before
    safetensors.torch.save_file(lora, weights)
    _edit_config(adapter, r=8)
    with pytest.raises(LanguageModelError, match="cannot be attached to .*size mismatch"):
        base.with_adapter(adapter, "tuned")
    assert _answers(base) == before
    good = base.with_adapter(tiny_adapter_folders[0], "tuned")
    answers = _answers(good)
    assert answers != before
    _edit_config(adapter, r=8, target_modules=["no_such_layer"])
    with pytest.raises(LanguageModelError, match="cannot be attached to"):
        base.with_adapter(adapter, "tuned")
    assert (_answers(base), _answers(good)) == (before, answers)


def test_adapters_that_would_change_the_base_are_refused(base: HuggingFaceModel, adapter: Path) -> None:
    for start in ("pissa", "pissa_niter_16", "olora", "loftq"):
        _edit_config(adapter, init_lora_weights=start)
        with pytest.raises(LanguageModelError, match="would change the base model's answers"):
            base.with_adapter(adapter, "tuned")


def test_other_kinds_of_adapter_are_refused(base: HuggingFaceModel, adapter: Path) -> None:
    _edit_config(adapter, peft_type="PROMPT_TUNING")
    with pytest.raises(LanguageModelError, match="supported are LORA, IA3, VERA"):
        base.with_adapter(adapter, "tuned")


def test_a_closed_adapter_leaves_the_base_and_the_others_as_they_were(
    tiny_model_folder: Path, tiny_adapter_folders: tuple[Path, Path]
) -> None:
    base = load_huggingface_model(tiny_model_folder, device="cpu")
    plain = _answers(base)
    first, second = (base.with_adapter(folder, "tuned") for folder in tiny_adapter_folders)
    again = base.with_adapter(tiny_adapter_folders[0], "again")
    answers = {model: _answers(model) for model in (first, second)}

    first.close()
    first.close()
    assert _answers(again) == answers[first]
    again.close()
    assert _answers(second) == answers[second]
    second.close()
    assert not [name for name, _ in base.module.named_parameters() if ".lora_" in name]
    assert _answers(base) == plain
    with pytest.raises(LanguageModelError, match="was closed and answers no more"):
        _answers(first)
    assert _answers(base) == plain

    once_more = base.with_adapter(tiny_adapter_folders[1], "tuned")
    assert _answers(once_more) == answers[second]


# ---- Folders as trainers write them


def _unsloth(adapter: Path) -> None:
    """On a quantised copy of the base, of its own."""
    mapping = {"base_model_class": "LlamaForCausalLM", "parent_library": "transformers", "unsloth_fixed": True}
    name = "unsloth/this-model-unsloth-bnb-4bit"
    _edit_config(adapter, base_model_name_or_path=name, revision="unsloth", auto_mapping=mapping)


def _llama_factory(adapter: Path) -> None:
    """With the tokenizer's code beside it, which is not run, and a pickle, which is not opened."""
    _edit_config(adapter, base_model_name_or_path="some-org/this-model")
    (adapter / "tokenization_this.py").write_text(f"open({str(adapter / 'ran')!r}, 'w')")
    (adapter / "training_args.bin").write_bytes(b"\x80\x04cos\nsystem\n.")
    for name in ("all_results.json", "train_results.json", "trainer_state.json", "trainer_log.jsonl", "README.md"):
        (adapter / name).write_text("{}")
    shutil.copytree(adapter, adapter / "checkpoint-3")


def _autotrain(adapter: Path) -> None:
    """With its settings, and a base known by the path that it had on the machine of the training."""
    _edit_config(adapter, base_model_name_or_path="/app/models/base")
    (adapter / "training_params.json").write_text(json.dumps({"model": "some-org/this-model", "peft": True}))


@pytest.mark.parametrize("written_by", [_unsloth, _llama_factory, _autotrain])
def test_adapters_of_other_trainers_are_taken_as_they_are(
    tiny_model_folder: Path, tiny_adapter_folders: tuple[Path, Path], adapter: Path, written_by: Any
) -> None:
    written_by(adapter)
    base = load_huggingface_model(tiny_model_folder, device="cpu")
    ours = _answers(base.with_adapter(tiny_adapter_folders[0], "ours"))
    base.source = "some-org/this-model"
    assert _answers(base.with_adapter(adapter, "theirs")) == ours
    assert not (adapter / "ran").exists()


@pytest.mark.parametrize("name", ["unsloth/other-model-bnb-4bit", "some-org/this-model-7b", "some-org/this-model-base"])
def test_a_copy_of_another_model_is_another_model(tiny_model_folder: Path, adapter: Path, name: str) -> None:
    base = load_huggingface_model(tiny_model_folder, device="cpu")
    base.source = "some-org/this-model"
    _edit_config(adapter, base_model_name_or_path=name)
    with pytest.raises(LanguageModelError, match=f"was trained on '{name}'"):
        base.with_adapter(adapter, "theirs")


@pytest.mark.parametrize("below", ["adapter", "checkpoint-150"])
def test_the_folder_of_a_run_is_refused_with_the_folders_in_it(
    base: HuggingFaceModel, adapter: Path, tmp_path: Path, below: str
) -> None:
    # Olive leaves `model` and `adapter`, trainers that were ended their checkpoints alone.
    run = tmp_path / "run"
    shutil.copytree(adapter, run / below)
    with pytest.raises(LanguageModelError, match=f"holds no config.json.*give one of the folders in it: {below}"):
        load_huggingface_model(run)
    with pytest.raises(LanguageModelError, match=f"no adapter_model.safetensors; .*in it: {below}"):
        base.with_adapter(run, "theirs")


def test_pickled_weights_of_an_older_trainer_are_refused(base: HuggingFaceModel, adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(LanguageModelError, match="only pickled weights .*save it again with safetensors"):
        base.with_adapter(adapter, "theirs")
