import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from advisor.report.texts.html import html_report
from advisor.results.comparison import Severity

VOID = {"meta", "br", "img", "link", "input", "hr"}
HIDDEN = {"style", "title"}


class Page(HTMLParser):
    """Tags with attributes, visible text, and whether every tag is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self._open = [], "", []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if not HIDDEN & set(self._open):
            self.text += data

    def all(self, name):
        return [attrs for tag, attrs in self.tags if tag == name]


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


@pytest.fixture(scope="module")
def text(comparison, records):
    return html_report(comparison, records)


@pytest.fixture(scope="module")
def hostile_text(hostile_comparison, hostile_records):
    return html_report(hostile_comparison, hostile_records)


def test_sections_stand_in_the_order_of_a_decision(page, comparison):
    order = [
        comparison.recommendation.headline,
        "The arms at a glance",
        comparison.recommendation.reasons[0],
        "The test set cannot see",
        "Next steps",
        "Side by side",
        "users asked fewer than 3,100 questions a month",
        "What is not known",
        "6.2 points",
        "4,100",
        "Everything that was measured",
        "Declared constraints",
        "Quality: answers exactly right (exact_match)",
        "Paired differences",
        "Cost, in US dollars",
        "Net value, in US dollars",
        "Break-even, in questions a month",
        "What a month costs, by volume",
        "What another value of one input would change",
        "Which arm to ship, if two things were different",
        "Audit and limits",
        "Failures, question by question",
        "Prices as of",
    ]
    places = [page.text.index(part) for part in order]

    assert places == sorted(places)


def test_a_comparison_without_the_later_fields_says_nothing_of_them(old_comparison):
    page = Page(html_report(old_comparison))

    for absent in ("would change", "must fulfil", "Break-even", "Net value", "Sensitivity", "What a month costs"):
        assert absent not in page.text
    assert {attrs["href"][1:] for attrs in page.all("a")} <= {attrs["id"] for _, attrs in page.tags if "id" in attrs}


def test_the_page_needs_nothing_else(page):
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)

    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "form", "base"}
    for _, attrs in page.tags:
        assert all(attrs.get(name, "#").startswith("#") for name in ("href", "src", "xlink:href"))
        assert not [name for name in attrs if name.startswith("on") or name in ("srcdoc", "action")]


def test_hostile_text_adds_no_element(page, hostile_text):
    hostile = Page(hostile_text)

    assert {tag for tag, _ in hostile.tags} == {tag for tag, _ in page.tags}
    assert not [attrs for _, attrs in hostile.tags if set(attrs) & {"onload", "onerror", "srcdoc"}]
    assert "<script" not in hostile_text
    assert "{{ 7*7 }}" in hostile.text
    assert "<script>alert(1)</script>" in hostile.text
    assert not re.search("[\x00-\x08\x1b\ufffe\u202e]", hostile_text)


def test_lone_surrogates_do_not_stop_the_page_from_being_written(comparison):
    html_report(replace(comparison, model="half \ud83d of an emoji")).encode("utf-8")


def test_unscored_answers_are_shown_with_their_reason(page):
    assert "unscored 3" in page.text
    assert "the judge gave no number" in page.text


def test_references_are_marked_in_every_table(page):
    for name in ("majority", "oracle-context"):
        assert page.text.count(name) == page.text.count(f"{name} (reference)")


def test_meaning_never_hangs_on_colour_alone(page):
    assert "rag (cheapest non-inferior)" in page.text
    assert re.search(r"✗ 0\.0", page.text)
    assert re.search(r"✓ 100\.0", page.text)
    assert "Warning (power)" in page.text


def test_tables_have_captions_and_scoped_headers(page):
    assert len(page.all("table")) == len(page.all("caption")) > 10
    assert all(attrs.get("scope") in ("row", "col", "rowgroup") for attrs in page.all("th"))


def test_pictures_are_named_for_screen_readers(page):
    pictures = page.all("svg")

    assert len(pictures) == 12
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in pictures)
    assert page.text.count("The numbers behind this picture") == 12


def test_element_ids_are_unique(page):
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]

    assert len(ids) == len(set(ids))
    assert {attrs["href"][1:] for attrs in page.all("a")} <= set(ids)


def test_dark_mode_and_phones_are_provided_for(text):
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text


def test_scripts_of_the_world_survive_and_choose_their_direction(page):
    for part in ("စက်ကို ဘယ်လိုပြန်စရမလဲ။", "كيف أعيد تشغيل الجهاز؟", "👩‍🔧 🔥 naïve"):
        assert part in page.text
    assert all(attrs.get("dir") == "auto" for attrs in page.all("td") if attrs.get("class") == "answer")


def test_ten_thousand_failures_show_two_hundred(comparison, records):
    many = [replace(record, example_id=f"{record.example_id}-{copy}") for record in records for copy in range(6)]
    page = Page(html_report(comparison, many))

    assert len([attrs for attrs in page.all("tr") if attrs.get("class") == "question"]) == 200
    assert "Shown: 200" in page.text


def test_blocking_findings_come_before_warnings(comparison):
    blocked = replace(comparison.findings[0], severity=Severity.BLOCK, check="leakage")
    page = Page(html_report(replace(comparison, findings=(*comparison.findings, blocked))))

    assert page.text.index("Blocks the verdict (leakage)") < page.text.index("Warning (power)")


def test_the_same_comparison_gives_the_same_page(comparison, records, text):
    assert text == html_report(comparison, list(records))


def test_an_empty_comparison_still_gives_a_page(comparison):
    bare = replace(
        comparison,
        arms=(),
        differences=(),
        findings=(),
        settings={},
        hashes={},
        versions={},
        recommendation=replace(comparison.recommendation, arm=None, reasons=(), probability_best={}, slice_weights={}),
    )

    assert "No two arms could be compared" in Page(html_report(bare)).text
