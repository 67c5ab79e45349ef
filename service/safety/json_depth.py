"""How deep JSON is nested and how much it holds, found without parsing it."""

import re

MAX_JSON_DEPTH = 64
MAX_JSON_VALUES = 20_000
"""Of a request; what reads and checks them holds up everyone else."""

# Every string is consumed whole, ended or not, without going back: linear in the length whatever is sent.
_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)?|[\[{]|[\]}]', flags=re.DOTALL)


def count_containers(data: bytes) -> int:
    """At least as many objects and lists as the JSON holds; brackets in texts count as well."""
    return data.count(b"[") + data.count(b"{")


def has_too_many_values(data: bytes) -> bool:
    """Whether JSON holds more than `MAX_JSON_VALUES`, told by commas and brackets outside of its texts."""
    if data.count(b",") + count_containers(data) <= MAX_JSON_VALUES:
        return False
    # Without escapes every quote begins or ends a text: at most a name and a value between two commas.
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 4 * (MAX_JSON_VALUES + 1):
        return True
    outside = b"".join(plain.split(b'"')[::2])
    return outside.count(b",") + count_containers(outside) > MAX_JSON_VALUES


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
