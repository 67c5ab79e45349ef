from ui.overlap import overlap_marks


def test_shared_runs_are_bold() -> None:
    assert overlap_marks("The pump lasts 90 minutes at most.", "90 minutes") == "The pump lasts **90 minutes** at most."


def test_short_single_words_are_not_marked() -> None:
    assert overlap_marks("It is on the left.", "on") == "It is on the left."


def test_markup_of_the_passage_stays_text() -> None:
    marked = overlap_marks("<b>pump</b> [x](y)", "pump")
    assert marked == "&lt;b&gt;**pump**&lt;/b&gt; \\[x](y)"


def test_an_empty_answer_marks_nothing() -> None:
    assert overlap_marks("The pump.", "") == "The pump."
