"""Names of files that nobody who means well gives."""

from collections.abc import Iterator

_TRAVERSALS = (
    "../x.md", "../../x.md", "a/../../x.md", "a/../x.md", "./x.md", "a/./x.md", "..", ".", "a/..", "../",
    "a//x.md", "//x.md",
    "/x.md", "/etc/passwd.txt", "/tmp/x.md", "~/x.md", "~root/x.md", "a/~/x.md", "-rf.md", "--help.txt", "a/-x.md",
    "..\\x.md", "a\\..\\..\\x.md", "\\x.md", "\\\\server\\share\\x.md", "C:\\x.md", "C:x.md", "c:/x.md", "file:///x.md",
    "http://example.org/x.md", "x.md:stream", "x.md::$DATA", "a/.hidden.md", ".x.md", "a/.git/config.txt",
    ".ssh/keys.txt",
    ".../x.md", "a/.../x.md", " x.md", "x.md ", "a /x.md", "x.md.", "a./x.md", "", "/", "a/", "?.md", "*.md", "x|y.md",
    "x<y>.md", 'x"y.md', "x>y.md", "%2e%2e\\x.md", "..%5cx.md:", "$(touch x).md|", "x;rm|y.md",
)  # fmt: skip
_UNSEEN = (
    "\0", "\x01", "\x07", "\b", "\t", "\n", "\r", "\x1b", "\x7f", "\x80", "\x85", "\x9f", "\u00ad", "\u061c",
    "\u200b", "\u200e",
    "\u200f", "\u2028", "\u2029", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2060", "\u2061",
    "\u2066", "\u2067",
    "\u2068", "\u2069", "\ufeff", "\ufff9", "\ufffa", "\ud800", "\udfff", "\U000e0001", "\U000e0041",
)  # fmt: skip
_LOOK_ALIKES = (
    "\u2044", "\u2215", "\u29f8", "\u29f5", "\u2216", "\ufe68", "\uff0f", "\uff3c", "\u2571", "\u2572",
    "\u2024", "\u2025",
    "\u2026", "\uff0e", "\ufe52", "\uff1a", "\uff0a", "\uff1f", "\uff1c", "\uff1e", "\uff5c", "\uff02",
    "\ufe13", "\ufe55",
)  # fmt: skip
_DEVICES = ("con", "CON", "prn", "aux", "NUL", "nul", "clock$", "conin$", "CONOUT$", *(f"com{i}" for i in range(10)))
_DEVICES += tuple(f"LPT{i}" for i in range(10)) + ("com¹", "com²", "lpt³")


def hostile_names() -> Iterator[str]:
    """Each once; none may be written."""
    yield from _TRAVERSALS
    for character in _UNSEEN:
        yield f"a{character}b.md"
        yield f"folder{character}/x.md"
    for character in _LOOK_ALIKES:
        yield f"..{character}x.md"
        yield f"a{character}b.md"
    for device in _DEVICES:
        yield f"{device}.md"
    yield from ("a/nul/x.md", "a/con.txt", "aux/x.md")
    yield "x" * 600 + ".md"
    yield "é" * 120 + ".md"
    yield "/".join("a" * 20) + "/x.md"
    yield "a/" * 300 + "x.md"
