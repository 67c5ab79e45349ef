"""EPUB books: the chapters in reading order."""

import posixpath
from urllib.parse import unquote

from advisor.data.loaders.markdown import join_blocks
from advisor.data.loaders.markup import element_text, parse_xhtml, parse_xml
from advisor.data.loaders.packed import open_package, read_part
from advisor.data.loaders.plain import Loaded, UnreadableFileError

_CONTAINER = "META-INF/container.xml"
_PAGES = ("application/xhtml+xml", "text/html")


def epub(data: bytes) -> Loaded:
    """All chapters of the spine but the table of contents, titled as the book says."""
    archive = open_package(data, _CONTAINER)
    names = archive.namelist()
    if "META-INF/rights.xml" in names or "META-INF/license.lcpl" in names:
        raise UnreadableFileError("its text is encrypted (DRM); get it without")
    roots = parse_xml(read_part(archive, _CONTAINER)).xpath("//rootfile/@full-path")
    if not roots:
        raise UnreadableFileError("it names no book; save it again from its program")
    package = parse_xml(read_part(archive, roots[0]))
    folder = posixpath.dirname(roots[0])
    items = {item.get("id"): item for item in package.iter("item")}
    chapters = []
    for reference in package.iter("itemref"):
        item = items.get(reference.get("idref"))
        if item is None or item.get("media-type") not in _PAGES or "nav" in (item.get("properties") or "").split():
            continue
        name = posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))
        body = parse_xhtml(read_part(archive, name)).find(".//body")
        if body is not None:
            chapters.append(element_text(body))
    if not any(chapters):
        raise UnreadableFileError("its chapters hold no text; if they are pictures, recognise them first")
    title = next((" ".join(one.itertext()).strip() for one in package.iter("title")), "")
    return Loaded(join_blocks(chapters), title)
