"""`tuningfork tune` over a provider that behaves as documented."""

from pathlib import Path
from typing import Any

import pytest

from finetune.hosted.openai_jobs import OpenAIJobs
from service.cli.app import main
from service.run import hosted_tuning
from tests.finetune.hosted_replay import Clock, OpenAIReplay

PRICES = """
as_of = "2026-11-30"
source = "test"
[machines.cpu]
usd_per_hour = 0.1
label = "a machine"
as_of = "2026-11-30"
source = "test"
[models.base-model]
usd_per_million_input_tokens = 1
usd_per_million_output_tokens = 1
usd_per_million_training_tokens = 25
as_of = "2026-11-30"
source = "test"
"""


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch) -> OpenAIReplay:
    done = {"status": "succeeded", "fine_tuned_model": "ft:base-model:me", "trained_tokens": 4000}
    replay = OpenAIReplay(Clock(), [(0, done)])
    monkeypatch.setattr(hosted_tuning, "PROVIDERS", {"openai": lambda url: OpenAIJobs(http_client=replay.client())})
    return replay


def tune(workplace: Any, tmp_path: Path, *options: str) -> int:
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    with pytest.raises(SystemExit) as ended:
        main(
            ["tune", str(workplace.folder), "--provider", "openai", "--model", "base-model", "--prices", str(prices)]
            + ["--home", str(tmp_path / "home"), *options]
        )
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_without_a_ceiling_the_estimate_is_shown_and_nothing_is_sent(
    workplace: Any, replay: OpenAIReplay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(workplace, tmp_path) == 2
    shown = capsys.readouterr()
    assert "It costs about $0." in shown.out
    assert "allow it with --max-spend-usd" in shown.err
    assert replay.requests == []


def test_the_tuned_model_its_cost_and_the_next_command_are_told(
    workplace: Any, replay: OpenAIReplay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert tune(workplace, tmp_path, "--max-spend-usd", "9", "--delete-files") == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "Tuned: ft:base-model:me, by job ftjob-0. It cost $0.10 (4000 tokens)." in shown
        assert "--arms 'base@openai:base-model,tuned=base@openai:ft:base-model:me'" in shown
    assert len(replay.jobs) == 1
    assert replay.files == {}


def test_a_model_without_a_price_of_training_is_refused(
    workplace: Any, replay: OpenAIReplay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(workplace, tmp_path, "--model", "other", "--max-spend-usd", "9") == 2
    assert "no usd_per_million_training_tokens for 'other'" in capsys.readouterr().err
    assert replay.requests == []
