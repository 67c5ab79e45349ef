"""The weights that ship, and what the card says of them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lm.pocket.evaluate import CHECKPOINT, answers_to, load
from lm.pocket.held_out import Item, reading_turn
from lm.pocket.tokenizer import CHAT_TEMPLATE

CARD = CHECKPOINT.parent / "MODEL_CARD.md"
MAX_BYTES = 24_000_000
PRODUCT_LINES = {"Brennik", "Clario", "Crema", "Drift", "Gust", "Tide", "Vela"}


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    return load(CHECKPOINT)


def _card_value(name: str) -> str:
    row = re.search(rf"^\| {re.escape(name)} \| (.+?) \|$", CARD.read_text(encoding="utf-8"), re.MULTILINE)
    assert row, f"no row {name} in the card"
    return row[1]


def test_card_states_the_size_of_the_files() -> None:
    config = json.loads((CHECKPOINT / "config.json").read_text(encoding="utf-8"))
    size = (CHECKPOINT / "model.safetensors").stat().st_size
    assert size < MAX_BYTES
    assert _card_value("Weights, bytes") == f"{size:,}"
    assert _card_value("Vocabulary, tokens") == f"{config['vocab_size']:,}"
    assert _card_value("Architecture") == config["architectures"][0]
    assert _card_value("Layers") == f"{config['num_hidden_layers']}"
    assert _card_value("Longest context, tokens") == f"{config['max_position_embeddings']:,}"


def test_config_names_no_path_of_the_training_machine() -> None:
    for name in ("config.json", "tokenizer_config.json", "generation_config.json"):
        assert not re.search(r"/(tmp|home|work|root)\b", (CHECKPOINT / name).read_text(encoding="utf-8"))


@pytest.mark.slow
def test_card_states_the_number_of_parameters(loaded: tuple[Any, Any]) -> None:
    model, _ = loaded
    assert _card_value("Parameters") == f"{sum(p.numel() for p in model.parameters()):,}"


@pytest.mark.slow
def test_it_loads_offline_and_reads_a_simple_passage(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    assert tokenizer.chat_template == CHAT_TEMPLATE
    passage = "Larkmere kettle: The Larkmere kettle weighs 3 kg. The warranty on the Larkmere kettle lasts five years."
    asked = ("How much does the Larkmere kettle weigh?", "How long is the warranty on the Larkmere kettle?")
    items = [Item((reading_turn((passage,), question),), ()) for question in asked]
    assert answers_to(items, model, tokenizer) == ["3 kg", "five years"]


@pytest.mark.slow
def test_it_does_not_claim_to_know_without_a_passage(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    item = Item((reading_turn((), "What is the part number of the Larkmere kettle?"),), ())
    assert answers_to([item], model, tokenizer) == ["I don't know."]


def test_generator_does_not_speak_of_the_bundled_datasets() -> None:
    datasets = Path(__file__).parents[3] / "datasets"
    text = " ".join(path.read_text(encoding="utf-8") for path in datasets.glob("*/documents.jsonl"))
    product_lines = {name for name in PRODUCT_LINES if name in text}
    assert product_lines, "the data sets name other products now: bring PRODUCT_LINES up to date"
    sources = [*CHECKPOINT.parent.glob("*.py"), *CHECKPOINT.parent.glob("*.txt"), CHECKPOINT.parent / "held_out.json"]
    for source in sources:
        assert not product_lines & set(re.findall(r"\w+", source.read_text(encoding="utf-8"))), source.name
