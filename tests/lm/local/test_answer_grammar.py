"""Answers of local models that are held to labels or a schema."""

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
import transformers

from lm.completion import FinishReason, GenerationConfig, Message, Messages, Role
from lm.constraint import Constraint, JsonSchema, OneOf
from lm.errors import ConfigError
from lm.local.answer_grammar import lark_grammar
from lm.local.chat_template import PLAIN_TEMPLATE
from lm.local.huggingface import HuggingFaceModel, load_huggingface_model
from lm.local.shared_beginning import Shared

LABELS = ("billing", "bug", "bug report", "C++", "C#", 'say "no"', "ü-umlaut", "I don't know.")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["colour", "wheels"],
    "properties": {
        "colour": {"enum": ["red", "dark blue"]},
        "wheels": {"type": "integer", "minimum": 1, "maximum": 99},
    },
}
QUESTIONS = ["how long?", "the quick brown fox", "x", "Two years. I don't know.", "manual " * 9]
PROMPTS: list[Messages] = [(Message(Role.USER, question),) for question in QUESTIONS]


def _held(constraint: Constraint, *, max_output_tokens: int = 60, **changes: Any) -> GenerationConfig:
    return GenerationConfig(max_output_tokens=max_output_tokens, batch_size=3, constraint=constraint, **changes)


@pytest.fixture(scope="module")
def model(tiny_model_folder: Path) -> HuggingFaceModel:
    return load_huggingface_model(tiny_model_folder, name="tiny", device="cpu")


def _texts(model: HuggingFaceModel, config: GenerationConfig) -> list[str]:
    return [completion.text for completion in model.generate(PROMPTS, config)]


def test_answers_are_labels_word_for_word(model: HuggingFaceModel) -> None:
    completions = model.generate(PROMPTS, _held(OneOf(LABELS)))
    assert {completion.text for completion in completions} <= set(LABELS)
    assert {completion.finish_reason for completion in completions} == {FinishReason.STOP}
    assert all(completion.usage.output_tokens >= 2 for completion in completions)


def test_every_label_can_be_said(model: HuggingFaceModel) -> None:
    for label in LABELS:
        assert set(_texts(model, _held(OneOf((label,))))) == {label}
    hot = _held(OneOf(LABELS), temperature=50.0)
    said = {text for seed in range(30) for text in _texts(model, GenerationConfig(**{**_fields(hot), "seed": seed}))}
    assert said == set(LABELS)


def _fields(config: GenerationConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


def test_a_batch_answers_as_each_prompt_alone_and_as_a_stream(model: HuggingFaceModel) -> None:
    for constraint in (OneOf(LABELS), JsonSchema(json.dumps(SCHEMA), ("I don't know.",))):
        together = _texts(model, _held(constraint))
        assert together == [model.generate([prompt], _held(constraint))[0].text for prompt in PROMPTS]
        assert together == ["".join(model.stream(prompt, _held(constraint))) for prompt in PROMPTS]


def test_records_satisfy_their_schema_and_are_written_one_way(model: HuggingFaceModel) -> None:
    for text in _texts(model, _held(JsonSchema(json.dumps(SCHEMA)))):
        record = json.loads(text)
        jsonschema.validate(record, SCHEMA)
        assert text == json.dumps(record)


def test_an_alternative_to_a_record_can_be_said(model: HuggingFaceModel) -> None:
    constraint = JsonSchema(json.dumps(SCHEMA), ("I don't know.",))
    hot = {**_fields(_held(constraint)), "temperature": 50.0}
    said = {text for seed in range(12) for text in _texts(model, GenerationConfig(**{**hot, "seed": seed}))}
    assert "I don't know." in said
    for text in said - {"I don't know."}:
        jsonschema.validate(json.loads(text), SCHEMA)


def test_forced_tokens_are_not_predicted_and_are_billed(
    model: HuggingFaceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_passes = 0
    forward = model.module.forward

    def counting(**arguments: Any) -> Any:
        nonlocal n_passes
        n_passes += 1
        return forward(**arguments)

    monkeypatch.setattr(model.module, "forward", counting)
    (completion,) = model.generate(PROMPTS[:1], _held(JsonSchema(json.dumps(SCHEMA))))
    assert completion.usage.output_tokens > 2 * n_passes
    n_passes = 0
    model.generate(PROMPTS[:1], _held(OneOf(("only this",))))
    assert n_passes == 0


def test_an_answer_that_the_limit_cuts_says_so(model: HuggingFaceModel) -> None:
    (completion,) = model.generate(PROMPTS[:1], _held(OneOf(("a rather long label",)), max_output_tokens=3))
    assert completion.finish_reason is FinishReason.LENGTH
    assert completion.usage.output_tokens == 3


def test_models_with_windows_are_held_to_labels_too(tiny_tokenizer_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.MistralConfig(
        vocab_size=384, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=16, max_position_embeddings=256, eos_token_id=2,
    )  # fmt: skip
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(tiny_tokenizer_folder).save_pretrained(tmp_path)
    loaded = load_huggingface_model(tmp_path, device="cpu")
    # 384 logits for 320 tokens: the rest spells nothing and is never chosen.
    assert set(_texts(loaded, _held(OneOf(LABELS)))) <= set(LABELS)


def test_what_the_template_writes_before_an_answer_is_no_part_of_it(tiny_model_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model_folder, tmp_path / "plain")
    (folder / "chat_template.jinja").write_text(PLAIN_TEMPLATE)
    loaded = load_huggingface_model(folder, device="cpu")
    assert loaded._template.answer_lead == " "
    outputs: list[int] = []
    with torch.inference_mode():
        ids = loaded.encode(PROMPTS[0])
        completion = loaded._answer([ids], [Shared()], _held(OneOf(LABELS)), 0.0, outputs.append)[0]
    assert completion.text in LABELS
    assert loaded._decode(outputs).startswith(f" {completion.text}")


def test_a_schema_that_cannot_be_held_to_is_named_with_the_remedy(model: HuggingFaceModel) -> None:
    unholdable = json.dumps({"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)y"}}})
    with pytest.raises(ConfigError, match=r"cannot be constrained to the dataset's schema: .*--constrain off"):
        model.generate(PROMPTS[:1], _held(JsonSchema(unholdable)))


def test_labels_are_written_as_grammar_literals() -> None:
    assert lark_grammar(OneOf(("a", 'b"c'))) == 'start: ("a" | "b\\"c")'
    assert lark_grammar(OneOf(("a",)), " ") == 'start: " " ("a")'
