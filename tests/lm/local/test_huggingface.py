import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import transformers

from lm.completion import Completion, FinishReason, GenerationConfig, Message, Messages, Role
from lm.errors import ConfigError, LanguageModelError
from lm.local.huggingface import HuggingFaceModel, load_huggingface_model

CONFIG = GenerationConfig(max_output_tokens=12, batch_size=4)
QUESTIONS = [
    "how long is the warranty?",
    "x",
    "the quick brown fox " * 5,
    "Two years. I don't know.",
    "manual",
    "the fox",
]
PROMPTS: list[Messages] = [(Message(Role.USER, question),) for question in QUESTIONS]


@pytest.fixture(scope="module")
def model(tiny_model_folder: Path) -> HuggingFaceModel:
    return load_huggingface_model(tiny_model_folder, name="tiny", device="cpu")


@pytest.fixture
def folder(tiny_model_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model to damage."""
    return shutil.copytree(tiny_model_folder, tmp_path / "model")


def _texts(completions: list[Completion]) -> list[str]:
    return [completion.text for completion in completions]


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _raw_answer(model: HuggingFaceModel, prompt: Messages, n_tokens: int) -> list[int]:
    """Greedy tokens by plain forward passes without cache, the end token included."""
    ids = model.encode(prompt)
    output: list[int] = []
    with torch.inference_mode():
        while len(output) < n_tokens and 2 not in output:
            output.append(int(model.module(torch.tensor([ids + output])).logits[0, -1].argmax()))
    return output


def test_answers_are_the_models_own_greedy_tokens(model: HuggingFaceModel) -> None:
    for prompt, completion in zip(PROMPTS, model.generate(PROMPTS, CONFIG), strict=True):
        expected = _raw_answer(model, prompt, CONFIG.max_output_tokens)
        assert completion.text == model.tokenizer.decode(expected, skip_special_tokens=True).strip()
        assert completion.usage.output_tokens == len(expected)


def test_batches_sorted_by_length_equal_single_answers_in_the_callers_order(model: HuggingFaceModel) -> None:
    batched = _texts(model.generate(PROMPTS, CONFIG))
    assert batched == [model.generate([prompt], CONFIG)[0].text for prompt in PROMPTS]
    assert len(set(batched)) > 3


def test_input_tokens_are_counted_without_padding(model: HuggingFaceModel) -> None:
    for prompt, completion in zip(PROMPTS, model.generate(PROMPTS, CONFIG), strict=True):
        text = f"<|bos|><|user|> {prompt[0].content.strip()}<|end|><|assistant|>"
        expected = len(model.tokenizer(text, add_special_tokens=False)["input_ids"])
        assert completion.usage.input_tokens == model.count_tokens(prompt) == expected


def test_an_end_token_ends_the_answer_and_is_counted_once(model: HuggingFaceModel) -> None:
    free = _raw_answer(model, PROMPTS[0], 12)
    end = free[3]
    model._end_ids, before = frozenset({2, end}), model._end_ids
    try:
        completions = model.generate(PROMPTS, CONFIG)
    finally:
        model._end_ids = before
    n_before_end = free.index(end)
    assert completions[0].finish_reason is FinishReason.STOP
    assert completions[0].usage.output_tokens == n_before_end + 1
    assert completions[0].text == model.tokenizer.decode(free[:n_before_end], skip_special_tokens=True).strip()


def test_an_answer_cut_by_the_limit_says_so(model: HuggingFaceModel) -> None:
    completion = model.generate(PROMPTS[:1], GenerationConfig(max_output_tokens=2))[0]
    assert completion.finish_reason is FinishReason.LENGTH
    assert completion.usage.output_tokens == 2


def test_several_end_tokens_of_the_generation_config_are_all_honoured(folder: Path) -> None:
    _edit(
        folder / "generation_config.json", lambda config: config.update(eos_token_id=[2, 7], temperature=0.6, top_k=5)
    )
    loaded = load_huggingface_model(folder)
    assert loaded._end_ids == {2, 7}
    assert loaded.module.generation_config.temperature is None


def test_stop_text_is_cut_off_and_ends_generation(model: HuggingFaceModel) -> None:
    free = model.generate(PROMPTS, CONFIG)
    long = max(range(len(free)), key=lambda i: len(free[i].text))
    mark = free[long].text[4:6]
    stopped = model.generate(PROMPTS, GenerationConfig(max_output_tokens=12, batch_size=4, stop=(mark,)))
    assert stopped[long].text == free[long].text[: free[long].text.index(mark)].strip()
    assert stopped[long].finish_reason is FinishReason.STOP
    assert stopped[long].usage.output_tokens < free[long].usage.output_tokens
    assert all(mark not in completion.text for completion in stopped)


def test_stream_equals_generate(model: HuggingFaceModel) -> None:
    mark = model.generate(PROMPTS[:1], CONFIG)[0].text[5:6]
    for config in (CONFIG, GenerationConfig(max_output_tokens=12, stop=(mark,)), GenerationConfig(temperature=1.0)):
        for prompt in PROMPTS:
            assert "".join(model.stream(prompt, config)) == model.generate([prompt], config)[0].text


def test_an_abandoned_stream_frees_the_model(model: HuggingFaceModel) -> None:
    pieces = model.stream(PROMPTS[0], GenerationConfig(max_output_tokens=200))
    next(pieces)
    pieces.close()
    assert model.generate(PROMPTS[:1], CONFIG)


def test_a_failure_while_streaming_reaches_the_reader(model: HuggingFaceModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise LanguageModelError("the device went away")

    monkeypatch.setattr(model.module, "forward", fail)
    with pytest.raises(LanguageModelError, match="the device went away"):
        list(model.stream(PROMPTS[0], CONFIG))


def test_sampling_is_decided_by_the_seed_and_leaves_the_process_random_state(model: HuggingFaceModel) -> None:
    hot = [GenerationConfig(max_output_tokens=12, temperature=1.5, seed=seed) for seed in (0, 0, 1)]
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = [_texts(model.generate(PROMPTS, config)) for config in hot]
    assert first == again != other
    assert torch.rand(1) == expected


def test_sampling_draws_from_the_whole_vocabulary(model: HuggingFaceModel) -> None:
    hot = GenerationConfig(max_output_tokens=1, temperature=1e4, batch_size=400)
    assert len(set(_texts(model.generate(PROMPTS[:1] * 400, hot)))) > 100


def test_prompt_without_room_is_refused_with_its_length_and_the_context(model: HuggingFaceModel) -> None:
    long = (Message(Role.USER, "fox " * 300),)
    n_tokens = model.count_tokens(long)
    with pytest.raises(LanguageModelError, match=f"prompt 2 of 2 has {n_tokens} tokens .* 12 output .* 256 tokens"):
        model.generate([PROMPTS[0], long], CONFIG)
    with pytest.raises(LanguageModelError, match="no room"):
        model.stream(long, CONFIG)


def test_no_prompts_give_no_completions(model: HuggingFaceModel) -> None:
    assert model.generate([], CONFIG) == []


def test_context_is_the_smaller_of_config_and_tokenizer(folder: Path) -> None:
    _edit(folder / "tokenizer_config.json", lambda config: config.update(model_max_length=100))
    assert load_huggingface_model(folder).context_tokens == 100
    _edit(folder / "tokenizer_config.json", lambda config: config.update(model_max_length=10**30))
    assert load_huggingface_model(folder).context_tokens == 256


def test_missing_folder_is_refused_by_name_without_asking_the_hub(tmp_path: Path) -> None:
    for missing in (str(tmp_path / "nothing"), "./nothing-here", tmp_path / "nothing"):
        with pytest.raises(LanguageModelError, match=r"nothing.* does not exist"):
            load_huggingface_model(missing)


def test_folder_without_a_model_and_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LanguageModelError, match=r"holds no config\.json"):
        load_huggingface_model(tmp_path)
    (tmp_path / "file.safetensors").touch()
    with pytest.raises(LanguageModelError, match="is a file"):
        load_huggingface_model(tmp_path / "file.safetensors")


def test_hub_id_that_is_not_cached_names_the_id_and_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(LanguageModelError, match=r"'some-org/some-model' is not in the local cache.*hf download"):
        load_huggingface_model("some-org/some-model")


def test_text_that_is_neither_path_nor_id_is_refused() -> None:
    with pytest.raises(LanguageModelError, match="neither an existing folder nor a hub id"):
        load_huggingface_model("a/b/c")


def test_pickled_weights_are_never_loaded(folder: Path) -> None:
    state = safetensors.torch.load_file(folder / "model.safetensors")
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(LanguageModelError, match=r"only pickled weights \(pytorch_model\.bin\)"):
        load_huggingface_model(folder)


def test_damaged_weights_are_refused_by_name(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(LanguageModelError, match=r"model"):
        load_huggingface_model(folder)
    weights.write_bytes(b"not weights at all")
    with pytest.raises(LanguageModelError, match=r"model\.safetensors is no valid safetensors file"):
        load_huggingface_model(folder)


def test_missing_tensors_are_refused_rather_than_made_up(folder: Path) -> None:
    state = safetensors.torch.load_file(folder / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.weight"]
    safetensors.torch.save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LanguageModelError, match=r"lack 1 tensors, model\.layers\.1\.mlp\.up_proj\.weight first"):
        load_huggingface_model(folder)


def test_missing_shard_is_refused_by_name(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
    with pytest.raises(LanguageModelError, match=r"lacks 1 of 1 weight files, model-00001-of-00002"):
        load_huggingface_model(folder)


def test_code_that_comes_with_a_model_is_not_run_unless_asked_for(folder: Path) -> None:
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    _edit(
        folder / "config.json",
        lambda config: config.update(model_type="evil", auto_map={"AutoConfig": "evil.EvilConfig"}),
    )
    with pytest.raises(LanguageModelError, match="cannot be loaded"):
        load_huggingface_model(folder)


def test_unknown_device_and_dtype_are_refused(tiny_model_folder: Path) -> None:
    with pytest.raises(ConfigError, match="'abacus'"):
        load_huggingface_model(tiny_model_folder, device="abacus")
    with pytest.raises(ConfigError, match=r"'int3'.*float32, bfloat16, float16"):
        load_huggingface_model(tiny_model_folder, dtype="int3")


def test_fingerprint_follows_weights_template_and_dtype(model: HuggingFaceModel, folder: Path) -> None:
    same = load_huggingface_model(folder, name="another name", device="cpu")
    assert same.fingerprint == model.fingerprint
    assert load_huggingface_model(folder, device="cpu", dtype="bfloat16").fingerprint != model.fingerprint
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    assert load_huggingface_model(folder, device="cpu").fingerprint != model.fingerprint
    shutil.copy(model.folder / "chat_template.jinja", folder)
    state = safetensors.torch.load_file(folder / "model.safetensors")
    state["model.norm.weight"][0] += 1
    safetensors.torch.save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_huggingface_model(folder, device="cpu").fingerprint != model.fingerprint


def test_dtype_is_recorded(tiny_model_folder: Path) -> None:
    assert load_huggingface_model(tiny_model_folder, device="cpu").dtype_name == "float32"
    assert load_huggingface_model(tiny_model_folder, device="cpu", dtype="bfloat16").dtype_name == "bfloat16"


def test_n_parameters_are_those_of_the_module(model: HuggingFaceModel) -> None:
    assert model.n_parameters == sum(parameter.numel() for parameter in model.module.parameters())


def test_loading_and_answering_are_silent(
    tiny_model_folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    loaded = load_huggingface_model(tiny_model_folder)
    loaded.generate(PROMPTS, CONFIG)
    loaded.generate(PROMPTS, GenerationConfig(max_output_tokens=3, temperature=0.7))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


_SIZES: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": {},
    "Mistral": {"sliding_window": 16},
    "Qwen2": {},
    "Qwen3": {"head_dim": 8},
    "Phi3": {},
    "Gemma2": {"head_dim": 8},
    "Gemma3Text": {"head_dim": 8},
    "Olmo2": {},
    "Falcon": {"new_decoder_architecture": True, "num_kv_heads": 2},
    "SmolLM3": {},
    "Lfm2": {"layer_types": ["conv", "full_attention"]},
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128},
}


@pytest.mark.parametrize("family", _FAMILIES)
def test_every_family_goes_the_same_way(family: str, tiny_tokenizer_folder: Path, tmp_path: Path) -> None:
    config = getattr(transformers, f"{family}Config")(**{**_SIZES, **_FAMILIES[family]})
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(tiny_tokenizer_folder).save_pretrained(tmp_path)
    loaded = load_huggingface_model(tmp_path, device="cpu")
    completions = loaded.generate(PROMPTS[:3], GenerationConfig(max_output_tokens=3))
    assert [completion.usage.input_tokens for completion in completions] == [
        loaded.count_tokens(p) for p in PROMPTS[:3]
    ]
    assert all(1 <= completion.usage.output_tokens <= 3 for completion in completions)
    assert "".join(loaded.stream(PROMPTS[1], CONFIG)) == loaded.generate([PROMPTS[1]], CONFIG)[0].text


def test_likelihoods_are_those_of_plain_forward_passes(model: HuggingFaceModel) -> None:
    answers = ["two years", "x", ""]
    found = model.likelihoods(PROMPTS[:3], answers)
    assert found[2] is None
    for prompt, answer, one in zip(PROMPTS, answers[:2], found, strict=False):
        ids = model.encode(prompt)
        tokens = model.tokenizer(answer, add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            logits = model.module(torch.tensor([ids + tokens])).logits[0, len(ids) - 1 : -1]
        expected = -torch.nn.functional.cross_entropy(logits, torch.tensor(tokens), reduction="sum").item()
        assert one is not None
        assert (one.n_tokens, one.log_probability) == (len(tokens), pytest.approx(expected, rel=1e-4))


def test_what_does_not_fit_the_context_has_no_likelihood(model: HuggingFaceModel) -> None:
    assert model.likelihoods(PROMPTS[:1], ["fox " * model.context_tokens]) == [None]
