"""docs/audit.md explains exactly the checks there are."""

import re
from pathlib import Path

from advisor.audit.check import Check

TEXT = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")


def test_every_check_has_one_entry_and_every_entry_a_check() -> None:
    assert sorted(re.findall(r"^### (.+)$", TEXT, re.MULTILINE)) == sorted(Check)


def test_every_entry_says_severity_threshold_source_and_remedy() -> None:
    for entry in re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]:
        for heading in ("- Severity: ", "- Threshold: ", "- Source: ", "- Remedy: "):
            assert heading in entry, f"{entry.splitlines()[0]} lacks {heading!r}"
