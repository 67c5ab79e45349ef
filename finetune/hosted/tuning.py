"""One tuning at a provider from files to an answering model: checked, estimated, started once, watched, noted."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from finetune.hosted.journal import Journal, JournalFile
from finetune.hosted.provider import (
    BusyError,
    HostedJob,
    HostedTuningError,
    JobState,
    Provider,
    TuneRequest,
    UnsureError,
)
from finetune.hosted.training_file import TrainingFile
from lm.files import sha256

T = TypeVar("T")

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 120.0
SETTLING_S = 30.0
"""How long a job that was asked for by a process since killed may take to be listed."""
MAX_TRIES = 8
_TRAIN, _VALIDATION = "train", "validation"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a tuning costs by the price list.

    Attributes:
        most_usd: No tokenizer of bytes makes it dearer.
        likely_usd: For English text.
    """

    likely_usd: float
    most_usd: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """A tuned model.

    Attributes:
        model: The provider's name of it.
        refusal: Why it cannot be asked yet, and what to do; "" where it answers.
        usd: By the tokens that the provider billed; None where it does not tell them.
    """

    model: str
    job_id: str
    refusal: str
    trained_tokens: int | None
    usd: float | None


def estimate(train: TrainingFile, epochs: int, usd_per_million_tokens: float) -> Estimate:
    """Cost of training; providers do not bill validation rows."""
    price = epochs * usd_per_million_tokens / 1e6
    return Estimate(train.likely_tokens * price, train.most_tokens * price)


