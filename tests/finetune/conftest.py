"""A base model of a few thousand parameters, on disk as any other, and a training view of a dozen facts."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    GPT2Config,
    Lfm2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
)

from advisor.data.dataset import DatasetCard, Example, Split, Task, TrainingView
from finetune.recipe import TuningRecipe
from lm.local.huggingface import HuggingFaceModel, load_huggingface_model

TEMPLATE = (
    "<bos> {% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} <end> {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)
NAMES = ["alder", "birch", "cedar", "elm", "fir", "hazel", "juniper", "larch", "maple", "oak", "pine", "rowan"]
VALUES = ["red", "green", "blue", "white", "black", "grey", "amber", "violet", "teal", "pink", "brown", "gold"]
WORDS = [
    "<pad>", "<bos>", "<end>", "<user>", "<assistant>", "<system>", "<unk>",
    "Question:", "Which", "colour", "has", "is", "the", "of", "painted", "I", "don't", "know.", *NAMES, *VALUES,
]  # fmt: skip


CONFIGS = {
    "llama": (LlamaConfig, {}),
    "lfm2": (Lfm2Config, {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False}),
    "gpt2": (GPT2Config, {"n_embd": 32, "n_head": 2, "n_layer": 2, "n_positions": 64}),
    "bloom": (BloomConfig, {"n_head": 2, "n_layer": 2}),
    "mistral": (MistralConfig, {"sliding_window": 64}),
    "short-window": (MistralConfig, {"sliding_window": 4}),
    "gemma2": (Gemma2Config, {"head_dim": 16, "sliding_window": 64}),
}
"""Architectures by name, with what their configurations need beside the common shape."""


def write_base(folder: Path, *, architecture: str = "llama", template: str = TEMPLATE) -> Path:
    """A random model and a tokenizer of whole words, saved as transformers saves them."""
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<end>",
        unk_token="<unk>",
        additional_special_tokens=["<user>", "<assistant>", "<system>"],
        model_max_length=64,
    )
    fast.chat_template = template
    shape = {
        "vocab_size": len(WORDS),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "num_hidden_layers": 2,
        "max_position_embeddings": 64,
        "tie_word_embeddings": True,
        "initializer_range": 0.4,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    config, special = CONFIGS[architecture]
    torch.manual_seed(7)
    AutoModelForCausalLM.from_config(config(**shape | special)).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def model(base_folder: Path) -> HuggingFaceModel:
    return load_huggingface_model(base_folder, name="tiny", device="cpu", dtype="float32")


def example(i: int, *, wording: int = 0, split: Split = Split.TRAIN, answer: str | None = None) -> Example:
    question = [f"Which colour has the {NAMES[i]}", f"the {NAMES[i]} is painted Which colour"][wording]
    answers = (VALUES[i] if answer is None else answer,)
    return Example(f"{NAMES[i]}-{wording}", question, answers if answers[0] else (), (), NAMES[i], split)


@pytest.fixture
def view() -> TrainingView:
    card = DatasetCard("trees", Task.QUESTION_ANSWERING, "en", "CC0-1.0", ("exact_match",), "", "")
    train = tuple(example(i) for i in range(12))
    validation = tuple(example(i, wording=1, split=Split.VALIDATION) for i in range(4))
    return TrainingView(card, (), train, validation)


@pytest.fixture
def recipe() -> TuningRecipe:
    return TuningRecipe(
        r=4, lora_alpha=8, learning_rate=0.02, batch_size=4, max_epochs=4, patience=4, precision="float32"
    )
