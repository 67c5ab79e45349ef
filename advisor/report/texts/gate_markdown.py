"""`report.md` of a gate: the whole comment on a pull request, verdict first, everything else folded."""

import re
from collections.abc import Sequence

from advisor.gate.check import GateCheck, GateVerdict
from advisor.gate.gate import GateOutcome
from advisor.report.texts.markdown import markdown_report
from advisor.report.texts.markdown_text import inline
from advisor.results.comparison import Comparison, QuestionRecord
from advisor.results.quantities import clip

COMMENT_LIMIT = 65_536
"""Characters that GitHub takes in a comment."""

_GATE_LIMIT = 4_000
_MARKS = {GateVerdict.PASS: "✅", GateVerdict.FAIL: "❌", GateVerdict.CANNOT_COMPARE: "⚠️"}
_ORDER = (GateVerdict.FAIL, GateVerdict.CANNOT_COMPARE, GateVerdict.PASS)
_SHOWN = ("Why",)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


def gate_markdown(outcome: GateOutcome, comparison: Comparison, records: Sequence[QuestionRecord] = ()) -> str:
    """The outcome, the comparison's verdict with its reasons, and each further section of the report folded."""
    first, *rest = _HEADING.split(markdown_report(comparison, records))
    named = list(zip(rest[::2], rest[1::2], strict=True))
    shown = [f"### {title}\n{body.rstrip()}" for title, body in named if title in _SHOWN]
    folded = [
        f"<details><summary>{title}</summary>\n{body.rstrip()}\n\n</details>"
        for title, body in named
        if title not in _SHOWN
    ]
    return "\n\n".join([_gate(outcome), f"#{first.rstrip()}", *shown, *folded]) + "\n"


def failed_gate_markdown(message: str) -> str:
    """The comment where there is no comparison to report, since it could not be made."""
    return f"# {_MARKS[GateVerdict.CANNOT_COMPARE]} Gate cannot compare\n\n{inline(clip(message, 2_000))}\n"


def _gate(outcome: GateOutcome) -> str:
    lines = [
        f"# {_MARKS[outcome.verdict]} {inline(clip(outcome.headline, 500))}",
        "",
        "| | Asked | Found |",
        "|---|---|---|",
    ]
    room = _GATE_LIMIT
    checks = sorted(outcome.checks, key=lambda check: _ORDER.index(check.verdict))
    for number, check in enumerate(checks):
        row = _row(check)
        room -= len(row)
        if room < 0:
            lines += ["", f"{len(checks) - number} more checks are in gate.json."]
            break
        lines.append(row)
    if outcome.notes:
        lines += ["", *(f"- {inline(clip(note, 300))}" for note in outcome.notes)]
    return "\n".join(lines)


def _row(check: GateCheck) -> str:
    return f"| {_MARKS[check.verdict]} {check.verdict} | {inline(check.name)} | {inline(clip(check.reason, 700))} |"
