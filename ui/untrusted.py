"""Text of documents, questions, answers and file names, for places of the page that read Markdown.

Widgets that show plain text (tables, `st.text`, `st.code`, text areas) need none of this. Labels, messages, captions
and headings are Markdown to Streamlit, and there no link, picture, HTML, formula, colour or symbol of such a text may
live.
"""

import re

from advisor.report.texts.markdown_text import inline
from advisor.results.quantities import clip

_ZERO_WIDTH_SPACE = "\u200b"
# Streamlit reads `:red[…]`, `:material/…:` and `:smile:`, the last of them after escapes are gone.
_DIRECTIVE = re.compile(r":(?=[\w+-])")
# An arrow or a dash made of signs would be drawn as one.
_TYPOGRAPHY = re.compile(r"(&lt;|[-=])(?=-|&gt;)")


def shown(text: str, limit: int | None = None) -> str:
    """The text letter by letter on one line, cut to at most `limit` characters."""
    text = clip(text, limit) if limit is not None else text
    escaped = inline(text)
    escaped = _TYPOGRAPHY.sub(rf"\1{_ZERO_WIDTH_SPACE}", escaped)
    return _DIRECTIVE.sub(f":{_ZERO_WIDTH_SPACE}", escaped)
