"""Untrusted text made harmless inside Markdown, as GitHub and GitLab render it."""

import re

_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# A bracket that opens nothing makes no link, image or footnote; an underscore inside a word makes no emphasis.
_SPECIAL = re.compile(r"([\\`*\[|~$]|(?<!\w)_|_(?!\w))")
_STARTS_A_BLOCK = re.compile(r"^(\d{0,9})([-+.)])(?=\s|-|$)")
_ZERO_WIDTH_SPACE = "\u200b"


def inline(text: str) -> str:
    """The text on one line, shown letter by letter: no markup, HTML, link, mention, issue reference or formula.

    GitHub and GitLab look for mentions, references and addresses in the rendered text, where escapes are gone, so a
    zero-width space is put inside them. Characters that reverse the direction of what follows are dropped; scripts
    written from right to left need none.
    """
    text = " ".join(_CONTROLS.sub("", text.replace("\x85", " ")).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _SPECIAL.sub(r"\\\1", text)
    text = _STARTS_A_BLOCK.sub(r"\1\\\2", text)
    text = re.sub(r"(@|#|\bwww(?=\.))", rf"\1{_ZERO_WIDTH_SPACE}", text, flags=re.IGNORECASE)
    # GitHub's GH-12, and GitLab's !12, %12, %"a b", ~12 and &12, which stands as &amp;12 here.
    text = re.sub(
        r"(\bGH)(?=-\d)|([!%~])(?=[\w\"'])|(&amp;)(?=\d)", rf"\g<0>{_ZERO_WIDTH_SPACE}", text, flags=re.IGNORECASE
    )
    # Before the colon: behind the slashes it would be taken for a letter of a host, and a link be made.
    return text.replace("://", f"{_ZERO_WIDTH_SPACE}://")


def code(text: str) -> str:
    """The text as a code span for identifiers and hashes; anything but plain characters falls back to `inline`."""
    return f"`{text}`" if re.fullmatch(r"[\w.:/+=, -]{1,200}", text, re.ASCII) and text.strip() else inline(text)
