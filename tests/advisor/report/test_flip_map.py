import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from advisor.report.pictures.arm_letters import arm_letters
from advisor.report.pictures.flip_map import flip_map_figure, flip_map_sentence, flip_map_table


def test_letters_are_initials_where_they_can_be_and_never_shared():
    letters = arm_letters(["base", "few-shot", "rag", "fine-tuned", "hybrid", "raft", "စက်"])

    assert letters == {
        "base": "B",
        "few-shot": "F",
        "rag": "R",
        "fine-tuned": "T",
        "hybrid": "H",
        "raft": "A",
        "စက်": "C",
    }
    assert list(arm_letters(map(str, range(40, 90))).values()).count("?") == 14


def test_the_grid_puts_the_highest_share_first_and_marks_where_we_are(comparison):
    table = flip_map_table(comparison)

    assert table.caption == "Arm to ship, by share covered by training (down) and questions a month (across)"
    assert table.columns[:2] == ("", "100")
    assert table.columns[7] == "100,000 (now)"
    assert [row.cells[0].text for row in table.rows] == [
        *("100 %", "90 %", "80 %", "70 %", "60 %", "50 % (now)", "40 %", "30 %", "20 %", "10 %", "0 %")
    ]
    assert [cell.text for cell in table.rows[5].cells[1:]] == list("FFF") + ["R"] * 3 + ["R (now)"] + ["R"] * 5 + ["–"]
    assert {cell.text for cell in table.rows[0].cells[1:]} == {"T"}
    assert table.note.startswith("F is few-shot, R is rag, T is fine-tuned, – is no arm.")


def test_the_picture_writes_a_letter_into_every_cell_and_a_key(comparison):
    texts = [
        "".join(element.itertext())
        for element in ET.fromstring(flip_map_figure(comparison).svg).iter("{http://www.w3.org/2000/svg}text")
    ]

    assert texts.count("T") == 2 * 13
    assert texts.count("F") + texts.count("R") + texts.count("–") == 9 * 13
    assert {"R: rag", "F: few-shot", "T: fine-tuned"} <= set(texts)


@pytest.mark.parametrize(("arm", "words"), [("rag", "rag is the choice everywhere"), (None, "No arm could be chosen")])
def test_a_map_of_one_arm_is_a_sentence_and_not_a_picture(comparison, arm, words):
    grid = comparison.flip_map
    uniform = replace(comparison, flip_map=replace(grid, arms=tuple((arm,) * len(row) for row in grid.arms)))

    assert flip_map_figure(uniform) is None
    assert flip_map_sentence(uniform).startswith(words)
    assert "(100 to 100,000,000)" in flip_map_sentence(uniform)
    assert flip_map_sentence(comparison) == ""


def test_no_map_is_no_table_and_no_picture(old_comparison):
    assert flip_map_table(old_comparison) is None
    assert flip_map_figure(old_comparison) is None
    assert flip_map_sentence(old_comparison) == ""
