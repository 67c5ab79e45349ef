"""Drivers on a real cluster of two nodes on this machine, one of which has a resource that the other lacks."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from advisor.data.dataset import Split
from lm.files import sha256, write_whole
from service.contract.comparison_state import ComparisonState
from service.jobs.ray_engine.ray_settings import RaySettings, check_cluster
from service.jobs.supervisor import Supervisor
from service.run.finished.asking import open_arm, read_finished
from service.run.finished.base_model import with_base_model
from service.run.hosted_tuning import RECORD, ProviderTuning, _rows
from service.run.stored_comparison import job_settings
from service.run.workflow import load_limited_dataset
from service.store.comparisons.comparison_store import find_comparison
from service.store.comparisons.events import read_events
from service.store.comparisons.runs import home_database
from service.store.data_directory import DataDirectory
from service.store.database import DATABASE_FILE, open_database
from service.store.migrations.upgrade import migrate
from tests.chaos.workplace import (
    COMPARISON,
    ROOT,
    create_dataset_and_comparison,
    dataset_of,
)
from tests.conftest import TINY_MODEL
from tests.service.serving.hosted_endpoint import HostedEndpoint

pytest.importorskip("ray", reason="pip install 'tuning-fork[ray]'")

from lm.errors import ConfigError
from tests.chaos.ray_cluster import RayNodes, ray_nodes

pytestmark = pytest.mark.slow


def rows_of(engine: Engine, directory: DataDirectory) -> str:
    """The hash of the training questions, by which a tuning at a provider is found."""
    stored = find_comparison(engine, COMPARISON)
    dataset = load_limited_dataset(job_settings(engine, directory, stored.dataset, stored.settings))
    return sha256(_rows(dataset.card.instruction, dataset.split(Split.TRAIN)).decode())


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, tiny_hub: dict[str, str]) -> Iterator[RayNodes]:
    environment = tiny_hub | {"TUNING_FORK_ALLOWED_ENDPOINTS": "127.0.0.1"}
    with ray_nodes(tmp_path_factory.mktemp("nodes"), 0, environment) as running:
        running.add_node(resources={"plain": 1})
        running.add_node(resources={"accelerator": 1})
        yield running


def test_models_answer_on_the_nodes_that_have_what_they_ask_for_and_what_they_need_comes_home(
    nodes: RayNodes, tmp_path: Path, tiny_reader_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("TUNING_FORK_DATABASE_URL", raising=False)
    directory = DataDirectory(tmp_path / "home")
    directory.root.mkdir()
    engine = open_database(f"sqlite:///{directory.root / DATABASE_FILE}")
    migrate(engine)
    pipelines = ("base", "rag", "fine-tuned")
    create_dataset_and_comparison(
        engine, dataset_of(36), model=TINY_MODEL, arms=pipelines, max_epochs=1, training_seeds=2
    )
    placed = RaySettings(nodes.address, {"tune": {"accelerator": 1}, "answer": {"plain": 1}})
    Supervisor(engine, directory, ray=placed).run(COMPARISON)
    events = read_events(engine, COMPARISON, limit=10_000)
    engine.dispose()
    log = (directory.root / "logs" / f"{COMPARISON}.log").read_text()
    assert events[-1].data["state"] == ComparisonState.SUCCEEDED, events[-1].data | {"log": log[-3000:]}
    trained = {event.data["arm"] for event in events if event.type == "training"}
    assert trained == {"seed 0", "seed 1"}
    # No answers are given where the accelerator is: its adapters were trained there.
    assert list(nodes.root.glob("node-2/ray/processes/*/stages/adapters/*/adapter.json"))

    finished = read_finished(directory, "latest")
    finished = replace(finished, settings=with_base_model(finished.settings, tiny_reader_folder))
    lines = (directory.comparison(finished.comparison.id) / "results.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["arm"] in pipelines]
    asked = [row["question"] for row in rows if row["arm"] == "base"]
    for kind in pipelines:
        said = [row["answer"]["text"] for row in rows if row["arm"] == kind]
        with open_arm(directory, finished, kind) as pipeline:
            assert [answer.text for answer in pipeline.answer(asked)] == said


@pytest.mark.chaos
def test_nodes_know_what_was_tuned_at_a_provider(
    nodes: RayNodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("TUNING_FORK_DATABASE_URL", raising=False)
    directory = DataDirectory(tmp_path / "home")
    endpoint = HostedEndpoint()
    request.addfinalizer(endpoint.stop)
    with home_database(directory) as engine:
        model = f"openai:m@{endpoint.url}"
        create_dataset_and_comparison(engine, dataset_of(12), model=model, arms=("rag", "hybrid"), max_epochs=1)
        tuning = ProviderTuning("m", endpoint.url, rows_of(engine, directory), 1, 0, "ft:m", 99)
        write_whole(directory.stage("hosted", "made") / RECORD, json.dumps(asdict(tuning)))
        Supervisor(engine, directory, ray=RaySettings(nodes.address, {})).run(COMPARISON)
        assert find_comparison(engine, COMPARISON).error is None
    hybrid = read_finished(directory, "latest").comparison.arm("hybrid")
    assert hybrid.build_usage.input_tokens == 99
    assert sum(asked["model"] == "ft:m" for asked in endpoint.requests) >= hybrid.n_questions > 0


def test_a_cluster_with_a_node_of_another_release_is_refused_by_name(nodes: RayNodes, tmp_path: Path) -> None:
    check_cluster(RaySettings(nodes.address))
    other = tmp_path / "rouge_score-0.0.9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: rouge-score\nVersion: 0.0.9\n")
    node = nodes.add_node({"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    try:
        with pytest.raises(ConfigError, match=r"runs another release: rouge-score 0\.0\.9 in place of .*pip install"):
            check_cluster(RaySettings(nodes.address))
    finally:
        nodes.remove_node(node)


def test_a_cluster_of_another_ray_is_refused_with_what_to_install(nodes: RayNodes) -> None:
    program = f"""
import ray
from lm.errors import ConfigError
from service.jobs.ray_engine.cluster import connect
ray.__version__ = "2.0.0"
try:
    connect({nodes.address!r})
except ConfigError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "does not fit: Version mismatch" in done.stdout
    assert "pip install" in done.stdout


def test_no_cluster_at_the_address_is_told_with_how_to_start_one() -> None:
    with pytest.raises(ConfigError, match=r"no Ray cluster is at 127\.0\.0\.1:1; start one .*ray start --head"):
        check_cluster(RaySettings("127.0.0.1:1"))


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "TUNING_FORK_DATABASE_URL"} | {
        "PYTHONPATH": str(ROOT)
    }
