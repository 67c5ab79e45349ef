import re
import unicodedata

import pytest

from ui.comparison.overlap import overlap_marks
from ui.untrusted import shown


def test_shared_runs_are_bold() -> None:
    assert overlap_marks("The pump lasts 90 minutes at most.", "90 minutes") == "The pump lasts **90 minutes** at most."


def test_short_single_words_are_not_marked() -> None:
    assert overlap_marks("It is on the left.", "on") == "It is on the left."


def test_markup_of_the_passage_stays_text() -> None:
    marked = overlap_marks("<b>pump</b> [x](y)", "pump")
    assert marked == "&lt;b&gt;**pump**&lt;/b&gt; \\[x](y)"


def test_an_empty_answer_marks_nothing() -> None:
    assert overlap_marks("The pump.", "") == "The pump."


@pytest.mark.parametrize(
    ("passage", "answer", "marked"),
    [
        ("အာမခံ ၂၄ လ ဖြစ်သည်။", "အာမခံ ၂၄ လ", "**အာမခံ ၂၄ လ** ဖြစ်သည်။"),
        ("ကိုယ့်ဗုဒ္ဓဘာသာမြန်မာပြည်", "မြန်မာ", "ကိုယ့်ဗုဒ္ဓဘာသာ**မြန်မာ**ပြည်"),
        ("वारंटी चौबीस महीने की है", "चौबीस महीने", "वारंटी **चौबीस महीने** की है"),
        ("مُدَّةُ الضمان سنتان", "الضمان سنتان", "مُدَّةُ **الضمان سنتان**"),
        ("保修期为两年。", "两年", "保修期为**两年**。"),
        ("👩‍🔧 needs 24 hours", "👩‍🔧 needs 24", "👩‍🔧 **needs 24** hours"),
    ],
)
def test_no_letter_loses_its_marks_in_any_script(passage: str, answer: str, marked: str) -> None:
    assert overlap_marks(passage, answer) == marked


@pytest.mark.parametrize("passage", ["ဗုဒ္ဓဘာသာ", "ဝန်ဆောင်မှု", "स्त्री", "👩🏽‍🔬 👩‍🔧 ok", "e\u0301tat"])
def test_whatever_is_marked_the_letters_stay_together(passage: str) -> None:
    for start in range(len(passage)):
        for end in range(start + 1, len(passage) + 1):
            found = overlap_marks(passage, passage[start:end])
            assert found.replace("**", "") == shown(passage)
            behind = [match.group(1) for match in re.finditer(r"\*\*(.)", found)]
            assert not any(unicodedata.category(char)[0] == "M" or char == "\u200d" for char in behind)
