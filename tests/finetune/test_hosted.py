"""Hosted tuning against providers that behave as documented: money, states, faults, and kill -9 at every request."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from finetune.hosted.fireworks import Fireworks
from finetune.hosted.openai_jobs import OpenAIJobs
from finetune.hosted.provider import HostedJob, HostedTuningError, Provider, TuneRequest
from finetune.hosted.together import Together
from finetune.hosted.training_file import TrainingFile, chat_rows, check_training_file
from finetune.hosted.tuning import Tuned, estimate, forget_files, tune_hosted
from lm.errors import ConfigError
from tests.finetune.hosted_replay import (
    Clock,
    FireworksReplay,
    KilledError,
    OpenAIReplay,
    Replay,
    TogetherReplay,
    failed,
)

ROWS = chat_rows([([("user", f"Question {i}?")], f"Answer {i}.") for i in range(12)])
TRAIN = check_training_file(ROWS, "train.jsonl")
VALIDATION = check_training_file(ROWS.splitlines()[0], "validation.jsonl", min_rows=1)
REQUEST = TuneRequest(model="base-model", epochs=3, seed=0, rank=16)
HOURS = 3600.0

State = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A provider, its replay, and its words for the states of a job."""

    replay: type[Replay]
    provider: Callable[[Replay], Provider]
    queued: State
    running: State
    succeeded: State
    failed: State
    cancelled: State
    model: str


