"""Arms from outside by REST: files that are sent with the request, models and adapters that the operator offers."""

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from advisor.data.dataset import Split
from advisor.data.files import load_dataset
from lm.errors import ConfigError
from service.run.stored_comparison import job_settings
from service.store.bundled_datasets import BUNDLED_DATASETS
from service.store.comparisons.comparison_store import find_comparison, list_comparisons
from tests.service.api.conftest import Api

NAME = "appliance-support"
TEST_IDS = [e.id for e in load_dataset(BUNDLED_DATASETS / NAME).split(Split.TEST)]
PROMPT = "Kindly: {question}"


def answers(ids: list[str]) -> str:
    return "".join(json.dumps({"id": i, "text": "two years", "seconds": 0.5}) + "\n" for i in ids)


def post(client: TestClient, path: str = "", **change: Any) -> Any:
    return client.post(f"/v1/comparisons{path}", json={"dataset": NAME, **change})


def test_files_are_sent_with_the_request_and_are_there_when_it_runs(api: Api, client: TestClient) -> None:
    files = {"ours.jsonl": answers(TEST_IDS), "well.txt": PROMPT}
    arms = ["base", "app=answers:ours.jsonl@gpt-5-mini", "prompt:well.txt"]
    made = post(client, arms=arms, files=files).json()
    assert made["arms"] == ["base", "app", "prompt-well"]
    assert "arm_files" not in made["settings"]
    stored = find_comparison(api.engine, made["id"], sent_files=True)
    assert PROMPT not in json.dumps(client.get("/v1/comparisons").json())
    _, app, prompt = job_settings(api.engine, api.context.directory, NAME, stored.settings).arm_specs
    assert (app.id, app.model, prompt.id) == ("app", "gpt-5-mini", "prompt-well")
    assert Path(app.source).read_text() == files["ours.jsonl"]
    assert Path(prompt.source).read_text() == PROMPT
    # As a comparison of the command line names it.
    kept = {**stored.settings, "arms": [f"prompt:{prompt.source}"], "arm_files": None}
    assert job_settings(api.engine, api.context.directory, NAME, kept).arm_specs[0].source == prompt.source
    Path(prompt.source).write_text(PROMPT.replace("K", "k"))
    with pytest.raises(ConfigError, match="is damaged; put it back from a backup"):
        job_settings(api.engine, api.context.directory, NAME, kept)


def test_each_wrong_line_of_sent_answers_is_named_before_anything_is_stored(api: Api, client: TestClient) -> None:
    wrong = answers([TEST_IDS[0], TEST_IDS[0], "x9", *TEST_IDS[2:]])
    for path in ("", "/estimate"):
        refused = post(client, path, arms=["answers:ours.jsonl"], files={"ours.jsonl": wrong})
        assert refused.status_code == 422
        told = refused.json()["detail"]
        assert told.startswith("ours.jsonl: line 2:")
        assert "line 3: 'x9' is no question of the dataset" in told
        assert f"no answer to {TEST_IDS[1]}" in told
    assert list_comparisons(api.engine)[1] == 0
    assert not (api.home / "inputs").exists()


