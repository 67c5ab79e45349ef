import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from advisor.report.pictures.break_evens import break_even_table, cost_curve_figure
from advisor.report.pictures.drawn import declared_volume
from advisor.results.comparison import BreakEven
from advisor.results.quantities import usd


def _only(comparison, pair):
    (row,) = break_even_table(replace(comparison, break_evens=(pair,))).rows
    return [(cell.text, cell.detail) for cell in row.cells]


@pytest.mark.parametrize(
    ("pair", "cells"),
    [
        (
            BreakEven("rag", "fine-tuned", 6612.3, 5010.0, 9999.0, "rag", "fine-tuned"),
            [("6,610", ""), ("5,010 to 10,000", ""), ("rag below, fine-tuned above", "at 100,000: fine-tuned")],
        ),
        (
            BreakEven("rag", "fine-tuned", 250_000.0, 90_000.0, None, "rag", "fine-tuned"),
            [
                ("250,000", ""),
                ("90,000 or more, perhaps never", ""),
                ("rag below, fine-tuned above", "at 100,000: rag"),
            ],
        ),
        (
            BreakEven("rag", "base", 12.5, None, None, "rag", "base"),
            [("12.5", ""), ("not measured", ""), ("rag below, base above", "at 100,000: base")],
        ),
        (
            BreakEven("rag", "base", None, None, None, "base", "base"),
            [("never", ""), ("–", ""), ("always base", "")],
        ),
        (
            BreakEven("rag", "hybrid", None, 35.2, None, "rag", "rag"),
            [("never", ""), ("perhaps from 35.2 on", ""), ("always rag", "")],
        ),
        (
            BreakEven("rag", "base", None, None, None, None, None),
            [("at every volume", ""), ("–", ""), ("neither", "")],
        ),
    ],
)
def test_every_way_of_crossing_is_told(comparison, pair, cells):
    _, cheaper, crossing, spread = _only(comparison, pair)
    assert [crossing, spread, cheaper] == cells


def test_pairs_with_the_named_arm_come_first(comparison):
    names = [row.cells[0].text for row in break_even_table(comparison).rows]

    assert len(names) == 10
    assert all("rag" in name for name in names[:4])
    assert not any("rag" in name for name in names[4:])


def test_lines_are_named_and_crossings_marked_with_their_volume(comparison):
    figure = cost_curve_figure(comparison)
    texts = ["".join(e.itertext()) for e in ET.fromstring(figure.svg).iter("{http://www.w3.org/2000/svg}text")]

    assert {"base", "few-shot", "rag", "fine-tuned", "hybrid", "now: 100,000"} <= set(texts)
    crossing = next(pair for pair in comparison.break_evens if (pair.first, pair.second) == ("rag", "fine-tuned"))
    assert f"{float(f'{crossing.queries_per_month:.3g}'):,.0f}" in texts


def test_the_lines_pass_through_the_monthly_totals(comparison):
    table = cost_curve_figure(comparison).table
    column = table.columns.index("100,000 questions")

    for row in table.rows:
        arm = comparison.arm(row.cells[0].text.split(" (")[0])
        assert row.cells[column].text == usd(arm.cost.monthly_usd)


def test_the_volume_comes_from_the_flips_or_else_from_the_settings(comparison):
    assert declared_volume(replace(comparison, settings={})) == 100_000
    assert declared_volume(replace(comparison, flips=())) == 100_000
    assert declared_volume(replace(comparison, flips=(), settings={"traffic": "much"})) is None


def test_without_a_volume_the_lines_are_still_drawn(comparison):
    lost = replace(comparison, flips=(), settings={})

    assert "now:" not in cost_curve_figure(lost).svg
    assert all(row.cells[1].detail == "" for row in break_even_table(lost).rows)


def test_without_break_evens_there_is_nothing_to_show(old_comparison):
    assert break_even_table(old_comparison) is None
    assert cost_curve_figure(old_comparison) is None
