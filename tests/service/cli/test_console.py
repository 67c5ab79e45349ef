import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from advisor.data.prompt import RetrievedChunk
from advisor.results.answer import Answer, BuildUsage
from advisor.results.comparison import (
    ArmSummary,
    AuditFinding,
    Comparison,
    Flip,
    FlipPoint,
    Interval,
    MetricSummary,
    Severity,
)
from lm.completion import FinishReason, Usage
from service.cli.console import print_comparison, progress_bars
from service.cli.console_answer import print_answer
from service.run.progress import Progress


def shown(show: Callable[[Console], object], width: int = 80, *, terminal: bool = False) -> str:
    file = io.StringIO()
    show(Console(file=file, width=width, force_terminal=terminal, markup=False, highlight=False, emoji=False))
    return file.getvalue()


def with_finding(comparison: Comparison, severity: Severity) -> Comparison:
    return replace(comparison, findings=(AuditFinding("check", severity, "Something [odd] \x1b[2J.", "Fix it."),))


def with_summary(arm: ArmSummary, summary: MetricSummary) -> ArmSummary:
    rest = tuple(m for m in arm.metrics if (m.metric, m.slice) != (summary.metric, summary.slice))
    return replace(arm, metrics=(summary, *rest))


def test_the_tables_fit_into_80_columns_uncut_and_name_everything(comparison: Comparison) -> None:
    full = MetricSummary("exact_match", None, Interval(1.0, 1.0, 1.0), 90, 90, 9)
    arms = (with_summary(comparison.arms[0], full), *comparison.arms[1:])
    arms = (*arms, replace(arms[-1], id="oracle-context", kind="oracle-context"))
    arms = (*arms, replace(arms[0], id="nearest-question", build_usage=BuildUsage(wall_s=236.0)))
    text = shown(lambda console: print_comparison(console, replace(comparison, arms=arms)))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for part in (
        "tiny: Exact match",
        "base",
        "nearest-question",
        "3 min 56 s",
        "few-shot",
        "(majority)",
        "(oracle-context)",
        "unan-",
        "n=9",
        "p95",
    ):
        assert part in text
    assert "100.0 [100.0, 100.0]" in text
    assert "unscored 9" in text
    assert comparison.recommendation.headline.split(":")[0] in text


def test_findings_that_matter_are_shown_safely_and_notes_are_not(comparison: Comparison) -> None:
    text = shown(lambda console: print_comparison(console, with_finding(comparison, Severity.WARN)))
    assert "warn: Something [odd] \ufffd[2J. Fix it." in text
    assert "Fix it" not in shown(lambda console: print_comparison(console, with_finding(comparison, Severity.NOTE)))


def test_an_arm_without_price_or_latency_says_so(comparison: Comparison) -> None:
    arms = tuple(replace(arm, cost=None, latency=None) for arm in comparison.arms)
    text = shown(lambda console: print_comparison(console, replace(comparison, arms=arms)))
    assert text.count("no price") == 2
    assert "–" in text


def test_the_three_nearest_changes_follow_the_verdict_safely(comparison: Comparison) -> None:
    flips = tuple(
        Flip("queries_per_month", 1000.0, FlipPoint(value, f"arm{n}\x1b[2J"), None, 0.0, 1e8)
        for n, value in enumerate((100.0, 800.0, 500.0, 0.0))
    )
    recommendation = replace(comparison.recommendation, arm="base")
    changed = replace(comparison, flips=flips, recommendation=recommendation)
    text = shown(lambda console: print_comparison(console, changed))
    tail = text[text.index("What would change it:") :]
    assert [tail.index(f"arm{n}\ufffd[2J") for n in (1, 2, 0)] == sorted(tail.index(f"arm{n}\ufffd") for n in (0, 1, 2))
    assert "arm3" not in tail
    assert max(map(len, text.splitlines())) <= 80
    unsearched = replace(changed, flips=())
    assert "What would change it" not in shown(lambda console: print_comparison(console, unsearched))


def run_progress(console: Console) -> None:
    with progress_bars(console) as on_progress:
        for done in range(101):
            on_progress(Progress("answer", "rag", done, 100))
        on_progress(Progress("tune", "", 6, 6, "epoch 2, validation loss 1.138"))
        on_progress(Progress("score", "rag", 0, 1))
        on_progress(Progress("score", "", 1, 1))


def test_a_log_gets_a_line_a_quarter() -> None:
    assert shown(run_progress).splitlines() == [
        "answering rag: 0 of 100",
        "answering rag: 25 of 100",
        "answering rag: 50 of 100",
        "answering rag: 75 of 100",
        "answering rag: 100 of 100",
        "tuning the adapter: 6 of 6, epoch 2, validation loss 1.138",
        "scoring: 0 of 1",
        "scoring: 1 of 1",
    ]


@pytest.mark.parametrize("width", [80, 100])
def test_a_terminal_gets_one_bar_a_stage_and_arm(width: int) -> None:
    last = shown(run_progress, width, terminal=True).split("\x1b[2K")[-1]
    assert last.count("answering rag") == 1
    assert last.count("scoring") == 1
    assert "100/100" in last


def test_an_answer_shows_passages_tokens_and_no_control_characters() -> None:
    chunks = (
        RetrievedChunk("d#0", "d", "Title", "A [long] text. " * 40, 0.812),
        RetrievedChunk("e#0", "e", "\x1b]0;owned\x07", "Short.", 0.5, used=False),
    )
    answer = Answer("Two [years] \x1b[31m", Usage(31, 4, 9, 0.123), FinishReason.LENGTH, chunks, "hash")
    text = shown(lambda console: print_answer(console, answer), 200)
    assert text.splitlines()[0] == "Two [years] \ufffd[31m"
    assert "[1] 0.81 d: Title" in text
    assert "…" in text
    assert "(left out: the context is full)" in text
    assert "31 tokens in, 4 out (cut at the longest answer the dataset allows), 0.12 s" in text
    assert "\x1b" not in text


def test_an_empty_answer_is_said_to_be_empty() -> None:
    answer = Answer("", Usage(), FinishReason.STOP, (), "hash")
    assert shown(lambda console: print_answer(console, answer)).startswith("(empty answer)\n")
