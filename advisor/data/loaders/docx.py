"""Word documents: mammoth knows their styles, lists and notes; its HTML becomes Markdown."""

import io

from advisor.data.loaders.markup import element_text, parse_html
from advisor.data.loaders.packed import open_package
from advisor.data.loaders.plain import Loaded, UnreadableFileError

_STYLES = "p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => p:fresh\n"


def docx(data: bytes) -> Loaded:
    """The body with its notes; headers and footers of pages, comments and pictures are left out."""
    open_package(data, "word/document.xml")
    import mammoth

    page = mammoth.convert_to_html(
        io.BytesIO(data), style_map=_STYLES, convert_image=mammoth.images.img_element(lambda _: {"src": ""})
    )
    tree = parse_html(page.value) if page.value.strip() else None
    text = element_text(tree) if tree is not None else ""
    if not text.strip():
        raise UnreadableFileError("it holds no text; if it holds pictures of text, recognise them first")
    return Loaded(text)
