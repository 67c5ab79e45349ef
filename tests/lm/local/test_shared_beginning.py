"""What prompts share is read once, and nobody can tell by the answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from lm.completion import GenerationConfig, Message, Messages, Role
from lm.local.huggingface import AdaptedModel, HuggingFaceModel, load_huggingface_model
from lm.local.shared_beginning import LEAST_SHARED_TOKENS

CONFIG = GenerationConfig(max_output_tokens=10, batch_size=4)
INSTRUCTION = "Read the manual and answer the quick brown fox in a few words."
QUESTIONS = ["how long?", "the fox", "Two years. I don't know.", "x", "reads the manual", "quick brown fox " * 4]


def _prompts(instruction: str = INSTRUCTION) -> list[Messages]:
    return [(Message(Role.USER, f"{instruction}\n\nQuestion: {question}"),) for question in QUESTIONS]


@pytest.fixture
def model(tiny_model_folder: Path) -> HuggingFaceModel:
    return load_huggingface_model(tiny_model_folder, name="tiny", device="cpu")


@pytest.fixture
def alone(tiny_model_folder: Path) -> HuggingFaceModel:
    """The same model, that reads every prompt from its first token."""
    loaded = load_huggingface_model(tiny_model_folder, name="tiny", device="cpu")
    loaded._forward.can_share = False
    return loaded


@pytest.fixture
def tokens_read(model: HuggingFaceModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Tokens of each forward pass, padding included."""
    read: list[int] = []
    forward = model.module.forward

    def counting(**arguments: Any) -> Any:
        read.append(arguments["input_ids"].numel())
        return forward(**arguments)

    monkeypatch.setattr(model.module, "forward", counting)
    yield read


def test_answers_are_those_of_prompts_read_whole(
    model: HuggingFaceModel, alone: HuggingFaceModel, tiny_adapter_folders: tuple[Path, Path]
) -> None:
    whole: HuggingFaceModel | AdaptedModel
    for whole, shared in [
        (alone, model),
        *((alone.with_adapter(f, "tuned"), model.with_adapter(f, "tuned")) for f in tiny_adapter_folders),
    ]:
        expected = [completion.text for completion in whole.generate(_prompts(), CONFIG)]
        completions = shared.generate(_prompts(), CONFIG)
        assert [completion.text for completion in completions] == expected
        cached = sorted(completion.usage.cached_tokens for completion in completions)
        assert cached[1] >= LEAST_SHARED_TOKENS
        assert ["".join(shared.stream(prompt, CONFIG)) for prompt in _prompts()] == expected


def test_logits_behind_a_beginning_are_those_of_the_whole_prompt(model: HuggingFaceModel) -> None:
    prompts = [model.encode(prompt) for prompt in _prompts()]
    with torch.inference_mode():
        beginning = model._beginnings.of(None, prompts)
        kept, _ = model._beginnings.read(None, beginning)
        for ids in prompts:
            whole = model.module(torch.tensor([ids])).logits[0, -1]
            cache = transformers.DynamicCache([(k.clone(), v.clone()) for k, v in kept])
            rest = torch.tensor([ids[len(beginning) :]])
            behind = model.module(rest, past_key_values=cache).logits[0, -1]
            assert torch.allclose(behind, whole, atol=1e-4)


def test_a_beginning_is_read_once_for_all_batches_and_calls(model: HuggingFaceModel, tokens_read: list[int]) -> None:
    model.generate(_prompts(), CONFIG)
    n_shared = len(model._beginnings.of(None, [model.encode(prompt) for prompt in _prompts()]))
    assert tokens_read.count(n_shared) == 1
    tokens_read.clear()
    again = model.generate(_prompts(), CONFIG)
    assert n_shared not in tokens_read
    assert {completion.usage.cached_tokens for completion in again} == {n_shared}


def test_bills_are_for_whole_prompts_and_the_first_reader_had_nothing_cached(model: HuggingFaceModel) -> None:
    completions = model.generate(_prompts(), CONFIG)
    assert [c.usage.input_tokens for c in completions] == [model.count_tokens(prompt) for prompt in _prompts()]
    n_read = [c.usage.cached_tokens for c in completions].count(0)
    assert n_read == 1


def test_the_beginning_ends_with_a_line_whatever_the_questions_have_in_common(model: HuggingFaceModel) -> None:
    alike = [(Message(Role.USER, f"{INSTRUCTION}\nQuestion: how long {end}"),) for end in ("is it?", "was it?")]
    beginning = model._beginnings.of(None, [model.encode(prompt) for prompt in alike])
    assert model.tokenizer.decode(beginning).endswith(f"{INSTRUCTION}\n")


def test_a_prompt_alone_begins_with_what_was_read_for_others(model: HuggingFaceModel) -> None:
    (first,) = model.generate(_prompts()[:1], CONFIG)
    assert first.usage.cached_tokens == 0
    model.generate(_prompts(), CONFIG)
    (served,) = model.generate(_prompts()[:1], CONFIG)
    assert served.usage.cached_tokens >= LEAST_SHARED_TOKENS
    assert served.text == first.text


