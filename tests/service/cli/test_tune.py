"""`tuningfork tune` over a provider that behaves as documented."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from advisor.results.comparison import ArmRole
from finetune.hosted.openai_jobs import OpenAIJobs
from lm.errors import ConfigError
from service.cli.app import main
from service.run import hosted_tuning
from service.run.composition import LocalComposition
from service.run.workflow import run_comparison
from service.store.data_directory import DataDirectory
from tests.finetune.hosted_replay import Clock, OpenAIReplay
from tests.service.conftest import OneHotEmbedder
from tests.service.serving.hosted_endpoint import HostedEndpoint

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
        assert "--model 'openai:base-model' --arms base,fine-tuned" in shown
    assert len(replay.jobs) == 1
    assert replay.files == {}


def test_a_model_without_a_price_of_training_is_refused(
    workplace: Any, replay: OpenAIReplay, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(workplace, tmp_path, "--model", "other", "--max-spend-usd", "9") == 2
    assert "no usd_per_million_training_tokens for 'other'" in capsys.readouterr().err
    assert replay.requests == []


TUNED_PRICE = """
[models."base-model tuned"]
usd_per_million_input_tokens = 2
usd_per_million_output_tokens = 2
usd_per_million_training_tokens = 25
usd_per_hour = 3
as_of = "2026-11-30"
source = "test"
"""


class Composition(LocalComposition):
    """The real one, with an embedder that takes no time."""

    @cached_property
    def embedder(self) -> Any:
        return OneHotEmbedder()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostedEndpoint]:
    endpoint = HostedEndpoint()
    monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
    yield endpoint
    endpoint.stop()


def test_a_tuned_model_is_an_arm_beside_its_base_with_its_own_prices(
    workplace: Any, replay: OpenAIReplay, endpoint: HostedEndpoint, tmp_path: Path
) -> None:
    arms = ("base", "fine-tuned")
    prices = tmp_path / "both.toml"
    prices.write_text(PRICES + TUNED_PRICE)
    given = {"model": "openai:base-model", "arms": arms, "prices": prices, "limit": 30}
    settings = replace(workplace.settings, **given)
    directory = DataDirectory(tmp_path / "home")
    with pytest.raises(ConfigError, match="hosted model and cannot be tuned here; .*`tuningfork tune`"):
        run_comparison(settings, directory, Composition, "")
    assert tune(workplace, tmp_path, "--max-spend-usd", "9") == 0
    comparison = run_comparison(settings, directory, Composition, "")
    assert {request["model"] for request in endpoint.requests} == {"base-model", "ft:base-model:me"}
    base, tuned = [arm for arm in comparison.arms if arm.role is ArmRole.CANDIDATE]
    assert (tuned.kind, tuned.model) == ("fine-tuned", base.model)
    assert base.cost is not None and tuned.cost is not None
    # 20 tokens in and 2 out, at twice the price; 4,000 tokens of training; a deployment of $3 an hour.
    assert tuned.cost.serve_usd_per_query == pytest.approx(2 * base.cost.serve_usd_per_query)
    assert (base.cost.training_usd, tuned.cost.training_usd) == (0, pytest.approx(0.1))
    assert tuned.cost.fixed_usd_per_month - base.cost.fixed_usd_per_month > 3 * 730


def test_a_tuning_on_other_questions_is_not_taken_for_this_one(
    workplace: Any, replay: OpenAIReplay, endpoint: HostedEndpoint, tmp_path: Path
) -> None:
    assert tune(workplace, tmp_path, "--max-spend-usd", "9", "--train-limit", "12") == 0
    settings = replace(workplace.settings, model="openai:base-model", arms=("fine-tuned",), limit=30)
    with pytest.raises(ConfigError, match=r"not tuned on these .* `tuningfork tune .* --model base-model"):
        run_comparison(settings, DataDirectory(tmp_path / "home"), Composition, "")
    assert endpoint.n_asked == 0
