"""HTML and XHTML as Markdown: what people read of a page, without its navigation."""

import html.entities
import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from advisor.data.loaders.markdown import heading, join_blocks, paragraph, table
from advisor.data.loaders.plain import Loaded, UnreadableFileError

Element = Any
"""Of lxml, which has no types."""

_UNSEEN = frozenset(
    [
        *("script", "style", "template", "noscript", "svg", "math", "canvas", "iframe", "object", "embed", "video"),
        *("audio", "head", "nav", "button", "input", "select", "textarea", "dialog", "datalist"),
    ]
)
_BLOCKS = frozenset(
    [
        *("address", "article", "aside", "body", "center", "dd", "details", "div", "dl", "dt", "fieldset"),
        *("figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "html", "legend", "li", "main", "p"),
        *("section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr"),
    ]
)
_MAX_SPAN = 64
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*;)")
_OF_XML = frozenset({"amp;", "lt;", "gt;", "quot;", "apos;"})
_CHARSET = re.compile(
    rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]+)", flags=re.IGNORECASE
)
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", flags=re.IGNORECASE)
_NAVIGATION_ROLES = frozenset({"navigation", "banner", "contentinfo", "search", "presentation-nav"})


def html_page(data: bytes) -> Loaded:
    """A page: its `<main>` where it has one, titled by its first `<h1>`, else its `<title>`."""
    tree = parse_html(decoded(data))
    if tree is None:
        raise UnreadableFileError("the page is empty; save it again")
    named = tree.find(".//title")
    title = " ".join(named.text_content().split()) if named is not None else ""
    mains = tree.xpath("//main | //*[@role='main']")
    root = mains[0] if len(mains) == 1 else tree
    n_navigation = len(tree.xpath("//nav | //body/header | //body/footer | //*[@role='navigation']"))
    notes = (f"navigation, page header and footer were left out: {n_navigation} parts",) if n_navigation else ()
    first = tree.find(".//h1")
    text = element_text(root)
    if not text.strip():
        raise UnreadableFileError(
            "no text in the page; if a script writes it, open it in a browser and save it as shown"
        )
    has_heading = first is not None and bool(first.text_content().strip())
    return Loaded(text, "" if has_heading else title, notes)


