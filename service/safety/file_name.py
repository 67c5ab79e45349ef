"""Names of uploaded files: what is refused, and why."""

import re
import unicodedata
from pathlib import PurePosixPath

from advisor.data.folder_import import DATA_ENDINGS
from advisor.data.loaders import why_not_read

MAX_NAME_CHARACTERS = 512
MAX_PART_BYTES = 200
MAX_PARTS = 16
_PASSED_OVER = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
_FORBIDDEN = re.compile(r'[\\:*?"<>|]')
# Drawn like a slash, a backslash or a dot: a name that looks like another path than it is.
_LOOK_ALIKES = frozenset("\u2044\u2215\u29f8\u29f5\u2216\ufe68\uff0f\uff3c\u2571\u2572\u2024\u2025\u2026\uff0e\ufe52")
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|clock\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", flags=re.IGNORECASE
)
# Joiners shape words of Burmese, Arabic and Indic scripts, and emoji; no other unseen character belongs in a name.
_JOINERS = frozenset("\u200c\u200d")


def is_passed_over(name: str) -> bool:
    """Whether it is one of the files that desktops leave in folders."""
    return name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1].lower() in _PASSED_OVER


def name_problem(name: str) -> str:
    """Why a file of that name is refused and what to do, or "" where the name is fit to be a relative path here."""
    if not name:
        return "the file has no name; give it one"
    if len(name) > MAX_NAME_CHARACTERS:
        return f"the name has {len(name)} characters; shorten it to {MAX_NAME_CHARACTERS}"
    if problem := _character_problem(name):
        return problem
    if name.startswith("/"):
        return "the name is an absolute path; give it relative to the folder"
    parts = name.split("/")
    if len(parts) > MAX_PARTS:
        return f"the file is {len(parts)} folders deep; {MAX_PARTS} are allowed"
    for part in parts:
        if problem := _part_problem(part):
            return problem
    # What compatibility forms fold to must be as harmless as what is written.
    folded = unicodedata.normalize("NFKC", name)
    if folded.count("/") != name.count("/") or _FORBIDDEN.search(folded) or any(map(_part_problem, folded.split("/"))):
        return "the name holds characters that look like others; rename the file"
    return ""


def ending_problem(name: str) -> str:
    """Why a file of that kind is refused and what to do, or "".

    Pictures and documents that are not read are no reason to refuse the others: they are left out and told.
    """
    ending = PurePosixPath(name).suffix.lower()
    why = why_not_read(name)
    if ending in DATA_ENDINGS or (why and ending != ".zip"):
        return ""
    known = ", ".join(sorted(DATA_ENDINGS))
    return why or f"files of this kind are not part of a dataset; leave it out (taken are {known})"


def same_name(name: str) -> str:
    """A key that is equal for names that some file system takes for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _character_problem(name: str) -> str:
    for character in name:
        category = unicodedata.category(character)
        if category in ("Cc", "Cs", "Zl", "Zp") or (category == "Cf" and character not in _JOINERS):
            return f"the name holds the unseen character U+{ord(character):04X}; rename the file"
        if character in _LOOK_ALIKES:
            return f"the name holds U+{ord(character):04X}, which looks like a slash or dot; rename the file"
    if found := _FORBIDDEN.search(name):
        return f"the name holds {found.group()!r}, which not every system allows; rename the file"
    return ""


def _part_problem(part: str) -> str:
    if part in ("", ".", ".."):
        return "the name leaves its folder or has an empty part; give a plain relative path"
    if len(part.encode("utf-8", "replace")) > MAX_PART_BYTES:
        return f"a part of the name is longer than {MAX_PART_BYTES} bytes; shorten it"
    if part[0] in ". ~-" or part[-1] in ". ":
        return (
            "a part of the name begins with a dot, dash, tilde or space, or ends with a dot or space; rename the file"
        )
    if _RESERVED.fullmatch(part):
        return f"{part!r} is the name of a device on some systems; rename the file"
    return ""
