"""The tools themselves, run on what is handed over: `make handover`.

TRL is in this environment. ONNX Runtime GenAI, Olive, nbclient and azure-ai-ml are in environments of their own, whose
Pythons HANDOVER_ONNX_PYTHON, HANDOVER_NOTEBOOK_PYTHON and HANDOVER_AZURE_PYTHON name; tests of the others are skipped.
"""

import json
import os
import runpy
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from advisor.data.dataset import Document, Split
from lm.local.huggingface import AdaptedModel, HuggingFaceModel
from rag.embedder import load_embedder
from rag.index import build_index, open_index
from rag.prompts.retrieved import RetrievedPrompt
from rag.retriever import Retriever
from service.handover.hand_over import hand_over
from service.handover.multi_adapter_onnx import check_arguments
from service.handover.winner import Winner

pytestmark = pytest.mark.handover


def run(folder: Path, *command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def python_of(variable: str) -> str:
    if not os.environ.get(variable):
        pytest.skip(f"{variable} names no Python")
    return os.environ[variable]


def test_trl_trains_an_adapter_that_is_loaded_here(winner: Winner, tiny: HuggingFaceModel, tmp_path: Path) -> None:
    folder = tmp_path / "trl"
    hand_over(winner, "trl", folder)
    run(folder, sys.executable, "train_trl.py")
    theirs = tiny.with_adapter(folder / "adapter", "theirs")
    config = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"]) == (winner.recipe.r, winner.recipe.lora_alpha)
    assert config["base_model_name_or_path"] == tiny.source
    questions = winner.probes()[:2]
    assert len(theirs.generate(questions, winner.pipeline.generation)) == 2
    theirs.close()


def test_the_app_is_started_and_asked(opened: Callable[..., Winner], tuned: AdaptedModel, tmp_path: Path) -> None:
    winner = opened("fine-tuned", tuned)
    folder = tmp_path / "app"
    hand_over(winner, "app", folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "error"]
    server = subprocess.Popen(command, cwd=folder)
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 300
        while True:
            try:
                assert httpx.get(f"{address}/health").json() == {"name": winner.name}
                break
            except httpx.TransportError:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)
        for example in winner.dataset.split(Split.TEST):
            reply = httpx.post(f"{address}/answers", json={"question": example.question}, timeout=60).json()
            assert reply["answer"] == winner.pipeline.answer([example.question])[0].text
    finally:
        server.terminate()
        server.wait(60)


def test_the_app_retrieves_as_the_arm_does(
    opened: Callable[..., Winner], tiny: HuggingFaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [Document(f"d{i}", f"Thing {i}", f"Thing {i} is painted in colour {i}.") for i in range(12)]
    embedder = load_embedder("minilm")
    build_index(documents, embedder, tmp_path / "index")
    with open_index(tmp_path / "index", embedder) as index:
        builder = RetrievedPrompt(Retriever(index, embedder), "Answer.", top_k=2)
        winner = opened("rag", tiny, constrained=False)
        winner = replace(
            winner,
            pipeline=replace(winner.pipeline, prompt_builder=builder),
            settings=replace(winner.settings, top_k=2),
        )
        hand_over(winner, "app", tmp_path / "app")
        monkeypatch.setenv("ARM_FOLDER", str(tmp_path / "app"))
        module = runpy.run_path(str(tmp_path / "app" / "app.py"))
        for question in ("Which colour has thing 7?", "thing 3"):
            (ours,), theirs = winner.pipeline.answer([question]), module["answer"](question)
            assert [p["id"] for p in theirs["passages"]] == [chunk.chunk_id for chunk in ours.retrieved]
            assert theirs["answer"] == ours.text


def test_the_notebook_is_executed(winner: Winner, tmp_path: Path) -> None:
    python = python_of("HANDOVER_NOTEBOOK_PYTHON")
    folder = tmp_path / "notebook"
    hand_over(winner, "notebook", folder)
    program = (
        "import nbformat, nbclient; book = nbformat.read('answer.ipynb', 4); "
        "nbclient.NotebookClient(book, timeout=500, kernel_name='python3').execute(); "
        "print(''.join(o.get('text', '') for o in book.cells[-1].outputs))"
    )
    told = run(folder, python, "-c", program)
    question = winner.dataset.split(Split.VALIDATION)[0].question
    assert str({"answer": winner.pipeline.answer([question])[0].text, "passages": []}) in told


def test_azures_library_loads_the_job(winner: Winner, tmp_path: Path) -> None:
    python = python_of("HANDOVER_AZURE_PYTHON")
    folder = tmp_path / "azure-ml"
    hand_over(winner, "azure-ml", folder)
    program = (
        "from azure.ai.ml import load_job; j = load_job('job.yml'); print(j.type, j.compute, j._validate().passed)"
    )
    told = run(folder, python, "-c", program)
    assert told.split() == ["command", "gpu-cluster", "True"]


def test_onnx_runtime_gives_the_measured_answers(winner: Winner, tmp_path: Path) -> None:
    python = python_of("HANDOVER_ONNX_PYTHON")
    folder = tmp_path / "onnx"
    hand_over(winner, "onnx", folder)
    for line in (folder / "convert.sh").read_text().splitlines()[2:]:
        run(folder, python, *line.split()[1:])
    assert "16 of 16 prompts" in run(folder, python, "check_onnx.py", "onnx-fp32")
    assert "of 16 prompts" in run(folder, python, "check_onnx.py", "onnx-int4")


def test_adapters_are_switched_while_onnx_runtime_runs(winner: Winner, tmp_path: Path) -> None:
    python = python_of("HANDOVER_ONNX_PYTHON")
    folder = tmp_path / "adapters"
    hand_over(winner, "multi-adapter-onnx", folder)
    answers = [(folder / f"expected-{name}.jsonl").read_text() for name in ("first", "questions-1")]
    assert answers[0] != answers[1]
    run(folder, "env", f"PATH={Path(python).parent}:{os.environ['PATH']}", "sh", "convert.sh")
    for name in ("first", "questions-1"):
        assert "16 of 16 prompts" in run(folder, python, *check_arguments(name))


def test_olive_trains_and_converts(winner: Winner, tmp_path: Path) -> None:
    python = python_of("HANDOVER_ONNX_PYTHON")
    folder = tmp_path / "olive"
    hand_over(winner, "olive", folder)
    run(folder, Path(python).with_name("olive"), "run", "--config", "olive.json", "--disable_telemetry")
    assert list((folder / "olive-out").rglob("genai_config.json"))