def decoded(data: bytes) -> str:
    """Markup in the encoding that it declares, else UTF-8, else that of Western European Windows."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    told = _CHARSET.search(data[:4096])
    for name in ("utf-8-sig", told[1].decode("ascii", "replace") if told else "cp1252"):
        try:
            return data.decode(name)
        except (UnicodeError, LookupError):
            continue
    return data.decode("cp1252", "replace")


def parse_html(text: str) -> Element | None:
    """The tree of a page as browsers read it; None where there is nothing."""
    from lxml import html as lxml_html

    parser = lxml_html.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True)
    try:
        return lxml_html.document_fromstring(text.replace("\0", "").encode("utf-8", "replace"), parser=parser)
    except etree.ParserError:
        return None


def parse_xml(data: bytes, *, recover: bool = False) -> Element:
    """A tree of XML whose entities stay as they are; names are without their namespaces.

    Raises:
        UnreadableFileError: it is no XML, or declares entities.
    """
    if b"<!ENTITY" in data[:65536]:
        raise UnreadableFileError("it declares XML entities, which are not read; save it again from its program")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=recover,
        remove_comments=True, remove_pis=True,
    )  # fmt: skip
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise UnreadableFileError(f"broken XML ({error.msg}); save the file again from its program") from error
    if root is None:
        raise UnreadableFileError("broken XML; save the file again from its program")
    for element in root.iter(etree.Element):
        element.tag = etree.QName(element).localname
    return root


def parse_xhtml(data: bytes) -> Element:
    """A tree of XHTML, named characters such as `&nbsp;` resolved."""
    text = _ENTITY.sub(
        lambda match: match[0] if match[1] in _OF_XML else html.entities.html5.get(match[1], match[0]), decoded(data)
    )
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    return parse_xml(text.encode(), recover=True)


def element_text(root: Element) -> str:
    """What is read of an element, as Markdown."""
    writer = _Writer()
    writer.walk(root)
    return join_blocks(writer.blocks())


class _Writer:
    """Blocks of Markdown, and the line that is being written."""

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._line: list[str] = []

    def blocks(self) -> list[str]:
        """All that was written."""
        self._end_paragraph()
        return self._blocks

    def walk(self, element: Element) -> None:
        """Write what is in an element, in order."""
        self._line.append(_collapsed(element.text))
        for child in element:
            if isinstance(child.tag, str):
                self._child(child)
            self._line.append(_collapsed(child.tail))

    def _child(self, element: Element) -> None:
        tag = str(element.tag).lower()
        if tag in _UNSEEN or _is_hidden(element, tag):
            return
        if tag == "br":
            self._line.append("\n")
        elif tag == "img":
            self._line.append(_collapsed(element.get("alt")))
        elif re.fullmatch("h[1-6]", tag):
            self._block(heading(int(tag[1]), " ".join(element_text(element).split())))
        elif tag in ("ul", "ol"):
            self._block("\n".join(_list_lines(element)))
        elif tag == "table" and _is_data_table(element):
            self._block(table(list(_table_rows(element))))
        elif tag == "pre":
            self._block(f"```\n{''.join(element.itertext()).strip(chr(10))}\n```")
        elif tag == "blockquote":
            quoted = element_text(element)
            self._block("\n".join(f"> {line}".rstrip() for line in quoted.split("\n")) if quoted.strip() else "")
        elif tag in _BLOCKS:
            self._end_paragraph()
            self.walk(element)
            self._end_paragraph()
        else:
            self.walk(element)

    def _block(self, text: str) -> None:
        self._end_paragraph()
        self._blocks.append(text)

    def _end_paragraph(self) -> None:
        text = "\n".join(" ".join(line.split()) for line in "".join(self._line).split("\n"))
        self._line.clear()
        if text.strip():
            self._blocks.append(paragraph(text))


def _collapsed(text: str | None) -> str:
    return re.sub(r"[ \t\r\n\f]+", " ", text or "")


def _is_hidden(element: Element, tag: str) -> bool:
    parent = element.getparent()
    of_page = parent is not None and parent.tag == "body"
    return (
        element.get("hidden") is not None
        or element.get("aria-hidden") == "true"
        or element.get("role") in _NAVIGATION_ROLES
        or bool(_HIDDEN.search(element.get("style", "")))
        or (tag in ("header", "footer") and of_page and element.find(".//h1") is None)
    )


def _list_lines(element: Element) -> Iterator[str]:
    number = int(start) if (start := element.get("start", "1")).isdecimal() and len(start) < 7 else 1
    for child in element:
        if child.tag in ("ul", "ol"):
            yield from (f"  {line}" for line in _list_lines(child))
        elif isinstance(child.tag, str) and (text := element_text(child)):
            mark = f"{number}. " if element.tag == "ol" else "- "
            number += 1
            first, *rest = re.sub(r"\n{2,}", "\n", text).split("\n")
            yield mark + first
            yield from (" " * len(mark) + line for line in rest)


def _is_data_table(element: Element) -> bool:
    """Whether a table holds data, and not a page's layout."""
    if element.get("role") in ("presentation", "none") or element.find(".//table") is not None:
        return False
    rows = element.xpath(".//tr")
    return len(rows) > 1 and max(len(row.xpath("./td | ./th")) for row in rows) > 1


def _table_rows(element: Element) -> Iterator[list[str]]:
    """Cells by row; a cell over several rows or columns stands in each."""
    from_above: dict[int, tuple[int, str]] = {}
    for row in element.xpath(".//tr"):
        waiting, cells, below = row.xpath("./td | ./th"), list[str](), dict[int, tuple[int, str]]()
        while waiting or len(cells) in from_above:
            if len(cells) in from_above:
                spans = [from_above[len(cells)]]
            else:
                cell = waiting.pop(0)
                spans = [(_span(cell, "rowspan"), element_text(cell))] * _span(cell, "colspan")
            for n_rows, text in spans:
                if n_rows > 1:
                    below[len(cells)] = (n_rows - 1, text)
                cells.append(text)
        yield cells
        from_above = below


def _span(cell: Element, name: str) -> int:
    said = cell.get(name, "1").strip()
    return min(max(int(said), 1), _MAX_SPAN) if said.isdecimal() and len(said) < 7 else 1
