"""Headings and titles as people write them, and pictures written into texts."""

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.data.document_text import find_headings, title_of, without_embedded_data

PICTURE = "data:image/png;base64," + base64.b64encode(random.Random(0).randbytes(3000)).decode()
SVG = "data:image/svg+xml;utf8,<svg xmlns='http://www.w3.org/2000/svg' width='9'>" + "<path d='M0 0'/>" * 9 + "</svg>"
WRAPPED = base64.encodebytes(random.Random(1).randbytes(3000)).decode()


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\ntitle: Install guide\n# reviewed\n---\n\n# Other\n", "Install guide"),
        ('---\nweight: 3\ntitle: "C# : a guide" # for now\n---\n## First\n', "C# : a guide"),
        ("---\r\ntitle: 'Returns'\r\n---\r\nText.\r\n", "Returns"),
        ('+++\ntitle = "Hugo page"\n+++\nText.\n', "Hugo page"),
        ("---\nlayout: page\n---\n# Heading\n", "Heading"),
        ("Return policy\n=============\n\n```sh\n# rm everything\n```\n", "Return policy"),
        ("\nOpening hours\n---\nAt 9.\n", "Opening hours"),
        ("# Working with C#\n", "Working with C#"),
        ("## F# and C# ##\n", "F# and C#"),
        ("<h1 align='center'>Tea &amp; <b>coffee</b></h1>\n\n## Sunday\n", "Tea & coffee"),
        ("~~~\n# no\n```\n# no\n~~~\n# Yes\n", "Yes"),
        ("````\n```\n# no\n```\n````\n# Yes\n", "Yes"),
        ("```python\n# no\n", ""),
        ("<!-- # draft\n# no -->\n## Yes\n", "Yes"),
        ("    # code\n\ntext\n", ""),
        ("## Small\n\n# Large\n\n# Last\n", "Large"),
        ("#hashtag\n\n| a |\n|---|\n\n- item\n---\n\n1. one\n---\n", ""),
        ("A paragraph of\ntwo lines\n---\n\nMore.\n", ""),
        ("---\n\nA rule, and no front matter.\n", ""),
    ],
)
def test_the_title_is_that_of_the_front_matter_or_of_a_real_heading(text: str, title: str) -> None:
    assert title_of(text) == title


def test_a_heading_stands_under_those_above_it() -> None:
    text = "Guide\n=====\n\nOne\n---\n\n### Deep\n\n<h2>Two</h2>\n"
    assert [(text[h.start :][:3], h.path) for h in find_headings(text)] == [
        ("Gui", ("Guide",)),
        ("One", ("Guide", "One")),
        ("###", ("Guide", "One", "Deep")),
        ("<h2", ("Guide", "Two")),
    ]


@given(st.text(alphabet="#=- \n`~<h1>/ab-+:t", max_size=80))
def test_any_text_has_headings_within_it_in_order(text: str) -> None:
    starts = [heading.start for heading in find_headings(text)]
    assert starts == sorted(set(starts))
    assert all(0 <= start < len(text) for start in starts)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"a ![photo]({PICTURE}) b", "a photo b"),
        (f'![a "photo"](<{PICTURE}> "title") b', 'a "photo" b'),
        (f'<img alt="x" src="{PICTURE}">', '<img alt="x" src="">'),
        (f"[logo]: {PICTURE}\nb", "[logo]: \nb"),
        (f"p {{ background: url({SVG}) }}", "p { background: url() }"),
        (f"see DATA:{PICTURE[5:]} b", "see  b"),
        (f"-----BEGIN-----\n{WRAPPED}-----END-----", "-----BEGIN-----\n\n-----END-----"),
        (f"key: {PICTURE[22:]} end", "key:  end"),
    ],
)
def test_what_is_a_file_written_as_text_is_left_out(text: str, left: str) -> None:
    assert without_embedded_data(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "An address such as data:text/plain,Hello%20World is short.",
        "=" * 900 + "\n" + "-" * 900,
        "ACGT" * 400,
        "0123456789abcdef" * 90,
        "The data: 12, 13, and so on; " * 90,
        "\n".join(["A line of ordinary prose, which has spaces in it and is rather long, ends here."] * 20),
    ],
)
def test_text_is_kept(text: str) -> None:
    assert without_embedded_data(text) == text
