"""Small files of every format, written by hand where a library would only write good ones."""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
OFFICE = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
)
ENCRYPTED = " /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O (" + "o" * 32 + ") /U (" + "u" * 32 + ") >>"
ENCRYPTED += " /ID [(0123456789abcdef) (0123456789abcdef)]"


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def pdf(pages: Sequence[str | bytes], *, trailer: str = "", font: str = "", stream: str = "") -> bytes:
    """A PDF of pages that are given as drawing operators.

    Args:
        trailer: Entries added to the trailer. font: entries of the font. stream: entries of every page's stream.
    """
    font = font or "/Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding"
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        f"<< /Type /Font {font} >>".encode(),
    ]
    for i, page in enumerate(pages):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
            f"/Contents {5 + 2 * i} 0 R >>".encode()
        )
        data = page if isinstance(page, bytes) else page.encode("cp1252")
        objects.append(f"<< /Length {len(data)} {stream} >>\nstream\n".encode() + data + b"\nendstream")
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n".encode() + content + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    end = f"trailer << /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{len(out)}\n%%EOF\n".encode()
    return out + head + table + end


def said(x: int, y: int, size: int, text: str) -> str:
    """Operators that write a line; y from the bottom."""
    return f"BT /F1 {size} Tf {x} {y} Td ({text}) Tj ET\n"


def ruled(x: int, y: int, rows: Sequence[Sequence[str]]) -> str:
    """Operators that draw a table with lines round its cells."""
    return "".join(
        f"{x + 120 * c} {y - 20 * (r + 1)} 120 20 re S\n" + said(x + 120 * c + 4, y - 20 * (r + 1) + 6, 10, cell)
        for r, row in enumerate(rows)
        for c, cell in enumerate(row)
    )


def zeros(n_mib: int) -> bytes:
    """Deflated zeros, made without writing them all."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    chunk = deflater.compress(bytes(2**20)) + deflater.flush(zlib.Z_FULL_FLUSH)
    checksum = ((n_mib * 2**20 % 65521) << 16) | 1
    return b"\x78\x9c" + chunk * n_mib + b"\x03\x00" + checksum.to_bytes(4, "big")


def docx(body: str, **parts: str) -> bytes:
    """A Word document with this body in WordprocessingML."""
    kinds = (
        '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'wordprocessingml.document.main+xml"/><Override PartName="/word/numbering.xml" ContentType="application/vnd.'
        'openxmlformats-officedocument.wordprocessingml.numbering+xml"/></Types>'
    )
    base = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packages = "http://schemas.openxmlformats.org/package/2006/relationships"
    links = (
        f'<Relationships xmlns="{packages}"><Relationship Id="r1" Type="{base}/{{}}" Target="{{}}"/></Relationships>'
    )
    levels = "".join(f'<w:lvl w:ilvl="{i}"><w:numFmt w:val="bullet"/></w:lvl>' for i in range(2))
    return zipped(
        {
            "[Content_Types].xml": kinds,
            "_rels/.rels": links.format("officeDocument", "word/document.xml"),
            "word/_rels/document.xml.rels": links.format("numbering", "numbering.xml"),
            "word/numbering.xml": f'<w:numbering {WORD}><w:abstractNum w:abstractNumId="0">{levels}</w:abstractNum>'
            '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>',
            "word/document.xml": f"<w:document {WORD}><w:body>{body}</w:body></w:document>",
        }
        | parts
    )


def word_paragraph(text: str, style: str = "", item: int | None = None) -> str:
    listed = f'<w:numPr><w:ilvl w:val="{item}"/><w:numId w:val="1"/></w:numPr>' if item is not None else ""
    styled = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{styled}{listed}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def word_table(rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(f"<w:tr>{''.join(f'<w:tc>{word_paragraph(cell)}</w:tc>' for cell in row)}</w:tr>" for row in rows)
    return f"<w:tbl>{cells}</w:tbl>"


def odt(body: str, **parts: str) -> bytes:
    content = f"<office:document-content {OFFICE}><office:body><office:text>{body}</office:text></office:body>"
    return zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f"{content}</office:document-content>",
            "META-INF/manifest.xml": "<manifest/>",
        }
        | parts
    )


def epub(chapters: Sequence[str], title: str = "A book", **parts: str) -> bytes:
    items = "".join(
        f'<item id="c{i}" href="c{i}.xhtml" media-type="application/xhtml+xml"/>' for i in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{i}"/>' for i in range(len(chapters)))
    package = (
        f'<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        f"<dc:title>{title}</dc:title></metadata><manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>{}</body></html>'
    return zipped(
        {
            "META-INF/container.xml": '<container><rootfile full-path="OPS/book.opf"/></container>',
            "OPS/book.opf": package,
            **{f"OPS/c{i}.xhtml": page.format(chapter) for i, chapter in enumerate(chapters)},
        }
        | parts
    )


def pptx() -> bytes:
    """Two slides: a title with points and notes, and a table."""
    from pptx import Presentation
    from pptx.util import Inches

    made = Presentation()
    first = made.slides.add_slide(made.slide_layouts[1])
    first.shapes.title.text = "Kettle launch"
    first.placeholders[1].text = "Boils in two minutes\nThree colours"
    first.notes_slide.notes_text_frame.text = "Mention the award."
    second = made.slides.add_slide(made.slide_layouts[5])
    second.shapes.title.text = "Prices"
    cells = second.shapes.add_table(2, 2, Inches(1), Inches(2), Inches(4), Inches(1)).table
    for i, text in enumerate(("Model", "Price", "A1", "100")):
        cells.cell(i // 2, i % 2).text = text
    buffer = io.BytesIO()
    made.save(buffer)
    return buffer.getvalue()


def empty_pptx() -> bytes:
    from pptx import Presentation

    made = Presentation()
    made.slides.add_slide(made.slide_layouts[6])
    buffer = io.BytesIO()
    made.save(buffer)
    return buffer.getvalue()


def xlsx(rows: Sequence[Sequence[object]], formats: Mapping[str, str] | None = None) -> bytes:
    """A workbook of one shown and one hidden sheet."""
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Prices"
    for row in rows:
        sheet.append(list(row))
    for cell, number_format in (formats or {}).items():
        sheet[cell].number_format = number_format
    hidden = book.create_sheet("Secret")
    hidden.append(["salary", 1])
    hidden.sheet_state = "hidden"
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()