def tune_hosted(
    provider: Provider,
    request: TuneRequest,
    train: TrainingFile,
    validation: TrainingFile | None,
    journal_path: Path,
    *,
    usd_per_million_tokens: float,
    max_spend_usd: float | None,
    on_state: Callable[[HostedJob], None] = lambda job: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Tuned:
    """Tune, or go on with what a killed process began; a second call gives what the first one found.

    Whenever the process ends, the journal says what was made: it is written before a job is asked for and again with
    the job's id before it is first looked at, and whoever finds that a job may have been asked for looks for its mark
    before asking again.

    Args:
        usd_per_million_tokens: Price of training.
        max_spend_usd: Nothing is sent where the tuning could cost more, or where this is None.
        on_state: Called whenever the job's state or detail changes.
        sleep: Waits some seconds.
    Raises:
        HostedTuningError: it may cost too much; the provider refuses; the job failed or was cancelled. Nothing is tried
            again that the provider has ended: delete the journal to start another job.
    """
    content = [sha256(file.content) if file is not None else "" for file in (train, validation)]
    key = sha256(json.dumps([provider.name, asdict(request), content]))
    journal = JournalFile.open(journal_path, key)
    if journal.now.job_id is None:
        _check_money(estimate(train, request.epochs, usd_per_million_tokens), max_spend_usd, journal)
        _upload(provider, journal, {_TRAIN: train, _VALIDATION: validation}, sleep)
        _start(provider, request, journal, sleep)
    if journal.now.ended is None:
        _watch(provider, journal, on_state, sleep)
    return _result(provider, journal.now, usd_per_million_tokens, sleep)


def forget_files(provider: Provider, journal_path: Path) -> None:
    """Delete the uploaded files of a tuning that has ended; the tuned model stays.

    Raises:
        HostedTuningError: it has not ended, or there is none.
    """
    journal = JournalFile.read(journal_path)
    if journal.now.ended is None:
        raise HostedTuningError(f"the tuning of {journal_path} has not ended; run it to its end, then delete its files")
    for file_id in journal.now.files.values():
        provider.delete_file(file_id)
    journal.note(files={})


def _check_money(cost: Estimate, max_spend_usd: float | None, journal: JournalFile) -> None:
    amounts = f"about ${cost.likely_usd:.2f} and at most ${cost.most_usd:.2f}"
    if max_spend_usd is None:
        raise HostedTuningError(f"this tuning costs {amounts}; allow it with --max-spend-usd")
    if cost.most_usd > max_spend_usd:
        raise HostedTuningError(
            f"this tuning costs {amounts}, more than the ${max_spend_usd:.2f} of --max-spend-usd; allow more, lower "
            "--max-epochs, or train on fewer questions with --train-limit"
        )
    journal.note(most_usd=cost.most_usd)


def _upload(
    provider: Provider, journal: JournalFile, files: dict[str, TrainingFile | None], sleep: Callable[[float], None]
) -> None:
    for role, file in files.items():
        if file is None or role in journal.now.files:
            continue
        name, content = f"{journal.now.mark}-{role}.jsonl", file.content

        def send(name: str = name, content: bytes = content) -> str:
            return provider.find_file(name) or provider.upload(name, content)

        journal.note(files={**journal.now.files, role: _patiently(send, sleep)})
    for file_id in journal.now.files.values():
        for pause in _pauses():
            if _patiently(lambda file_id=file_id: provider.is_file_ready(file_id), sleep):  # type: ignore[misc]
                break
            sleep(pause)


def _start(provider: Provider, request: TuneRequest, journal: JournalFile, sleep: Callable[[float], None]) -> None:
    files, mark = journal.now.files, journal.now.mark
    for number in range(MAX_TRIES):
        if journal.now.is_asked:
            # Whoever asked may have been killed a moment ago: the list needs time to show what was made.
            found = _patiently(lambda: provider.find_job(mark), sleep)
            if found is None and not provider.gives_job_ids:
                sleep(SETTLING_S)
                found = _patiently(lambda: provider.find_job(mark), sleep)
            if found is not None:
                return journal.note(job_id=found.id)
        journal.note(is_asked=True)
        try:
            made = provider.create(request, mark, files[_TRAIN], files.get(_VALIDATION))
            return journal.note(job_id=made.id)
        except BusyError as error:
            sleep(_pause(error, number))
        except UnsureError:
            sleep(_pause(None, number))
    raise HostedTuningError(
        f"{provider.name} made no job in {MAX_TRIES} tries; run the same command later: it looks for one first"
    )


def _watch(
    provider: Provider, journal: JournalFile, on_state: Callable[[HostedJob], None], sleep: Callable[[float], None]
) -> None:
    job_id = str(journal.now.job_id)
    told: HostedJob | None = None
    for pause in _pauses():
        job = _patiently(lambda: provider.job(job_id), sleep)
        if told is None or (job.state, job.detail) != (told.state, told.detail):
            on_state(job)
            told = job
        if job.state.is_final:
            return journal.note(
                ended=f"{job.state}: {job.detail}" if job.state is not JobState.SUCCEEDED else str(job.state),
                model=job.model,
                trained_tokens=job.trained_tokens,
            )
        sleep(pause)
    raise AssertionError("pauses have no end")


def _result(
    provider: Provider, journal: Journal, usd_per_million_tokens: float, sleep: Callable[[float], None]
) -> Tuned:
    if journal.model is None:
        raise HostedTuningError(
            f"{provider.name} ended the job {journal.job_id} without a model ({journal.ended}); correct what it says, "
            "then start anew in another folder"
        )
    model, tokens = journal.model, journal.trained_tokens
    refusal = _patiently(lambda: provider.refusal(model), sleep)
    usd = tokens * usd_per_million_tokens / 1e6 if tokens is not None else None
    return Tuned(model, str(journal.job_id), refusal, tokens, usd)


def _patiently(ask: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """The answer to what may safely be asked again, after rate limits and lost replies.

    Raises:
        HostedTuningError: a refusal, or no answer in `MAX_TRIES` tries.
    """
    for number in range(MAX_TRIES - 1):
        try:
            return ask()
        except BusyError as error:
            sleep(_pause(error, number))
        except UnsureError:
            sleep(_pause(None, number))
    return ask()


def _pause(error: BusyError | None, number: int) -> float:
    if error is not None and error.retry_after_s is not None:
        return error.retry_after_s
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**number)


def _pauses() -> Iterator[float]:
    """Growing pauses without end."""
    pause = FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(LONGEST_PAUSE_S, 1.5 * pause)
