"""Text that XML and HTML may hold."""

import re

_ILLEGAL = re.compile("[^\t\n\r\u0020-\u007e\u0085\u00a0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")


_DIRECTION_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")


def legal_xml(text: str) -> str:
    """The text without controls, lone surrogates and non-characters, which XML 1.0 forbids or advises against."""
    return _ILLEGAL.sub("", text)


def shown_text(text: str) -> str:
    """Legal text without characters that reverse what follows them; right-to-left scripts need none on a page."""
    return _DIRECTION_OVERRIDES.sub("", legal_xml(text))
