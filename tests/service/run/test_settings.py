import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from advisor.data.dataset import Task
from advisor.money.cost import Traffic
from finetune.recipe import TuningOptions
from lm.errors import ConfigError
from lm.registry import LoadOptions
from service.run.settings import ComparisonSettings, Constrain
from service.store.bundled_datasets import BUNDLED_DATASETS, bundled_datasets


@pytest.mark.parametrize(
    "settings",
    [
        ComparisonSettings("appliance-support"),
        ComparisonSettings(
            "./mine",
            task=Task.EXTRACTION,
            arms=("rag", "base"),
            limit=3,
            judge="openai:x",
            prices=Path("prices.toml"),
            launch_config=Path("accelerate.yaml"),
            tensorboard=Path("events"),
            traffic=Traffic(5, 0, 3),
            trust_remote_code=True,
        ),
    ],
)
def test_settings_survive_json(settings: ComparisonSettings) -> None:
    assert ComparisonSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_keys_of_later_versions_are_passed_over() -> None:
    raw = ComparisonSettings("x").to_json() | {"invented_later": 1}
    assert ComparisonSettings.from_json(raw) == ComparisonSettings("x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arms": ("rag", "rgb")}, "arms has 'rgb'; give .* one of base, few-shot, rag"),
        ({"arms": ()}, "no arm was chosen"),
        ({"arms": ("rag", "rag")}, "named twice"),
        ({"limit": 0}, "limit is 0"),
        ({"train_limit": -1}, "train_limit is -1"),
        ({"max_epochs": 0}, "max_epochs is 0"),
        ({"top_k": 0}, "top_k is 0"),
        ({"method": "qora"}, "method is 'qora'; give one of lora"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"n_shots": 0}, "n_shots is 0"),
        ({"overlap_tokens": 200}, "overlap_tokens is 200"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "seed is 4294967296"),
        ({"margin": 2.0}, "margin is 2.0"),
        ({"margin": float("nan")}, "margin is nan"),
        ({"coverage": 1.1}, "coverage is 1.1"),
        ({"raft_gold_share": 1.1}, "raft_gold_share is 1.1"),
    ],
)
def test_impossible_settings_are_refused_by_name_and_value(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ComparisonSettings("x", **change)


def test_a_name_is_a_bundled_data_set_and_a_path_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "appliance-support").mkdir()
    assert ComparisonSettings("appliance-support").dataset_folder == BUNDLED_DATASETS / "appliance-support"
    assert ComparisonSettings("./appliance-support").dataset_folder == Path("./appliance-support")
    assert ComparisonSettings("..").dataset_folder == Path("..")


def test_bundled_data_sets_are_found() -> None:
    assert {"appliance-support", "ticket-triage", "claims-to-json"} <= set(bundled_datasets())


def test_resolved_settings_open_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = ComparisonSettings("mine", model="./model", embedder="hf:model", prices=Path("p.toml"))
    resolved = settings.resolved()
    assert resolved.dataset == str(tmp_path / "mine")
    assert resolved.model == resolved.embedder == f"hf:{tmp_path / 'model'}"
    assert resolved.prices == tmp_path / "p.toml"
    assert resolved.resolved() == resolved


@pytest.mark.parametrize("spec", ["gguf:small.gguf", "small.gguf", "./small.gguf"])
def test_a_gguf_file_is_resolved_to_its_path(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ComparisonSettings("x", model=spec).resolved().model == f"gguf:{tmp_path / 'small.gguf'}"


def test_names_stay_names_when_resolved() -> None:
    settings = ComparisonSettings("appliance-support", model="openai:x@http://localhost:1/v1", judge="hf:org/name")
    assert settings.resolved() == settings


def test_settings_of_before_tuning_could_read_documents_are_still_read() -> None:
    raw = ComparisonSettings("tiny").to_json()
    del raw["tune_on"], raw["raft_gold_share"]
    assert ComparisonSettings.from_json(raw) == ComparisonSettings("tiny")


def test_comparisons_of_before_answers_could_be_constrained_stay_free() -> None:
    raw = ComparisonSettings("tiny").to_json()
    assert raw.pop("constrain") == "auto"
    assert ComparisonSettings.from_json(raw).constrain is Constrain.OFF


def test_recipe_and_loading_are_those_of_the_settings() -> None:
    options = TuningOptions(r=4, lora_alpha=8, schedule="linear", patience=5, weight_decay=0.1, batch_size=6)
    settings = ComparisonSettings("x", tuning=options, method="dora", device="cpu", revision="v2", context_tokens=99)
    recipe = settings.recipe(Task.QUESTION_ANSWERING, "questions", seed=3)
    assert (recipe.r, recipe.lora_alpha, recipe.schedule, recipe.patience) == (4, 8, "linear", 5)
    assert (recipe.weight_decay, recipe.batch_size, recipe.method, recipe.seed) == (0.1, 6, "dora", 3)
    assert (recipe.max_epochs, recipe.prompt_dropout) == (6, 0.3)
    assert settings.recipe(Task.QUESTION_ANSWERING, "raft", 0).prompt_dropout == 0.0
    chosen = replace(settings, tuning=TuningOptions(prompt_dropout=0.1), max_epochs=2)
    by_heart = chosen.recipe(Task.QUESTION_ANSWERING, "questions", 0)
    assert (by_heart.prompt_dropout, by_heart.max_epochs) == (0.1, 2)
    assert settings.load_options == LoadOptions("cpu", None, False, "v2", 99)