def test_only_the_questions_that_are_asked_need_an_answer(client: TestClient) -> None:
    few = {"arms": ["answers:ours.jsonl"], "limit": 10}
    missing = post(client, **few, files={"ours.jsonl": answers(TEST_IDS[:1])}).json()["detail"]
    asked = [TEST_IDS[0], *missing.split("no answer to ")[1].split(";")[0].split(", ")]
    assert post(client, **few, files={"ours.jsonl": answers(list(dict.fromkeys(asked)))}).status_code == 202


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"arms": ["answers:ours.jsonl"]}, "'ours.jsonl', which was not sent"),
        ({"arms": ["prompt:/etc/passwd"]}, "'/etc/passwd', which was not sent"),
        ({"pipelines": ["prompt:/etc/passwd"]}, "'/etc/passwd', which was not sent"),
        ({"pipelines": ["rag@hf:/etc"]}, "not a path of the server"),
        ({"pipelines": ["external:http://169.254.169.254/v1"]}, "169.254.169.254"),
        ({"arms": ["base"], "files": {"well.txt": PROMPT}}, "'well.txt', which no arm reads"),
        ({"arms": ["prompt:well.txt"], "files": {"well.txt": "No place"}}, "the prompt well.txt has no {question}"),
        ({"arms": ["prompt:w.toml"], "files": {"w.toml": "user = "}}, "the prompt w.toml cannot be read"),
        ({"arms": ["base"], "files": {"../x": PROMPT}}, "body.files"),
        ({"arms": ["base"], "files": {"x": ""}}, "body.files"),
        ({"arms": ["adapter:ours"]}, "`tuningfork serve --models DIR`"),
        ({"arms": ["base"], "model": "folder:ours"}, "`tuningfork serve --models DIR`"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_remedy(client: TestClient, change: dict[str, Any], told: str) -> None:
    refused = post(client, **change)
    assert refused.status_code == 422
    assert told in refused.json()["detail"]


def test_half_a_character_is_refused(client: TestClient) -> None:
    body = json.dumps({"dataset": NAME, "arms": ["prompt:a.txt"], "files": {"a.txt": "\ud800 {question}"}})
    refused = client.post("/v1/comparisons", content=body, headers={"Content-Type": "application/json"})
    assert (refused.status_code, "body.files" in refused.json()["detail"]) == (422, True)


# ---- Models and adapters that the operator offers


def tensors(path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(24))


@pytest.fixture
def offering(api: Api, tmp_path: Path) -> Api:
    """A service with a model, an adapter in a trainer's folder, and a pickled one."""
    offered = tmp_path / "offered"
    for name in ("small", "run/checkpoint-3", "poisoned"):
        (offered / name).mkdir(parents=True)
    (offered / "small" / "config.json").write_text("{}")
    tensors(offered / "small" / "model.safetensors")
    for name in ("run/checkpoint-3", "poisoned"):
        config = {"peft_type": "LORA", "base_model_name_or_path": "/home/someone/small"}
        (offered / name / "adapter_config.json").write_text(json.dumps(config))
    tensors(offered / "run" / "checkpoint-3" / "adapter_model.safetensors")
    (offered / "poisoned" / "adapter_model.bin").write_bytes(b"\x80\x04cos\nsystem\n.")
    return Api(api.engine, api.home, replace(api.settings, models=offered))


def test_what_the_operator_offers_is_named_without_its_path(offering: Api) -> None:
    arms = ["base", "tuned=adapter:run/checkpoint-3", "rag@folder:small"]
    made = post(offering.client(), arms=arms, model="folder:small").json()
    assert made["arms"] == ["base", "tuned", "rag-small"]
    stored = find_comparison(offering.engine, made["id"])
    settings = job_settings(offering.engine, offering.context.directory, NAME, stored.settings)
    offered = offering.settings.models
    assert offered is not None
    assert settings.model == f"hf:{offered / 'small'}"
    assert [arm.source or arm.model for arm in settings.arm_specs[1:]] == [
        str(offered / "run" / "checkpoint-3"),
        f"hf:{offered / 'small'}",
    ]


@pytest.mark.parametrize(
    ("arm", "told"),
    [
        ("adapter:poisoned", "the adapter 'poisoned' has only pickled weights"),
        ("adapter:../offered/small", "no model or adapter '../offered/small'"),
        ("adapter:/etc", "no model or adapter '/etc'"),
        ("adapter:run", "no model or adapter 'run'"),
        ("rag@folder:..", "no model or adapter '..'"),
    ],
)
def test_what_is_not_offered_or_not_safe_is_refused(offering: Api, arm: str, told: str) -> None:
    refused = post(offering.client(), arms=[arm])
    assert refused.status_code == 422
    assert told in refused.json()["detail"]
    assert str(offering.settings.models) not in refused.json()["detail"]


def test_what_a_comparison_can_start_with_is_listed(offering: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    listed = offering.client().get("/v1/base-models").json()["items"]
    found = {(one["place"], one["spec"]): one for one in listed}
    assert listed[0]["spec"] == "smollm2"
    small = found["folder", "folder:small"]
    assert (small["is_ready"], small["parameters"], small["n_bytes"]) == (True, 6, small["n_bytes"])
    assert found["adapter", "run/checkpoint-3"]["message"] == "an adapter of small"
    assert not found["adapter", "poisoned"]["is_ready"]
    assert "pickled" in found["adapter", "poisoned"]["message"]
    assert any(place == "hub" and one["parameters"] for (place, _), one in found.items())
    hosted = found["endpoint", "openai:gpt-5-mini"]
    assert not hosted["is_ready"] and "set OPENAI_API_KEY" in hosted["message"]


def test_an_offered_model_is_tried_by_its_name(offering: Api) -> None:
    found = offering.client().post("/v1/models/try", json={"model": "folder:small", "ask": False}).json()
    assert (found["model"], found["is_ready"], found["parameters"]) == ("folder:small", True, 6)
