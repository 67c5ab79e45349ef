from collections.abc import Sequence

import pytest

from advisor.data.dataset import Slice
from advisor.errors import EvaluationError
from advisor.evidence.arm_use import NO_SPREAD, ArmUse, measure_use
from advisor.results.answer import Answer
from advisor.results.comparison import Interval, QuestionRecord
from lm.completion import FinishReason, Usage
from lm.errors import ConfigError


def records(usages: Sequence[Usage], *, size: int = 1) -> list[QuestionRecord]:
    return [
        QuestionRecord(
            "rag", f"q{i}", "?", ("a",), (), Slice.NEW_CASE, f"g{i}", f"c{i // size}",
            Answer("a", usage, FinishReason.STOP, (), "hash"), {},
        )
        for i, usage in enumerate(usages)
    ]  # fmt: skip


def measure(usages: Sequence[Usage], *, size: int = 1, throughput_per_s: float = 10.0) -> ArmUse:
    return measure_use(
        records(usages, size=size), model="m", embedder="e", device="cpu", throughput_per_s=throughput_per_s
    )


def test_means_stand_in_intervals_that_narrow_with_more_documents() -> None:
    usages = [Usage(100 + 10 * (i % 7), 5 + i % 3, 0, 0.1 + 0.01 * (i // 10)) for i in range(200)]
    use = measure(usages)
    assert use.input_tokens.estimate == pytest.approx(sum(usage.input_tokens for usage in usages) / 200)
    assert use.input_tokens.low < use.input_tokens.estimate < use.input_tokens.high
    few = measure(usages[:20])
    assert few.input_tokens.high - few.input_tokens.low > use.input_tokens.high - use.input_tokens.low
    assert (use.embedding_tokens.low, use.embedding_tokens.high) == (0.0, 0.0)


def test_cached_tokens_are_measured_beside_the_whole_prompt() -> None:
    use = measure([Usage(100, 5, 0, 0.1, 60 + i % 5) for i in range(50)])
    assert (use.input_tokens.estimate, use.cached_tokens.estimate) == (100, 62)
    assert use.cached_tokens.low < 62 < use.cached_tokens.high


def test_questions_of_a_document_vary_together() -> None:
    usages = [Usage(100 * (1 + i // 20), 5, 0, 0.1) for i in range(200)]
    clustered, independent = measure(usages, size=20).input_tokens, measure(usages).input_tokens
    assert clustered.high - clustered.low > 2 * (independent.high - independent.low)


def test_seconds_come_of_the_whole_run_and_their_spread_of_the_batches() -> None:
    even = measure([Usage(1, 1, 0, 0.1 + 0.001 * (i // 16)) for i in range(160)], throughput_per_s=4.0)
    uneven = measure([Usage(1, 1, 0, 0.1 + 0.1 * (i // 16)) for i in range(160)], throughput_per_s=4.0)
    assert even.seconds is not None
    assert uneven.seconds is not None
    assert even.seconds.estimate == uneven.seconds.estimate == 0.25
    assert uneven.seconds.high - uneven.seconds.low > 10 * (even.seconds.high - even.seconds.low)


def test_a_single_batch_has_no_spread_and_says_so() -> None:
    use = measure([Usage(1, 1, 0, 0.1)] * 16)
    assert use.seconds == Interval(0.1, 0.1, 0.1, 0.95, NO_SPREAD)
    assert measure([Usage(1, 1, 0, 0.1)] * 16, throughput_per_s=0.0).seconds is None


def test_no_answers_and_impossible_slowdowns_are_refused_by_name() -> None:
    with pytest.raises(EvaluationError, match="no answer was recorded"):
        measure([])
    with pytest.raises(ConfigError, match=r"adapter_slowdown is 0\.5"):
        measure_use(
            records([Usage()]), model="m", embedder="e", device="cpu", throughput_per_s=1.0, adapter_slowdown=0.5
        )
