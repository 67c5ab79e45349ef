"""Text that XML and HTML may hold."""

import re

_ILLEGAL = re.compile("[^\t\n\r\u0020-\u007e\u0085\u00a0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")


def legal_xml(text: str) -> str:
    """The text without controls, lone surrogates and non-characters, which XML 1.0 forbids or advises against."""
    return _ILLEGAL.sub("", text)
