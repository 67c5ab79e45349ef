from dataclasses import replace

import pytest

from advisor.data.dataset import Slice
from advisor.report.sections.quality import SLICE_MEANING
from advisor.report.texts.html import html_report
from advisor.report.texts.markdown import markdown_report
from advisor.results.comparison import Comparison, MetricSummary


def test_every_slice_has_a_meaning_for_people() -> None:
    assert set(SLICE_MEANING) == set(Slice)


@pytest.mark.parametrize("part", list(Slice))
def test_a_comparison_of_any_one_slice_is_reported(comparison: Comparison, part: Slice) -> None:
    def only(summary: MetricSummary) -> MetricSummary:
        return replace(summary, slice=part if summary.slice else None)

    arms = tuple(
        replace(arm, metrics=tuple(only(m) for m in arm.metrics if m.slice in (None, Slice.SEEN_FACT)))
        for arm in comparison.arms
    )
    one_slice = replace(comparison, arms=arms, slice_sizes={part.value: 120})
    assert SLICE_MEANING[part] in markdown_report(one_slice)
    assert part.value in html_report(one_slice)
