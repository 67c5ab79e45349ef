"""Every format as it should be read, and files that are broken or meant to do harm."""

import datetime as dt
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from advisor.data.conversion import ConversionLimits, Outcome, convert_files
from advisor.data.loaders import LOADERS, Loaded, UnreadableFileError
from tests.advisor.data.document_files import (
    ENCRYPTED,
    docx,
    empty_pptx,
    epub,
    odt,
    pdf,
    pptx,
    ruled,
    said,
    word_paragraph,
    word_table,
    xlsx,
    zeros,
    zipped,
)

PRICES = [["Model", "Price"], ["A1", "100"], ["B2", "200"]]
PRICES_TEXT = "| Model | Price |\n|---|---|\n| A1 | 100 |\n| B2 | 200 |"
MESSAGE = b"Subject: Your order\nFrom: Ann <ann@example.org>\nDate: Mon, 5 Jan 2026 10:00:00 +0000\n"
PAGE = """<!doctype html><html><head><title>Kettle care | Shop</title><style>p {}</style></head><body>
<header><a href="/">Shop</a></header><nav><ul><li>Home</li><li>Cart</li></ul></nav>
<main><h1>Kettle <em>care</em></h1><p>Boil   water.<br>Then
wait&nbsp;&mdash; briefly.</p><ul><li>Rinse<ol><li>inside</li><li>outside</li></ol></li><li>Dry</li></ul>
<table><tr><th>Model<th>Price<tr><td rowspan=2>A1<td>100<tr><td>90 | 95</table>
<h2>Descaling</h2><pre>vinegar
 water</pre><blockquote><p>Works.</p></blockquote><p hidden>secret</p><script>alert(1)</script></main>
<footer>Imprint</footer></body></html>"""
PAGE_TEXT = """# Kettle care

Boil water.
Then wait — briefly.

- Rinse
  1. inside
  2. outside
- Dry

| Model | Price |
|---|---|
| A1 | 100 |
| A1 | 90 \\| 95 |

## Descaling

```
vinegar
 water
```

> Works."""
RTF = r"""{\rtf1\ansi{\fonttbl{\f0 Arial;}}{\stylesheet{\s1\outlinelevel0 heading 1;}}
\pard\s1\outlinelevel0 Kettle care\par\pard Boil water \u8212? then wait.\par
\trowd\cellx1000\cellx2000 Model\cell Price\cell\row\trowd\cellx1000\cellx2000 A1\cell 100\cell\row
\pard{\pict\pngblip 89504e47}The end.\par}"""


def manual_page(number: int, body: str) -> str:
    return said(72, 760, 9, "ACME Manual") + body + said(300, 30, 9, f"Page {number} of 3")


def columns() -> str:
    pairs = enumerate([("left", "right")] * 8)
    return "".join(
        said(72, 600 - 14 * i, 10, f"{a} {i}") + said(330, 600 - 14 * i, 10, f"{b} {i}") for i, (a, b) in pairs
    )


