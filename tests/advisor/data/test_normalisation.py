import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.data.normalisation import (
    _LEAD,
    ABSTENTION_OPENINGS,
    ABSTENTIONS,
    fold,
    is_abstention,
    mostly_unspaced,
    normalise,
    runs,
    tokens,
)
from advisor.data.prompt import ABSTENTION
from advisor.metrics.abstention import declines

TEXTS = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="0123456789.,-%° aThe()/²½", max_size=20),
    st.text(alphabet="ကခဂ\u102d\u103a\u1037 ไทย 東京かな \u200b", max_size=20),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Cat!", "cat"),
        ("a well-known U.S. city", "wellknown us city"),
        ("Ｐａｒｉｓ", "paris"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("It\u2019s", "its"),
    ],
)
def test_case_punctuation_articles_and_unicode_forms_do_not_count(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [("1,250", "1250"), ("٣٫٥", "3.5"), ("၂၅", "25"), ("1 – 2", "1 2"), ("(-5)", "−5"), ("ရန်ကုန် မြို့", "ရန်ကုန်မြို့")],
)
def test_different_spellings_of_one_answer_are_equal(first: str, second: str) -> None:
    assert normalise(first) == normalise(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("3.5", "35"),
        ("-5", "5"),
        (".5", "5"),
        ("1/2", "12"),
        ("12:30", "1230"),
        ("5-10", "510"),
        ("10²", "102"),
        ("3½", "31/2"),
        ("5 (6)", "56"),
        ("5...6", "56"),
        ("3,5", "35"),
        ("vitamin A", "vitamin"),
        ("ကို", "က"),
    ],
)
def test_different_answers_stay_different(first: str, second: str) -> None:
    assert normalise(first) != normalise(second)


@pytest.mark.parametrize("text", ["°", "%", "the", "A", "👍", "...", "( )"])
def test_an_answer_of_symbols_or_articles_alone_is_kept(text: str) -> None:
    assert normalise(text)


def test_combining_marks_of_burmese_and_arabic_are_kept() -> None:
    assert normalise("မြို့") == "မြို့"
    assert normalise("مُحَمَّد") != normalise("محمد")


def test_words_are_tokens_in_spaced_scripts_and_characters_with_their_marks_elsewhere() -> None:
    assert tokens("The river Rhine, 1,230 km") == ["river", "rhine", "1230", "km"]
    assert tokens("東京都 Tokyo") == ["東", "京", "都", "tokyo"]
    assert tokens("ရန်ကုန်") == ["ရ", "န်", "ကု", "န်"]


def test_runs_split_at_every_mark() -> None:
    assert runs("well-known, The_end 3.5 café") == ["well", "known", "the", "end", "3", "5", "café"]


def test_scripts_without_spaces_are_told_by_their_letters() -> None:
    assert mostly_unspaced("東京 is") is False
    assert mostly_unspaced("東京都です in") is True
    assert mostly_unspaced("1") is False


@given(TEXTS)
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(TEXTS)
def test_only_invisible_texts_become_empty(text: str) -> None:
    assert bool(normalise(text)) == bool(fold(text))


@given(TEXTS)
def test_equal_texts_have_equal_tokens_and_no_token_is_empty(text: str) -> None:
    assert all(tokens(text))
    assert tokens(text) == tokens(normalise(text))


@pytest.mark.parametrize(
    "text",
    [
        ABSTENTION,
        "I don\u2019t know",
        "i do not know.",
        "I don't know. The passages say nothing about it.",
        "Sorry, but I don't know.",
        "Answer: I don't know.",
        "The documents do not say.",
        "The context does not mention it.",
        "I'm not sure.",
        "Unanswerable",
        "There is not enough information to say.",
    ],
)
def test_refusals_are_recognised(text: str) -> None:
    assert is_abstention(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Paris",
        "I know: Paris.",
        "unknown soldier",
        "No answer key is needed",
        "documents dotted",
        "Do not knowingly",
    ],
)
def test_answers_are_not_taken_for_refusals(text: str) -> None:
    assert not is_abstention(text)


pieces = st.sampled_from(
    [
        *(
            "i don't know",
            "I do the not know",
            "kn-ow",
            "KNOW",
            "un\u200bknown",
            "\uff29 \uff44\uff4f\uff4e\uff54 \uff4b\uff4e\uff4f\uff57",
        ),
        *(
            "not \u212anown",
            "in\u017fufficient information",
            "documents do not",
            "no answer",
            "\u1d4f\u207f\u1d52\u02b7n",
            "Sorry, ",
        ),
        *("ကား", "x\u00b2", "\ufb01", " a ", "the", ". ", "\u00bd", "\u0301", "1,000"),
    ]
)


@given(st.lists(pieces | st.text(max_size=4), max_size=6).map("".join) | st.lists(pieces, max_size=4).map(" ".join))
def test_refusals_are_told_by_the_normal_form_alone(text: str) -> None:
    plain = _LEAD.sub("", normalise(text))
    expected = plain in ABSTENTIONS or any(f"{plain} ".startswith(f"{opening} ") for opening in ABSTENTION_OPENINGS)
    assert is_abstention(text) == expected


@given(st.lists(pieces, max_size=3).map(" ".join), st.lists(pieces.map(str.upper) | pieces, max_size=3))
def test_an_abstention_that_is_an_accepted_reference_declines_nothing(text: str, references: list[str]) -> None:
    same = any(normalise(reference) == normalise(text) for reference in references)
    assert declines(text, references) == (is_abstention(text) and not same)


def test_every_abstention_holds_a_word_that_is_looked_for_first() -> None:
    assert all(is_abstention(text) for text in (*ABSTENTION_OPENINGS, *ABSTENTIONS))


@pytest.mark.parametrize(
    ("said", "reference"),
    [
        ("C#", "C++"),
        ("C++", "C"),
        ("<= 5 V", ">= 5 V"),
        ("< 5", "> 5"),
        ("≥ 30", "≤ 30"),
        ("€10", "$10"),
        ("10", "$10"),
        ("-$5", "$5"),
        ("A+", "A"),
    ],
)
def test_signs_that_are_content_are_kept(said: str, reference: str) -> None:
    assert normalise(said) != normalise(reference)
    for text in (said, reference):
        assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize(
    ("said", "reference"),
    [
        ("24 months.", "24 months"),
        ("≥ 5 V", ">=5 V"),
        ("10 €", "€10"),
        ("$ 1,250.", "$1250"),
        ("The C++ (compiler)!", "c++ compiler"),
        ("# heading", "heading"),
        ("one + two", "one two"),
    ],
)
def test_signs_that_are_none_or_the_same_change_nothing(said: str, reference: str) -> None:
    assert normalise(said) == normalise(reference)
