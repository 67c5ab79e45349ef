import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from advisor.report.pictures.break_evens import cost_curve_figure
from advisor.report.pictures.figures import (
    difference_figure,
    frontier_figure,
    latency_figure,
    quality_figures,
    token_figure,
    training_figures,
)
from advisor.report.pictures.flip_map import flip_map_figure
from advisor.results.comparison import ArmRole, Interval

HOSTILE_NAMES = ("<script>alert(1)</script>", "$x$ $\\frac{1}{0}$", "_hidden", "a\x00b\ud800\n&amp;]]>", "စက် جهاز 👩‍🔧")


def _texts(svg):
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def figures(comparison):
    """Every picture that the comparison has numbers for."""
    drawn = [
        *quality_figures(comparison),
        difference_figure(comparison),
        frontier_figure(comparison),
        latency_figure(comparison),
        token_figure(comparison),
        cost_curve_figure(comparison),
        flip_map_figure(comparison),
        *training_figures(comparison),
    ]
    return tuple(figure for figure in drawn if figure is not None)


@pytest.fixture(scope="module")
def drawn(comparison):
    return figures(comparison)


def test_every_kind_of_picture_is_drawn(drawn):
    names = [figure.name for figure in drawn]

    assert names == [
        "quality-overall",
        "quality-seen-fact",
        "quality-unseen-fact",
        "quality-unanswerable",
        "differences",
        "frontier",
        "latency",
        "tokens",
        "cost-curves",
        "flip-map",
        "training-0",
        "training-1",
    ]


def test_text_stays_text(drawn):
    texts = _texts(drawn[0].svg)

    assert {"rag", "hybrid", "majority (reference)"} <= set(texts)


def test_pictures_come_with_their_numbers(drawn):
    for figure in drawn:
        assert figure.table.rows
        assert all(len(row.cells) == len(figure.table.columns) for row in figure.table.rows)


def test_hostile_names_are_drawn_as_they_are(comparison):
    candidates = [arm.id for arm in comparison.arms if arm.role is ArmRole.CANDIDATE]
    named = dict(zip(candidates, HOSTILE_NAMES, strict=True))
    curves = comparison.settings["training_curves"]
    drawn = figures(
        replace(
            comparison,
            arms=tuple(replace(arm, id=named.get(arm.id, arm.id)) for arm in comparison.arms),
            differences=tuple(
                replace(d, first=named[d.first], second=named[d.second])
                for d in comparison.differences
                if {d.first, d.second} <= named.keys()
            ),
            recommendation=replace(comparison.recommendation, arm=named["rag"]),
            settings={"training_curves": {named[arm]: curve for arm, curve in curves.items()}},
        )
    )
    expected = {" ".join(name.replace("\x00", "").replace("\ud800", "").split()) for name in HOSTILE_NAMES}

    assert len(drawn) == 12
    for figure in drawn:
        assert {element.tag.rpartition("}")[2] for element in ET.fromstring(figure.svg).iter()} <= {
            *("svg", "defs", "g", "path", "text", "tspan", "use", "clipPath", "rect", "pattern")
        }
    for figure in drawn[:4]:
        assert expected <= set(_texts(figure.svg))


def test_pictures_load_nothing(hostile_comparison):
    for figure in figures(hostile_comparison):
        for element in ET.fromstring(figure.svg).iter():
            assert not [key for key in element.attrib if key.startswith("on")]
            assert element.attrib.get("href", "#").startswith("#")
        assert not re.search(r"url\((?!#)", figure.svg)


def test_ids_are_unique_over_all_pictures(drawn):
    ids = [i for figure in drawn for i in re.findall(r'\sid="([^"]+)"', figure.svg)]
    used = {i for figure in drawn for i in re.findall(r'(?:href="|url\()#([^")]+)', figure.svg)}

    assert len(ids) == len(set(ids))
    assert used
    assert used <= set(ids)


def test_the_same_comparison_gives_the_same_bytes(comparison, drawn):
    assert drawn == figures(comparison)


def test_colours_can_be_changed_by_the_page(drawn):
    for figure in drawn:
        assert not re.search(r"(?<!, )#[0-9a-f]{6}", figure.svg)


def test_nothing_is_drawn_without_numbers(comparison):
    arms = tuple(
        replace(arm, latency=None, cost=None, metrics=tuple(replace(m, interval=None) for m in arm.metrics))
        for arm in comparison.arms
    )
    bare = replace(comparison, arms=arms, differences=(), settings={})

    assert quality_figures(bare) == []
    assert difference_figure(bare) is None
    assert frontier_figure(bare) is None
    assert latency_figure(bare) is None
    assert training_figures(bare) == []


def test_an_interval_without_ends_is_a_bare_dot(comparison):
    nan = float("nan")
    arms = tuple(
        replace(arm, metrics=tuple(replace(m, interval=Interval(0.5, nan, nan)) for m in arm.metrics))
        for arm in comparison.arms
    )
    figure = quality_figures(replace(comparison, arms=arms))[0]

    assert "nan" not in figure.svg.lower().replace("alignment", "")
    assert figure.table.rows[0].cells[1].text == "50.0 [no interval]"


def test_training_without_validation_loss_draws_one_line(comparison):
    epochs = [{"epoch": 1, "train_loss": 2.0, "validation_loss": None}, {"epoch": 2, "train_loss": 1.5}]
    (figure,) = training_figures(replace(comparison, settings={"training_curves": {"raft": epochs}}))

    assert "validation" not in _texts(figure.svg)
    assert figure.table.rows[1].cells[2].text == "–"


def test_formats_load_no_drawing_library_before_they_draw():
    code = "import sys, advisor.report.formats; sys.exit('matplotlib' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