GOLDEN: Mapping[str, tuple[bytes, Loaded]] = {
    "text.txt": (b"\xef\xbb\xbfPlain.\n", Loaded("Plain.\n")),
    "text.md": ("# လက်စွဲ\n".encode(), Loaded("# လက်စွဲ\n")),
    "manual.pdf": (
        pdf(
            [
                manual_page(
                    1,
                    said(72, 700, 18, "Kettle care")
                    + said(72, 670, 10, "Rinse the kettle before the first use, and dis-")
                    + said(72, 656, 10, "connect it. Never disconnect it while it boils.")
                    + said(72, 620, 10, "• fill it")
                    + said(72, 606, 10, "• boil it"),
                ),
                manual_page(
                    2, said(72, 700, 14, "Prices") + ruled(72, 600, PRICES) + said(72, 500, 10, "All in euros.")
                ),
                manual_page(3, said(72, 700, 18, "Two columns") + columns()),
            ]
        ),
        Loaded(
            "# Kettle care\n\nRinse the kettle before the first use, and disconnect it. Never disconnect it while it "
            f"boils.\n\n- fill it\n- boil it\n\f\n## Prices\n\n{PRICES_TEXT}\n\nAll in euros.\n\f\n# Two columns\n\n"
            + " ".join(f"left {i}" for i in range(8))
            + "\n\n"
            + " ".join(f"right {i}" for i in range(8)),
            notes=("lines that most pages repeat were left out: 'ACME Manual', 'Page # of #'",),
        ),
    ),
    "justified.pdf": (
        pdf(
            [
                "BT /F1 10 Tf 72 700 Td [(Two)-190(years)-190(of)-190(warranty.)] TJ ET\n"
                + said(72, 650, 14, "Care . . . . . . . . . . 3")
                + said(72, 630, 14, "Repair. . . . . . . . . . 5")
                + said(72, 600, 10, "It is well-")
                + said(72, 586, 10, "made and meant for house-")
                + said(72, 572, 10, "holds. It is made here.")
            ]
        ),
        Loaded(
            "Two years of warranty.\n\nCare … 3\nRepair … 5\n\n"
            "It is well-made and meant for households. It is made here."
        ),
    ),
    "scan.pdf": (
        pdf([said(72, 700, 10, "A cover."), "0 0 100 100 re f"]),
        Loaded("A cover.\n\f\n", notes=("1 of 2 pages hold no text (p. 2); if they are scans, recognise them",)),
    ),
    "manual.docx": (
        docx(
            word_paragraph("Kettle care", "Heading1")
            + word_paragraph("Boil water.")
            + word_paragraph("Rinse", item=0)
            + word_paragraph("inside", item=1)
            + word_paragraph("Prices", "Heading2")
            + word_table(PRICES)
        ),
        Loaded(f"# Kettle care\n\nBoil water.\n\n- Rinse\n  - inside\n\n## Prices\n\n{PRICES_TEXT}"),
    ),
    "slides.pptx": (
        pptx(),
        Loaded(
            "# Kettle launch\n\n- Boils in two minutes\n- Three colours\n\nNotes: Mention the award.\n\f\n"
            "## Prices\n\n| Model | Price |\n|---|---|\n| A1 | 100 |"
        ),
    ),
    "prices.xlsx": (
        xlsx(
            [["List of 2026"], [], ["Model", "Price", "Off", "From"], ["A|1", 100.0, 0.25, dt.date(2026, 1, 5)]],
            {"B4": "€0.00", "C4": "0%"},
        ),
        Loaded(
            "## Prices\n\nList of 2026\n\n| Model | Price | Off | From |\n|---|---|---|---|\n"
            "| A\\|1 | €100.00 | 25% | 2026-01-05 |",
            notes=("hidden sheets were left out: 'Secret'",),
        ),
    ),
    "manual.odt": (
        odt(
            '<text:h text:outline-level="1">Kettle care</text:h><text:p>Boil<text:s/>water.</text:p>'
            "<text:list><text:list-item><text:p>Rinse</text:p><text:list><text:list-item><text:p>inside</text:p>"
            "</text:list-item></text:list></text:list-item></text:list><table:table>"
            + "".join(
                f"<table:table-row>{''.join(f'<table:table-cell><text:p>{c}</text:p></table:table-cell>' for c in row)}"
                "</table:table-row>"
                for row in PRICES
            )
            + "</table:table>",
            **{"meta.xml": "<meta><title>The manual</title></meta>"},
        ),
        Loaded(f"# Kettle care\n\nBoil water.\n\n- Rinse\n  - inside\n\n{PRICES_TEXT}", "The manual"),
    ),
    "manual.rtf": (
        RTF.encode(),
        Loaded("# Kettle care\n\nBoil water — then wait.\n\n| Model | Price |\n|---|---|\n| A1 | 100 |\n\nThe end."),
    ),
    "book.epub": (
        epub(["<h1>One</h1><p>It was&nbsp;dark.</p>", "<h1>Two</h1><p>It was light.</p>"]),
        Loaded("# One\n\nIt was dark.\n\n# Two\n\nIt was light.", "A book"),
    ),
    "page.html": (
        PAGE.encode(),
        Loaded(PAGE_TEXT, notes=("navigation, page header and footer were left out: 3 parts",)),
    ),
    "old.htm": ('<meta charset="windows-1251"><title>Чайник</title><p>Вода'.encode("cp1251"), Loaded("Вода", "Чайник")),
    "page.xhtml": (b'<?xml version="1.0"?><html><body><p>a &lt;tag&gt;</p></body></html>', Loaded("a <tag>")),
    "order.eml": (
        MESSAGE + b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html; charset=utf-8\n\n"
        b"<p>It ships <b>today</b>.</p>\n--b\nContent-Type: application/pdf\nContent-Disposition: attachment; "
        b"filename=bill.pdf\n\n%PDF\n--b--\n",
        Loaded(
            "# Your order\n\nFrom: Ann <ann@example.org>\nDate: Mon, 05 Jan 2026 10:00:00 +0000\n\nIt ships today.",
            "Your order",
            ("attachments are not read: bill.pdf",),
        ),
    ),
    "box.mbox": (
        b"From ann Mon\n" + MESSAGE + b"\nIt ships.\n\nFrom ann Tue\nSubject: Sent\n\nIt is sent.\n",
        Loaded(
            "## Your order\n\nFrom: Ann <ann@example.org>\nDate: Mon, 05 Jan 2026 10:00:00 +0000\n\nIt ships.\n\n"
            "## Sent\n\nIt is sent."
        ),
    ),
    "prices.csv": (b"Model;Price\nA1;100\nB2;200\n", Loaded(PRICES_TEXT)),
    "prices.json": (b'[{"Model": "A1", "Price": 100}, {"Model": "B2", "Price": 200}]', Loaded(PRICES_TEXT)),
    "settings.json": (
        b'{"kettle": {"litres": 1.7, "colours": ["red", "blue"]}}',
        Loaded("- kettle:\n  - litres: 1.7\n  - colours:\n    - red\n    - blue"),
    ),
    "articles.jsonl": (
        b'{"name": "Kettle", "text": "' + b"long " * 40 + b'"}\n{"name": "Toaster", "text": "Toasts."}\n',
        Loaded(
            f"## Kettle\n\nname: Kettle\n\ntext: {('long ' * 40).strip()}\n\n## Toaster\n\nname: Toaster\n\n"
            "text: Toasts."
        ),
    ),
}

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
LAUGHS = (
    '<!DOCTYPE l [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + "]><l>&j;</l>"
)
MAIN_PART = {
    "docx": "word/document.xml",
    "pptx": "ppt/presentation.xml",
    "xlsx": "xl/workbook.xml",
    "odt": "content.xml",
    "epub": "META-INF/container.xml",
}
GOOD = {name.rpartition(".")[2]: content for name, (content, _) in GOLDEN.items()}
DEEP = 20_000


