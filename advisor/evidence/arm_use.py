"""What an arm used while it was measured. Prices and traffic make money of it later, as often as they change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from advisor.errors import EvaluationError
from advisor.evidence.statistics import Floats, bootstrap_slices, expanded_percentile_interval
from advisor.results.answer import BuildUsage
from advisor.results.comparison import Interval, QuestionRecord
from lm.completion import Usage
from lm.errors import ConfigError

NO_SPREAD = "no spread measured"
N_RESAMPLES = 2_000
_NOTHING = BuildUsage()
_NO_TOKENS = Interval(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class JudgeUse:
    """What judging an arm's answers took.

    Attributes:
        model: The name the endpoint knows; device: "cpu" or "cuda" where we run it, None for a hosted one.
    """

    model: str
    device: str | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class OutsideUse:
    """What is known of the money of an arm that was trained or is answered elsewhere.

    Attributes:
        tokens_known: Whether the tokens of its answers are.
        usd_per_question: As its answers tell or people declare; None where it follows from tokens or time, if at all.
        build_usd: As people declare; None where that is not known.
    """

    tokens_known: bool
    usd_per_question: Interval | None
    build_usd: float | None


@dataclass(frozen=True, slots=True)
class ArmUse:
    """What one arm was measured to use.

    Attributes:
        model: The name the endpoint knows, priced by the token where `device` is None.
        embedder: As settings name it; by earlier versions without the `openai:` of a hosted one.
        device: "cpu" or "cuda" where we run the model ourselves.
        input_tokens: Mean of a question, as are `output_tokens` and `embedding_tokens`; of the whole prompt.
        cached_tokens: The part of them that was not read again, likewise.
        seconds: Of the machine, a question, answered in batches; None where no time was measured.
        index: Building the index once. training: All of tuning, every trial and seed.
        n_trainings: How many trainings that was; training again takes one of them.
        index_bytes: What the index takes on disk.
        adapter_slowdown: How many times longer a question takes with the adapter beside the weights, as measured here,
            than merged into them; None without an adapter.
        outside: Of an arm that was not made here alone; None of the others.
        n_questions: Questions it answered in the comparison, those to adapters of other training seeds counted again.
    """

    model: str
    embedder: str
    device: str | None
    input_tokens: Interval
    output_tokens: Interval
    embedding_tokens: Interval
    seconds: Interval | None
    index: BuildUsage = _NOTHING
    training: BuildUsage = _NOTHING
    index_bytes: int = 0
    adapter_slowdown: float | None = None
    n_questions: int = 0
    judge: JudgeUse | None = None
    n_trainings: int = 1
    cached_tokens: Interval = _NO_TOKENS
    outside: OutsideUse | None = None

    def __post_init__(self) -> None:
        if self.adapter_slowdown is not None and not 1 <= self.adapter_slowdown < float("inf"):
            raise ConfigError(
                f"adapter_slowdown is {self.adapter_slowdown}; give how many times longer answering takes with the "
                "adapter unmerged, at least 1"
            )


def measure_use(
    records: Sequence[QuestionRecord],
    *,
    model: str,
    embedder: str,
    device: str | None,
    throughput_per_s: float,
    index: BuildUsage = _NOTHING,
    training: BuildUsage = _NOTHING,
    index_bytes: int = 0,
    adapter_slowdown: float | None = None,
    judge: JudgeUse | None = None,
    n_asked_besides: int = 0,
    outside: OutsideUse | None = None,
    n_trials: int = 0,
    seed: int = 0,
) -> ArmUse:
    """Means over the answers of the arm that is deployed, with intervals: tokens by document or fact, seconds by batch.

    Args:
        throughput_per_s: Questions a second over the whole run; gives the seconds, whose spread comes from the batches.
        n_asked_besides: Questions that it answered beside the records; they count as evaluation and change no mean.
        n_trials: Trainings of the search for its recipe, the chosen one among them.
    Raises:
        EvaluationError: no answer.
    """
    if not records:
        raise EvaluationError("no answer was recorded, so what the arm uses is unknown; mark some questions as test")
    usages = [record.answer.usage for record in records]
    clusters = [record.cluster for record in records]
    seconds = None
    if throughput_per_s > 0:
        # Questions of a batch share its time alike, so an equal share tells who was answered together.
        waits = np.array([usage.latency_s for usage in usages])
        spread = _mean(waits, [repr(wait) for wait in waits.tolist()], seed)
        seconds = _rescaled(spread, 1 / throughput_per_s)
    return ArmUse(
        model=model,
        embedder=embedder,
        device=device,
        input_tokens=_mean(np.array([usage.input_tokens for usage in usages], np.float64), clusters, seed),
        output_tokens=_mean(np.array([usage.output_tokens for usage in usages], np.float64), clusters, seed),
        embedding_tokens=_mean(np.array([usage.embedding_tokens for usage in usages], np.float64), clusters, seed),
        seconds=seconds,
        index=index,
        training=training,
        index_bytes=index_bytes,
        adapter_slowdown=adapter_slowdown,
        n_questions=sum(1 + len(record.other_seeds) for record in records) + n_asked_besides,
        judge=judge,
        n_trainings=max(1, n_trials) + len(records[0].other_seeds),
        cached_tokens=_mean(np.array([usage.cached_tokens for usage in usages], np.float64), clusters, seed),
        outside=outside,
    )


def mean_usd(records: Sequence[QuestionRecord], usd: Mapping[str, float], seed: int) -> Interval | None:
    """Mean of what answers cost, by question id; None where that is not known of each."""
    if not records or any(record.example_id not in usd for record in records):
        return None
    amounts = np.array([usd[record.example_id] for record in records], np.float64)
    return _mean(amounts, [record.cluster for record in records], seed)


def _mean(values: Floats, clusters: Sequence[str], seed: int) -> Interval:
    mean = float(values.mean())
    if len(set(clusters)) < 2:
        return Interval(mean, mean, mean, method=NO_SPREAD)
    drawn = bootstrap_slices(values[None, :], ["all"] * len(values), clusters, n_resamples=N_RESAMPLES, seed=seed)
    interval = expanded_percentile_interval(mean, drawn.resampled[:, 0, 0], drawn.n_clusters)
    return Interval(mean, max(0.0, min(interval.low, mean)), max(interval.high, mean), method=interval.method)


def _rescaled(interval: Interval, estimate: float) -> Interval:
    """The same relative spread around another estimate."""
    if interval.estimate <= 0:
        return Interval(estimate, estimate, estimate, interval.level, NO_SPREAD)
    factor = estimate / interval.estimate
    return Interval(estimate, interval.low * factor, interval.high * factor, interval.level, interval.method)
