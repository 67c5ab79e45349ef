import math
from pathlib import Path
from typing import Any

import pytest
import torch

from lm.pocket.ablate import VARIANTS, nats_per_answer, questions, tokens_until_copying
from lm.pocket.conversations import ConversationSource
from lm.pocket.packing import ANSWER, CONTEXT, Packer
from lm.pocket.real_text import read_real_text
from lm.pocket.tokenizer import train_tokenizer
from lm.pocket.train import Recipe, build_model

TINY = Recipe(vocabulary_size=400, hidden_size=32, n_heads=2, intermediate_size=48, layers="ca")


def test_copying_begins_with_the_second_stage() -> None:
    log = "step 20 tokens 0.08M 10s stage 0 answer loss 1.2\nstep 40 tokens 0.16M 17s stage 0 answer loss 0.95\n"
    assert tokens_until_copying(f"{log}step 60 tokens 0.24M 25s stage 1 answer loss 1.4") == 0.24
    assert tokens_until_copying(log) is None


def test_an_untrained_model_gives_every_token_of_an_answer_about_the_same_chance() -> None:
    torch.manual_seed(0)
    model: Any = build_model(TINY).float().eval()
    rows = [([1, 7, 8, 9], [CONTEXT, CONTEXT, ANSWER, ANSWER]), ([1, 7, 9], [CONTEXT, CONTEXT, ANSWER])]
    mean, error = nats_per_answer(model, rows)
    assert mean == pytest.approx(1.5 * math.log(TINY.vocabulary_size), rel=0.02)
    assert error == pytest.approx(0.5 * math.log(TINY.vocabulary_size), rel=0.05)


def test_questions_are_of_trained_and_of_held_out_attributes(text_folder: Path, tmp_path: Path) -> None:
    real = read_real_text(text_folder)
    source = ConversationSource(0, real)
    tokenizer = train_tokenizer((f" {text}" for _ in range(50) for _, text in source.conversation(0, 60)), 500)
    tokenizer.save_pretrained(tmp_path)
    trained, held_out = questions(Packer(tmp_path / "tokenizer.json", 1, real), 5)
    assert len(trained) == len(held_out) == 5
    for ids, classes in (*trained, *held_out):
        assert len(ids) == len(classes)
        assert ANSWER in classes


def test_each_variant_differs_from_the_recipe_in_what_its_name_says() -> None:
    base = VARIANTS["the recipe"]
    assert base.semantic and "c" in base.layers
    for name, recipe in VARIANTS.items():
        assert recipe.semantic is not ("random embeddings" in name)
        assert ("c" in recipe.layers) is not ("attention only" in name)