def flagged(data: bytes) -> bytes:
    """An archive whose parts say that they are encrypted."""
    changed = bytearray(data)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = changed.index(signature)
        changed[at + offset] |= 1
    return bytes(changed)


HOSTILE: dict[str, tuple[bytes, str]] = {}
for ending, part in MAIN_PART.items():
    HOSTILE |= {
        f"noise.{ending}": (bytes(range(256)) * 9, "broken or cut off"),
        f"cut.{ending}": (GOOD[ending][: len(GOOD[ending]) // 2], "broken or cut off"),
        f"locked.{ending}": (OLE + "EncryptedPackage".encode("utf-16-le"), "it is encrypted; save it without"),
        f"old.{ending}": (OLE, "a file of an old Office program"),
        f"locked-part.{ending}": (flagged(GOOD[ending]), "it is encrypted; save it without"),
        f"other.{ending}": (zipped({"a.txt": "x"}), f"it has no part {part}"),
        f"bomb.{ending}": (zipped({part: bytes(9 * 2**20)}), "unpacks to over 500 times its size"),
        f"laughs.{ending}": (zipped({part: LAUGHS}), "declares a document type"),
        f"deep.{ending}": (
            zipped({part: "<a>" * DEEP, "META-INF/manifest.xml": ""}),
            "Excessive depth|nested too deeply|save it again",
        ),
        f"pdf-inside.{ending}": (b"%PDF-1.4\n", "it is a PDF by its content"),
    }
HOSTILE |= {
    "nothing.md": (b" \n", "the file is empty"),
    "nothing.pdf": (b"", "the file is empty"),
    "latin.txt": ("ß caf".encode() + b"\xe9", "broken UTF-8 at byte 7"),
    "nul.md": (b"a\0b", "a NUL character"),
    "named-text.txt": (b"%PDF-1.4\n", "it is a PDF by its content"),
    "named-text.md": (RTF.encode(), "it is rich text by its content"),
    "noise.pdf": (bytes(range(256)) * 9, "not a PDF"),
    "cut.pdf": (GOOD["pdf"][:200], "broken PDF|no page"),
    "head.pdf": (b"%PDF-1.7\n1 0 obj<</OpenAction<</S/Launch>>>>", "broken PDF|no page"),
    "locked.pdf": (
        pdf([said(72, 700, 10, "secret")], trailer=ENCRYPTED),
        "it is encrypted; save it without a password",
    ),
    "scan-only.pdf": (pdf(["0 0 100 100 re f"]), "it holds no text, as scans do"),
    "no-pages.pdf": (pdf([]), "no page"),
    "deep.pdf": (pdf([b"[" * DEEP * 5]), "it holds no text|nested|broken"),
    "loop.pdf": (GOOD["pdf"].replace(b"/Kids [4 0 R", b"/Kids [2 0 R 2 0 R"), "no page|broken|no text"),
    "no-characters.pdf": (
        pdf(
            ["BT /F1 10 Tf 72 700 Td <0001000200030004> Tj ET"],
            font="/Subtype /Type0 /BaseFont /X /Encoding /Identity-H /DescendantFonts [<< /Type /Font "
            "/Subtype /CIDFontType2 /BaseFont /X /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) "
            "/Supplement 0 >> >>]",
        ),
        "its fonts do not say which characters",
    ),
    "empty.docx": (docx(word_paragraph("")), "it holds no text"),
    "empty.pptx": (empty_pptx(), "it holds no text"),
    "empty.xlsx": (xlsx([]), "its sheets hold no values"),
    "empty.odt": (odt("<text:p/>"), "it holds no text"),
    "locked-text.odt": (
        odt("<text:p>x</text:p>", **{"META-INF/manifest.xml": "<encryption-data/>"}),
        "it is encrypted",
    ),
    "empty.epub": (epub(["<p/>"]), "its chapters hold no text"),
    "drm.epub": (epub(["<p>x</p>"], **{"META-INF/rights.xml": "<r/>"}), "encrypted \\(DRM\\)"),
    "no-book.epub": (zipped({"META-INF/container.xml": "<container/>"}), "it names no book"),
    "script.html": (b"<html><body><script>document.write('x')</script>", "no text in the page"),
    "noise.html": (b"<html><!-- nothing -->", "no text in the page|the page is empty"),
    "deep.html": (b"<div><b>" * DEEP + b"x", "nested too deeply|no text"),
    "noise.rtf": (b"Just text", "not rich text"),
    "empty.rtf": (b"{\\rtf1 }", "it holds no text"),
    "noise.eml": (b"Just text\n", "no e-mail"),
    "empty.eml": (MESSAGE + b"\n", "the message holds no text"),
    "locked.eml": (MESSAGE + b"Content-Type: multipart/encrypted; boundary=b\n\n--b\n\nx\n--b--\n", "it is encrypted"),
    "noise.mbox": (b"Just text\n", "no mailbox"),
    "empty.mbox": (b"From ann Mon\nSubject: x\n\n\n", "no message of the mailbox"),
    "header.csv": (b"a,b\n", "no record below its first line"),
    "quote.csv": (b'a,b\n"x,y\n', "not readable CSV"),
    "cut.json": (b'[{"a": 1}, {', "not readable JSON"),
    "deep.json": (b"[" * DEEP, "nested too deeply"),
    "empty.json": (b"{}", "it holds no value"),
    "line.jsonl": (b'{"a": 1}\n{"a":\n', "not readable JSON"),
    "memory.pdf": (pdf([zeros(1024)], stream="/Filter /FlateDecode"), "takes over 512 MiB of memory"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Outcome]:
    """All files read as one folder is: what breaks one must not harm the next."""
    folder = tmp_path_factory.mktemp("files")
    contents = {name: content for name, (content, _) in HOSTILE.items()} | {
        name: content for name, (content, _) in GOLDEN.items()
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    read = convert_files([folder / name for name in contents], ConversionLimits(memory_bytes=2**29))
    return dict(zip(contents, read, strict=True))


def test_every_format_has_a_golden_file() -> None:
    assert {name.rpartition(".")[2] for name in GOLDEN} == set(LOADERS.own)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_file_is_read_with_headings_tables_lists_and_pages(outcomes: Mapping[str, Outcome], name: str) -> None:
    assert outcomes[name] == GOLDEN[name][1]


def test_there_are_sixty_hostile_files() -> None:
    assert len(HOSTILE) >= 60


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_named_with_the_reason(outcomes: Mapping[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert isinstance(outcome, UnreadableFileError)
    assert re.search(HOSTILE[name][1], str(outcome)), outcome


def test_a_broken_line_is_told(outcomes: Mapping[str, Outcome]) -> None:
    outcome = outcomes["line.jsonl"]
    assert isinstance(outcome, UnreadableFileError)
    assert outcome.line == 2


def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "endless.pdf")
    (outcome,) = convert_files([tmp_path / "endless.pdf"], ConversionLimits(file_s=0.2))
    assert str(outcome) == "reading it takes over 0.2 seconds; divide it"


def test_what_comes_after_the_time_of_all_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("A")
    (outcome,) = convert_files([tmp_path / "a.md"], ConversionLimits(total_s=-1))
    assert "not reached" in str(outcome)


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    (outcome,) = convert_files([tmp_path / "gone.md"])
    assert "cannot be opened" in str(outcome)