KINDS = {
    "openai": Kind(
        OpenAIReplay,
        lambda replay: OpenAIJobs(http_client=replay.client()),
        {"status": "validating_files"},
        {"status": "running"},
        {"status": "succeeded", "fine_tuned_model": "ft:base-model:me", "trained_tokens": 1000},
        {"status": "failed", "error": {"code": "x", "message": "line 7: missing content", "param": "training_file"}},
        {"status": "cancelled"},
        "ft:base-model:me",
    ),
    "azure": Kind(
        OpenAIReplay,
        lambda replay: OpenAIJobs("https://x.openai.azure.com/openai/v1", http_client=replay.client()),
        {"status": "pending"},
        {"status": "running"},
        {"status": "succeeded", "fine_tuned_model": "base-model.ft-1", "trained_tokens": 1000},
        {"status": "failed", "error": {"code": "x", "message": "line 7: missing content", "param": None}},
        {"status": "cancelled"},
        "base-model.ft-1",
    ),
    "together": Kind(
        TogetherReplay,
        lambda replay: Together(http_client=replay.client()),
        {"status": "queued"},
        {"status": "compressing"},
        {"status": "completed", "model_output_name": "me/tuned", "token_count": 1000},
        {"status": "error", "events": [{"message": "line 7: missing content"}]},
        {"status": "cancelled"},
        "me/tuned",
    ),
    "fireworks": Kind(
        FireworksReplay,
        lambda replay: Fireworks(account="me", http_client=replay.client()),
        {"state": "JOB_STATE_PENDING"},
        {"state": "JOB_STATE_RUNNING"},
        {"state": "JOB_STATE_COMPLETED", "outputModel": "accounts/me/models/tuned"},
        {"state": "JOB_STATE_FAILED", "status": {"code": "INVALID_ARGUMENT", "message": "line 7: missing content"}},
        {"state": "JOB_STATE_CANCELLED"},
        "accounts/me/models/tuned",
    ),
}


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed here are processes, not machines: thousands of flushes would prove nothing more."""
    monkeypatch.setattr("lm.files.flush", lambda path: None)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


def replayed(kind: Kind, *later: tuple[float, State]) -> Replay:
    return kind.replay(Clock(), [(0, kind.queued), *later])


def tune(
    kind: Kind,
    replay: Replay,
    path: Path,
    *,
    max_spend_usd: float | None = 1.0,
    train: TrainingFile = TRAIN,
    on_state: Callable[[HostedJob], None] = lambda job: None,
) -> Tuned:
    return tune_hosted(
        kind.provider(replay),
        REQUEST,
        train,
        VALIDATION,
        path / "journal.json",
        usd_per_million_tokens=25.0,
        max_spend_usd=max_spend_usd,
        on_state=on_state,
        sleep=replay.clock.sleep,
    )


def test_a_job_is_watched_through_hours_in_the_queue_to_its_model(kind: Kind, tmp_path: Path) -> None:
    replay = replayed(kind, (9 * HOURS, kind.running), (10 * HOURS, kind.succeeded))
    told: list[HostedJob] = []
    tuned = tune(kind, replay, tmp_path, on_state=told.append)
    assert (tuned.model, tuned.refusal) == (kind.model, "")
    assert replay.clock.now_s >= 10 * HOURS
    assert len(told) == 3
    assert len(replay.requests) < 10 * HOURS / 60
    n_requests = len(replay.requests)
    assert tune(kind, replay, tmp_path) == tuned
    assert len(replay.requests) == n_requests + 1  # it asks the model alone


def test_the_job_is_what_was_asked_for(tmp_path: Path) -> None:
    bodies = {}
    for name, kind in KINDS.items():
        replay = replayed(kind, (1, kind.succeeded))
        tune(kind, replay, tmp_path / name)
        (job,) = replay.jobs.values()
        bodies[name] = job["asked"]
    openai, together, fireworks = bodies["openai"], bodies["together"], bodies["fireworks"]
    assert openai["method"] == {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}}
    assert (together["n_epochs"], together["training_type"]["lora_r"]) == (3, 16)
    assert together["training_method"] == {"method": "sft", "train_on_inputs": False}
    assert (fireworks["epochs"], fireworks["loraRank"], fireworks["evalAutoCarveout"]) == (3, 16, False)
    assert fireworks["dataset"].startswith("accounts/me/datasets/tf-")


def n_requests_of(kind: Kind, path: Path) -> int:
    replay = replayed(kind, (60, kind.running), (120, kind.succeeded))
    tune(kind, replay, path)
    return len(replay.requests)


@pytest.mark.parametrize(("moment", "lag_s"), [("kill_before", 0.0), ("kill_after", 20.0)])
def test_a_process_killed_at_any_request_never_makes_a_second_job(
    kind: Kind, moment: str, lag_s: float, tmp_path: Path
) -> None:
    n_requests = n_requests_of(kind, tmp_path / "whole")
    assert n_requests >= 9
    for number in range(n_requests):
        replay = replayed(kind, (60, kind.running), (120, kind.succeeded))
        replay.listing_lag_s = lag_s
        setattr(replay, moment, number)
        with pytest.raises(KilledError):
            tune(kind, replay, tmp_path / str(number))
        replay.kill_before = replay.kill_after = None
        assert tune(kind, replay, tmp_path / str(number)).model == kind.model
        assert len(replay.jobs) == 1, (moment, number)
        assert len(replay.files) == 2, (moment, number)


def test_the_jobs_id_is_on_disk_before_the_first_look_at_it(kind: Kind, tmp_path: Path) -> None:
    replay = replayed(kind, (60, kind.succeeded))
    seen: list[bool] = []
    reply = replay.reply

    def watching(request: Any) -> Any:
        if replay.jobs and request.method == "GET":
            seen.append(json.loads((tmp_path / "journal.json").read_text())["job_id"] is not None)
        return reply(request)

    replay.reply = watching  # type: ignore[method-assign]
    tune(kind, replay, tmp_path)
    assert seen
    assert all(seen)


@pytest.mark.parametrize("status", [429, 503])
def test_rate_limits_and_faults_of_the_server_are_waited_out_and_make_no_second_job(
    kind: Kind, status: int, tmp_path: Path
) -> None:
    for number in range(n_requests_of(kind, tmp_path / "whole") - 1):
        replay = replayed(kind, (60, kind.running), (120, kind.succeeded))
        replay.faults = {number: failed(status, "later", retry_after="7")}
        assert tune(kind, replay, tmp_path / f"{status}-{number}").model == kind.model
        assert len(replay.jobs) == 1


def test_a_reply_that_is_lost_after_the_job_was_made_is_looked_for(kind: Kind, tmp_path: Path) -> None:
    replay = replayed(kind, (120, kind.succeeded))
    reply = replay.reply

    def losing(request: Any) -> Any:
        n_jobs = len(replay.jobs)
        told = reply(request)
        return failed(502, "bad gateway")() if len(replay.jobs) > n_jobs else told

    replay.reply = losing  # type: ignore[method-assign]
    replay.listing_lag_s = 20.0
    assert tune(kind, replay, tmp_path).model == kind.model
    assert len(replay.jobs) == 1


def test_a_mistake_that_the_provider_finds_is_told_by_its_line(kind: Kind, tmp_path: Path) -> None:
    replay = replayed(kind, (300, kind.failed))
    for _ in range(2):
        with pytest.raises(HostedTuningError, match="without a model .*line 7: missing content.*start anew"):
            tune(kind, replay, tmp_path)
    assert len(replay.jobs) == 1


def test_cancelled_and_expired_jobs_end_and_are_not_begun_again(kind: Kind, tmp_path: Path) -> None:
    ended = [kind.cancelled]
    if "status" in kind.cancelled:
        ended.append({"status": "expired"})
    else:
        ended.append({"state": "JOB_STATE_EXPIRED"})
    for number, state in enumerate(ended):
        replay = replayed(kind, (300, state))
        with pytest.raises(HostedTuningError, match="without a model"):
            tune(kind, replay, tmp_path / str(number))
        with pytest.raises(HostedTuningError, match="without a model"):
            tune(kind, replay, tmp_path / str(number))
        assert len(replay.jobs) == 1


def test_a_model_that_does_not_answer_is_told_with_how_to_deploy_it(kind: Kind, tmp_path: Path) -> None:
    replay = replayed(kind, (60, kind.succeeded))
    replay.model_answers = False
    tuned = tune(kind, replay, tmp_path)
    assert tuned.model == kind.model
    assert "deploy" in tuned.refusal or "endpoint" in tuned.refusal or "retired" in tuned.refusal
    replay.model_answers = True
    assert tune(kind, replay, tmp_path).refusal == ""


def test_nothing_is_sent_without_a_ceiling_or_above_it(kind: Kind, tmp_path: Path) -> None:
    cost = estimate(TRAIN, 3, 25.0)
    assert 0 < cost.likely_usd < cost.most_usd
    for ceiling, said in ((None, "allow it with --max-spend-usd"), (cost.most_usd * 0.99, "more than the")):
        replay = replayed(kind)
        with pytest.raises(HostedTuningError, match=said):
            tune(kind, replay, tmp_path, max_spend_usd=ceiling)
        assert replay.requests == []
    replay = replayed(kind, (60, kind.succeeded))
    assert tune(kind, replay, tmp_path, max_spend_usd=cost.most_usd).model == kind.model


def test_what_was_billed_is_told(tmp_path: Path) -> None:
    kind = KINDS["openai"]
    tuned = tune(kind, replayed(kind, (60, kind.succeeded)), tmp_path)
    assert (tuned.trained_tokens, tuned.usd) == (1000, pytest.approx(0.025))


def test_uploaded_files_can_be_deleted_and_the_model_stays(kind: Kind, tmp_path: Path) -> None:
    replay = replayed(kind, (60, kind.succeeded))
    tuned = tune(kind, replay, tmp_path)
    provider = kind.provider(replay)
    forget_files(provider, tmp_path / "journal.json")
    assert replay.files == {}
    forget_files(provider, tmp_path / "journal.json")
    assert tune(kind, replay, tmp_path) == tuned


def test_a_journal_of_something_else_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    kind = KINDS["openai"]
    tune(kind, replayed(kind, (60, kind.succeeded)), tmp_path)
    other = check_training_file(ROWS + ROWS, "train.jsonl")
    with pytest.raises(HostedTuningError, match="of a tuning with another provider, model, data or recipe"):
        tune(kind, replayed(kind), tmp_path, train=other)
    (tmp_path / "journal.json").write_text("{")
    with pytest.raises(HostedTuningError, match="damaged .* see at the provider which job runs"):
        tune(kind, replayed(kind), tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "train.jsonl:3: no valid JSON"),
        ("[]", 'train.jsonl:3: no list "messages"'),
        ('{"messages": [{"role": "robot", "content": "x"}]}', "train.jsonl:3: message 1: role must be one of"),
        ('{"messages": [{"role": "user", "content": " "}]}', "train.jsonl:3: message 1: content is empty"),
        ('{"messages": [{"role": "user", "content": "x"}]}', "train.jsonl:3: the last message is not the assistant's"),
    ],
)
def test_a_wrong_row_is_told_by_its_line_before_anything_is_sent(line: str, said: str) -> None:
    lines = ROWS.decode().splitlines()
    lines[2] = line
    with pytest.raises(HostedTuningError, match=said.replace("[", r"\[")):
        check_training_file("\n".join(lines).encode(), "train.jsonl")


def test_too_few_rows_are_refused_and_no_tokenizer_exceeds_the_estimate() -> None:
    with pytest.raises(HostedTuningError, match="9 rows; at least 10"):
        check_training_file(b"\n".join(ROWS.splitlines()[:9]), "train.jsonl")
    burmese = check_training_file(chat_rows([([("user", "မြန်မာ")], "ဟုတ်ကဲ့")] * 10), "x")
    n_bytes = len(("မြန်မာ" + "ဟုတ်ကဲ့").encode())
    assert burmese.most_tokens == 10 * (n_bytes + 16)


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "TOGETHER_API_KEY", "FIREWORKS_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for make, name in (
        (OpenAIJobs, "OPENAI_API_KEY"),
        (Together, "TOGETHER_API_KEY"),
        (Fireworks, "FIREWORKS_API_KEY"),
    ):
        with pytest.raises(ConfigError, match=name):
            make()
