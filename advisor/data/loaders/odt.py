"""OpenDocument texts, as LibreOffice writes them."""

from collections.abc import Iterator

from advisor.data.loaders.markdown import heading, join_blocks, paragraph, table
from advisor.data.loaders.markup import Element, parse_xml
from advisor.data.loaders.packed import open_package, read_part
from advisor.data.loaders.plain import Loaded, UnreadableFileError

_SECTIONS = frozenset({"section", "text", "index-body", "text-box", "frame"})
_UNSEEN = frozenset({"tracked-changes", "annotation", "sequence-decls", "forms", "table-of-content", "note-citation"})
_MAX_REPEATS = 64


def odt(data: bytes) -> Loaded:
    """The body; tracked deletions, comments and the table of contents are left out."""
    archive = open_package(data, "content.xml")
    if b"encryption-data" in read_part(archive, "META-INF/manifest.xml"):
        raise UnreadableFileError("it is encrypted; save it without a password")
    body = parse_xml(read_part(archive, "content.xml")).find("./body/text")
    text = join_blocks(list(_blocks(body))) if body is not None else ""
    if not text:
        raise UnreadableFileError("it holds no text; if it holds pictures of text, recognise them first")
    title = ""
    if "meta.xml" in archive.namelist():
        title = (parse_xml(read_part(archive, "meta.xml")).findtext(".//title") or "").strip()
    return Loaded(text, title)


def _blocks(element: Element) -> Iterator[str]:
    for child in element:
        if child.tag == "h":
            level = child.get("{urn:oasis:names:tc:opendocument:xmlns:text:1.0}outline-level", "1")
            yield heading(int(level) if level.isdecimal() and len(level) < 3 else 1, _text(child))
        elif child.tag == "p":
            yield paragraph(_text(child))
        elif child.tag == "list":
            yield "\n".join(_items(child))
        elif child.tag == "table":
            yield table(list(_rows(child)))
        elif child.tag in _SECTIONS:
            yield from _blocks(child)


def _items(element: Element) -> Iterator[str]:
    for item in element:
        is_first = True
        for child in item:
            if child.tag == "list":
                yield from (f"  {line}" for line in _items(child))
            elif said := _text(child).strip():
                yield f"{'- ' if is_first else '  '}{said}"
                is_first = False


def _rows(element: Element) -> Iterator[list[str]]:
    for row in element.iter("table-row"):
        cells: list[str] = []
        for cell in row:
            said = " ".join(_text(part) for part in cell).strip()
            repeated = cell.get("{urn:oasis:names:tc:opendocument:xmlns:table:1.0}number-columns-repeated", "1")
            n = int(repeated) if repeated.isdecimal() and len(repeated) < 7 else 1
            cells += [said] * min(n, _MAX_REPEATS)
        yield cells


def _text(element: Element) -> str:
    parts = [element.text or ""]
    for child in element:
        if child.tag == "s":
            parts.append(" ")
        elif child.tag == "tab":
            parts.append("\t")
        elif child.tag == "line-break":
            parts.append("\n")
        elif child.tag == "note":
            parts.append(f" ({' '.join(_text(child).split())})")
        elif child.tag not in _UNSEEN:
            parts.append(_text(child))
        parts.append(child.tail or "")
    return "".join(parts)