def test_prompts_that_come_alone_share_what_the_one_before_began_with(model: HuggingFaceModel) -> None:
    cached = [model.generate([prompt], CONFIG)[0].usage.cached_tokens for prompt in _prompts()]
    assert cached[:2] == [0, 0]
    assert all(n >= LEAST_SHARED_TOKENS for n in cached[2:])


def test_an_adapter_has_beginnings_of_its_own_and_takes_them_along(
    model: HuggingFaceModel, tiny_adapter_folders: tuple[Path, Path]
) -> None:
    adapted = [model.with_adapter(folder, "tuned") for folder in tiny_adapter_folders]
    for one in (model, *adapted):
        one.generate(_prompts(), CONFIG)
    assert len({key for key, _ in model._beginnings._kept}) == 3
    adapted[0].close()
    assert {key for key, _ in model._beginnings._kept} == {None, adapted[1]._key}


def test_beginnings_used_longest_ago_go_when_many_are_kept(
    model: HuggingFaceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lm.local.shared_beginning.KEPT_TOKENS", 100)
    for text in ("first one of several", "another one", "a third that is long enough"):
        model.generate(_prompts(f"{INSTRUCTION} {text}"), CONFIG)
    assert sum(len(ids) for _, ids in model._beginnings._kept) <= 100


def test_short_beginnings_and_prompts_without_any_are_read_whole(model: HuggingFaceModel) -> None:
    short = [(Message(Role.USER, question),) for question in QUESTIONS]
    assert {completion.usage.cached_tokens for completion in model.generate(short, CONFIG)} == {0}


_SIZES: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_FAMILIES: dict[str, tuple[dict[str, Any], bool]] = {
    "Qwen3": ({"head_dim": 8}, True),
    "GPT2": ({"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}, True),
    "Olmo2": ({}, True),
    "Mistral": ({"sliding_window": 16}, False),
    "Gemma3Text": ({"head_dim": 8}, False),
    "Lfm2": ({"layer_types": ["conv", "full_attention"]}, False),
    "Mamba": ({"state_size": 4, "num_hidden_layers": 2}, False),
}


@pytest.mark.parametrize("family", _FAMILIES)
def test_families_share_beginnings_or_read_whole_prompts_and_answer_the_same(
    family: str, tiny_tokenizer_folder: Path, tmp_path: Path
) -> None:
    sizes, shares = _FAMILIES[family]
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**{**_SIZES, **sizes})
    module = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.dim() == 2 and family != "Mamba":
                parameter.normal_(std=0.5 if "embed" in name or "wte" in name else 0.25)
    module.save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(tiny_tokenizer_folder).save_pretrained(tmp_path)
    loaded = load_huggingface_model(tmp_path, device="cpu")
    completions = loaded.generate(_prompts(), CONFIG)
    assert any(completion.usage.cached_tokens for completion in completions) is shares
    singles = load_huggingface_model(tmp_path, device="cpu")
    singles._forward.can_share = False
    assert [c.text for c in completions] == [singles.generate([p], CONFIG)[0].text for p in _prompts()]


def test_the_output_layer_gets_states_of_its_own(
    model: HuggingFaceModel, tiny_adapter_folders: tuple[Path, Path]
) -> None:
    """Of a slice of states, and weights without gradients, torch copies the weights once a row: seconds a batch."""
    given: list[torch.Tensor] = []
    layer = model.module.get_output_embeddings()
    layer.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
    adapted = model.with_adapter(tiny_adapter_folders[0], "tuned")
    for one in (model, adapted):
        one.generate(_prompts(), CONFIG)
    assert {states.shape[1] for states in given} == {1}
    assert all(states.is_contiguous() for states in given)


def test_passages_that_some_prompts_share_are_read_once(
    model: HuggingFaceModel,
    alone: HuggingFaceModel,
    tiny_adapter_folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lm.local.prefill.PASS_TOKENS", {"cpu": 8})
    first, second = "the quick brown fox reads the manual " * 3, "how long does it take? Two years. " * 2
    contents = [f"{first}\n{second}\nx?", f"{second}\nthe fox?", f"{first}\nhow?", f"{first}\n{second}\nhow long?"]
    prompts = [(Message(Role.USER, f"{INSTRUCTION}\n\n{content}"),) for content in contents]
    for folder in (None, *tiny_adapter_folders):
        shared, whole = (one.with_adapter(folder, "tuned") if folder else one for one in (model, alone))
        completions = shared.generate(prompts, CONFIG)
        assert [c.text for c in completions] == [c.text for c in whole.generate(prompts, CONFIG)]
        common = min(c.usage.cached_tokens for c in completions[1:])
        n_first, n_second = (len(model.tokenizer(text)["input_ids"]) for text in (first, second))
        assert completions[2].usage.cached_tokens >= common + n_first - 8
        assert completions[3].usage.cached_tokens >= common + n_first + n_second - 16
