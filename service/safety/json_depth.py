"""How deep JSON is nested, found without parsing it."""

import re

MAX_JSON_DEPTH = 64
# Every string is consumed whole, ended or not, without going back: linear in the length whatever is sent.
_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)?|[\[{]|[\]}]', flags=re.DOTALL)


def count_containers(data: bytes) -> int:
    """At least as many objects and lists as the JSON holds; brackets in texts count as well."""
    return data.count(b"[") + data.count(b"{")


def is_too_deep(data: bytes) -> bool:
    """Whether lists and objects are nested deeper than `MAX_JSON_DEPTH`; also said of some things that are not JSON."""
    if count_containers(data) <= MAX_JSON_DEPTH:
        return False
    depth = 0
    for found in _STRUCTURE.finditer(data):
        if found.group() in b"[{":
            depth += 1
            if depth > MAX_JSON_DEPTH:
                return True
        elif found.group() in b"]}":
            depth -= 1
    return False
