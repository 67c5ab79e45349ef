"""Bytes as people's programs write text: UTF-8 with or without a mark, UTF-16, and Windows-1252 as a last resort."""

import codecs
import re
from dataclasses import dataclass

from advisor.errors import UnreadableError

_SAMPLE_BYTES = 4096
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


class UnreadableTextError(UnreadableError):
    """The bytes are no text."""


@dataclass(frozen=True, slots=True)
class DecodedText:
    """A text, and what had to be assumed to read it; "" where nothing had to."""

    text: str
    assumed: str = ""


def decode_text(data: bytes) -> DecodedText:
    """The text of a file.

    Without a mark and not UTF-8, it is Windows-1252 if nothing in it looks like UTF-8; else the UTF-8 is broken.

    Raises:
        UnreadableTextError: in no encoding, or with a NUL character.
    """
    if (encoding := _utf16(data)) is not None:
        try:
            return _checked(data.decode(encoding).removeprefix("\ufeff"))
        except UnicodeError as error:
            raise UnreadableTextError("broken UTF-16; save the file as UTF-8") from error
    try:
        return _checked(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        if _MULTIBYTE.search(data) is None and b"\0" not in data:
            try:
                return _checked(data.decode("cp1252"), "it is Windows-1252 text, and was converted to UTF-8")
            except UnicodeDecodeError:
                pass
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableTextError(f"broken UTF-8 at byte {error.start + 1}; save the file as UTF-8", line) from error


def _utf16(data: bytes) -> str | None:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    sample = data[:_SAMPLE_BYTES]
    for encoding, start in (("utf-16-le", 1), ("utf-16-be", 0)):
        # Latin letters in UTF-16 have every second byte 0.
        high = sample[start::2]
        if len(high) > 1 and high.count(0) > len(high) * 0.4 and sample[1 - start :: 2].count(0) == 0:
            return encoding
    return None


def _checked(text: str, assumed: str = "") -> DecodedText:
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UnreadableTextError("a NUL character; save the file as plain text", line)
    return DecodedText(text, assumed)
