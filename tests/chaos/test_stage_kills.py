"""kill -9 while an index is built and while an adapter is trained: neither is ever half there."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from finetune.search import RECORD, read_trials
from rag.errors import IndexingError
from rag.index import read_record
from tests.chaos.workplace import ROOT, kill_group, processes_below

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

HERE = Path(__file__).parent


def start(script: str, *arguments: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, HERE / script, *arguments],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("n_kills", [1, pytest.param(50, marks=pytest.mark.chaos)])
def test_an_index_is_whole_or_absent_however_often_its_building_is_killed(tmp_path: Path, n_kills: int) -> None:
    with start("index_process.py", tmp_path / "whole") as process:
        first_line(process)
        started = time.monotonic()
        expected = json.loads(first_line(process))
        build_s = time.monotonic() - started
    lot = random.Random(n_kills)
    folder = tmp_path / "killed"
    n_finished = 0
    for _ in range(n_kills):
        with start("index_process.py", folder) as process:
            assert first_line(process) == b"building\n"
            try:
                process.wait(lot.uniform(0, build_s))
            except subprocess.TimeoutExpired:
                kill_group(process)
        try:
            assert read_record(folder).n_chunks == expected[0]
            n_finished += 1
        except IndexingError as error:
            assert "holds no finished index" in str(error)
    with start("index_process.py", folder) as process:
        assert first_line(process) == b"building\n"
        assert json.loads(first_line(process)) == expected
    assert process.returncode == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".killed")] == [".killed.lock"]
    # A single kill may come too late.
    assert n_finished < n_kills or n_kills == 1


@pytest.mark.parametrize(
    ("n_kills", "n_processes"), [(1, 1), *(pytest.param(*case, marks=pytest.mark.chaos) for case in [(20, 1), (10, 2)])]
)
def test_training_killed_again_and_again_ends_with_the_same_model(
    tiny_model_folder: Path, tmp_path: Path, n_kills: int, n_processes: int
) -> None:
    config = tmp_path / "accelerate.yaml"
    config.write_text(f"{{distributed_type: MULTI_CPU, num_processes: {n_processes}}}")
    launch = [config] if n_processes > 1 else []
    with start("training_process.py", tiny_model_folder, tmp_path / "whole", *launch) as process:
        assert process.stdout is not None
        steps = process.stdout.read().splitlines()
    assert process.returncode == 0
    lot = random.Random(n_kills)
    killed, n_killed, n_rounds = tmp_path / "killed", 0, 0
    while n_killed < n_kills:
        n_rounds += 1
        killed = tmp_path / f"killed-{n_rounds}"
        while not killed.exists():
            with start("training_process.py", tiny_model_folder, killed, *launch) as process:
                for _ in range(lot.randrange(len(steps))):
                    if n_killed < n_kills and not first_line(process):
                        break
                if n_killed < n_kills and process.poll() is None:
                    others = processes_below(killed.with_name(f"{killed.name}.partial"))
                    kill_group(process)
                    n_killed += 1
                    assert not psutil.wait_procs(others, timeout=30)[1]
                else:
                    process.communicate()
        assert largest_difference(tiny_model_folder, tmp_path / "whole", killed) <= 1e-5
        assert not killed.with_name(f"{killed.name}.partial").exists()


@pytest.mark.chaos
def test_a_search_killed_again_and_again_tries_and_finds_the_same(tiny_model_folder: Path, tmp_path: Path) -> None:
    with start("search_process.py", tiny_model_folder, tmp_path / "whole") as process:
        assert process.stdout is not None
        n_steps = len(process.stdout.read().splitlines())
    assert process.returncode == 0
    lot, n_killed, n_rounds = random.Random(30), 0, 0
    while n_killed < 30:
        n_rounds += 1
        folder, code = tmp_path / f"killed-{n_rounds}", 1
        while code:
            with start("search_process.py", tiny_model_folder, folder) as process:
                if n_killed < 30 and all(first_line(process) for _ in range(lot.randrange(n_steps // 4))):
                    kill_group(process)
                    n_killed += 1
                else:
                    process.communicate()
            code = process.returncode
        assert tried(folder) == tried(tmp_path / "whole")


def tried(folder: Path) -> list[tuple[Any, ...]]:
    trials = read_trials(folder / RECORD)
    return [(trial.recipe, trial.pruned, [round(score, 6) for score in trial.epoch_scores]) for trial in trials]


def largest_difference(base: Path, first: Path, second: Path) -> float:
    """Between the logits of two adapters of one model."""
    import peft
    import torch
    import transformers

    def logits(folder: Path) -> Any:
        model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        adapted = peft.PeftModel.from_pretrained(model, folder).eval()
        with torch.no_grad():
            return adapted(torch.arange(6, 60)[None]).logits

    return float((logits(first) - logits(second)).abs().max())
