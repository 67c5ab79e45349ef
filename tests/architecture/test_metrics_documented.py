"""docs/metrics.md defines exactly the metrics there are."""

import re
from pathlib import Path

from advisor.metrics.corpus import CORPUS_METRICS
from advisor.metrics.registry import METRICS

TEXT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^### (.+)$", TEXT, re.MULTILINE)


def test_every_metric_has_one_entry_and_every_entry_a_metric() -> None:
    assert sorted(ENTRIES) == sorted([*METRICS, *CORPUS_METRICS])


def test_every_entry_says_its_range_when_it_is_unscored_and_its_source() -> None:
    for entry in re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]:
        for heading in ("- Range: ", "- Unscored: ", "- Source: "):
            assert heading in entry, f"{entry.splitlines()[0]} lacks {heading!r}"
