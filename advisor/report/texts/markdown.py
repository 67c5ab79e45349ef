"""`report.md`: short enough to be posted whole as a comment on a pull request."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from advisor.report.facts import SideBySide, answered, facts_table, next_steps, side_by_side, tallied
from advisor.report.pictures.break_evens import break_even_table
from advisor.report.pictures.flip_map import flip_map_sentence, flip_map_table
from advisor.report.sections.constraints import CONSTRAINT_HEADING, constraint_sentences, constraint_table
from advisor.report.sections.economics import cost_table, net_value_table, speed_table
from advisor.report.sections.failures import (
    FailedQuestion,
    failed_questions,
    failure_class_table,
    is_unscored,
    main_score,
)
from advisor.report.sections.form_gains import FORM_HEADING, form_sentences, form_table
from advisor.report.sections.models import MODELS_HEADING, model_tables
from advisor.report.sections.prior import PRIOR_HEADING, prior_sentences, prior_table
from advisor.report.sections.provenance import provenance_tables
from advisor.report.sections.quality import (
    difference_table,
    differences_with_pivot,
    named_with_role,
    other_differences,
    other_metrics_table,
    quality_table,
)
from advisor.report.sections.race import RACE_HEADING, race_sentences, race_table
from advisor.report.sections.retrieval_sweep import SWEEP_HEADING, sweep_sentences, sweep_table
from advisor.report.sections.seeds import seed_table
from advisor.report.sections.sensitivity import CHANGE_HEADING, change_summary, flip_table
from advisor.report.sections.tuning import tuning_tables
from advisor.report.sections.verdict import best_chance_table, severity_text, standing, unknowns, urgent_findings
from advisor.report.table import Cell, Table
from advisor.report.texts.markdown_text import code, inline
from advisor.report.words import slice_words
from advisor.results.comparison import AuditFinding, Comparison, QuestionRecord
from advisor.results.quantities import MISSING, clip, count, scale_of

LIMIT_BYTES = 60_000
"""GitHub refuses comments above 65,536 characters; the rest is left to whoever posts it."""

_FAILURES_SHOWN = 10
_ITEMS_SHOWN = 8
_PAIRS_SHOWN = 15
_TEXT_LIMIT = 300
_CELL_LIMIT = 160
_CUT = "\n\n*The rest did not fit into a comment; report.html has it.*\n"


def markdown_report(comparison: Comparison, records: Sequence[QuestionRecord] = ()) -> str:
    """The report as GitHub-flavoured Markdown of at most `LIMIT_BYTES`; failures fill what the rest leaves."""
    head = "\n\n".join([*_verdict(comparison, records), *_measured(comparison), *_audit(comparison)])
    tail = "\n\n".join(_provenance(comparison))
    room = LIMIT_BYTES - _size(head) - _size(tail) - _size(_CUT) - 8
    middle = _failures(comparison, records, room)
    return _within_limit("\n\n".join(part for part in (head, middle, tail) if part) + "\n")


def _verdict(comparison: Comparison, records: Sequence[QuestionRecord]) -> Iterable[str]:
    recommendation = comparison.recommendation
    answers = answered(records, recommendation.metric)
    tally = tallied(answers)
    yield f"# {_text(comparison.card.name)}: which pipeline to ship"
    yield f"**Verdict ({recommendation.verdict.value}):** {_text(recommendation.headline, 600)}"
    yield _table(facts_table(comparison, tally))
    yield standing(comparison)
    if recommendation.reasons:
        yield "## Why"
        yield _bullets(recommendation.reasons)
    urgent = urgent_findings(comparison)
    if urgent:
        yield "## Before you act on it"
        yield "\n".join(_finding(finding) for finding in urgent[: 2 * _ITEMS_SHOWN])
    if steps := next_steps(comparison, tally):
        yield "## Next steps"
        yield "\n".join(f"- **{_text(step.action)}** {_text(step.effect)}" for step in steps)
    if shown := side_by_side(comparison, answers):
        yield "## Side by side"
        yield "\n\n".join(_compared(comparison, one) for one in shown)
    if (race := race_table(comparison)) is not None:
        yield f"## {RACE_HEADING}"
        yield _bullets(race_sentences(comparison))
        yield _table(race)
    if changes := change_summary(comparison):
        yield f"## {CHANGE_HEADING}"
        yield _bullets(changes)
    if (constraints := constraint_table(comparison)) is not None:
        yield f"## {CONSTRAINT_HEADING}"
        yield _bullets(constraint_sentences(comparison))
        yield _table(constraints)
    if (expected := prior_table(comparison)) is not None:
        yield f"## {PRIOR_HEADING}"
        yield _bullets(prior_sentences(comparison))
        yield _table(expected)
    yield "## What is not known"
    yield _bullets(unknowns(comparison))


def _compared(comparison: Comparison, one: SideBySide) -> str:
    accepted = "; ".join(_text(reference) for reference in one.references[:5]) or "none, no document answers it"
    said = [
        f"  - {_text(named_with_role(comparison, answer.arm))}: {_text(answer.text, _CELL_LIMIT) or '(empty)'}"
        for answer in one.answers
    ]
    return "\n".join([f"- **{one.kind.capitalize()}**: {_text(one.question)} Accepted: {accepted}", *said])


def _measured(comparison: Comparison) -> Iterable[str]:
    yield "## Quality"
    yield _table(quality_table(comparison))
    if (seeds := seed_table(comparison)) is not None:
        yield _table(seeds)
    yield from map(_table, tuning_tables(comparison))
    if (others := other_metrics_table(comparison)) is not None:
        yield _table(others)
    if (sweep := sweep_table(comparison)) is not None:
        yield f"## {SWEEP_HEADING}"
        yield _bullets(sweep_sentences(comparison))
        yield _table(sweep)
    if (form := form_table(comparison)) is not None:
        yield f"## {FORM_HEADING}"
        yield _bullets(form_sentences(comparison))
        yield _table(form)
    if models := model_tables(comparison):
        yield f"## {MODELS_HEADING}"
        yield from map(_table, models)
    yield "## Differences, question by question"
    pivots, rest = differences_with_pivot(comparison), other_differences(comparison)[:_PAIRS_SHOWN]
    if pivots or rest:
        caption = "Paired differences" if not pivots else f"Paired differences of {pivots[0].first} to the others"
        yield _table(difference_table(comparison, pivots + rest, caption))
    else:
        yield "No two arms could be compared."
    if (chances := best_chance_table(comparison)) is not None:
        yield _table(chances)
    yield "## Cost, latency and tokens"
    yield _table(cost_table(comparison))
    if (worth := net_value_table(comparison)) is not None:
        yield _table(worth)
    if (crossings := break_even_table(comparison)) is not None:
        yield _table(replace(crossings, rows=crossings.rows[:_PAIRS_SHOWN]))
    yield _table(speed_table(comparison))
    if (flips := flip_table(comparison)) is not None:
        yield "## Sensitivity"
        yield _table(flips)
        if uniform := flip_map_sentence(comparison):
            yield _text(uniform)
        elif (grid := flip_map_table(comparison)) is not None:
            yield _table(grid)


def _audit(comparison: Comparison) -> Iterable[str]:
    yield "## Audit and limits"
    if not comparison.findings:
        yield "The audit found nothing to report."
        return
    for finding in comparison.findings[: 3 * _ITEMS_SHOWN]:
        left_out = len(finding.items) - _ITEMS_SHOWN
        items = [_text(item) for item in finding.items[:_ITEMS_SHOWN]]
        items += [f"and {count(left_out)} more"] if left_out > 0 else []
        yield "\n".join([_finding(finding), *(f"  - {item}" for item in items)])


def _failures(comparison: Comparison, records: Sequence[QuestionRecord], room_bytes: int) -> str:
    failed = failed_questions(comparison, records)
    if not records:
        return ""
    if not failed:
        return "## Failures\n\nEvery candidate answered every question with full marks."
    parts = ["## Failures"]
    if (classes := failure_class_table(comparison, records)) is not None:
        parts.append(_table(classes))
    room_bytes -= _size("\n\n".join(parts)) + 200
    shown: list[str] = []
    for number, question in enumerate(failed[:_FAILURES_SHOWN], 1):
        text = _failed_question(comparison, question, number)
        room_bytes -= _size(text) + 2
        if room_bytes < 0:
            break
        shown.append(text)
    whom = "every candidate" if comparison.race is None else "every candidate that was asked them"
    told = f"{count(len(failed))} questions were not answered with full marks by {whom}."
    parts.append(f"{told} Shown: {len(shown)}, those first that matter most to the arm above.")
    return "\n\n".join(parts + shown)


def _failed_question(comparison: Comparison, failed: FailedQuestion, number: int) -> str:
    metric = comparison.recommendation.metric
    scale = scale_of(comparison, metric)
    accepted = "; ".join(_text(reference) for reference in failed.references[:5]) or "none, no document answers it"
    lines = [
        f"**{number}.** {_text(failed.question)} ({code(clip(failed.example_id, 80))}, {slice_words(failed.slice)})  ",
        f"Accepted: {accepted}",
        "",
        "| Arm | Score | Answer | Failure |",
        "|---|---|---|---|",
    ]
    for record in failed.records:
        score = "unscored" if is_unscored(record, metric) else scale.value(main_score(record, metric))
        cells = (
            _text(named_with_role(comparison, record.arm), _CELL_LIMIT),
            score,
            _text(record.answer.text, _CELL_LIMIT) or "(empty)",
            _text(record.failure, _CELL_LIMIT) or MISSING,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _provenance(comparison: Comparison) -> Iterable[str]:
    yield "## Configuration, hashes and versions"
    for table in provenance_tables(comparison):
        lines = [f"- {_text(row.cells[0].text)}: {code(clip(row.cells[1].text, 200))}" for row in table.rows[:60]]
        yield f"**{table.caption}**\n\n" + "\n".join(lines)


def _finding(finding: AuditFinding) -> str:
    remedy = f" *What to do:* {_text(finding.remedy)}" if finding.remedy else ""
    return f"- **{severity_text(finding.severity)}** ({_text(finding.check)}): {_text(finding.message)}{remedy}"


def _table(table: Table) -> str:
    lines = [
        f"**{_text(table.caption)}**",
        "",
        f"| {' | '.join(_text(column, _CELL_LIMIT) for column in table.columns)} |",
        "|---" * len(table.columns) + "|",
    ]
    lines += [f"| {' | '.join(_cell(cell) for cell in row.cells)} |" for row in table.rows]
    return "\n".join([*lines, "", _text(table.note, 900)] if table.note else lines)


def _cell(cell: Cell) -> str:
    text = _text(cell.text, _CELL_LIMIT)
    return f"{text}<br>{_text(cell.detail, _CELL_LIMIT)}" if cell.detail else text


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {_text(sentence, 500)}" for sentence in sentences)


def _text(text: str, limit: int = _TEXT_LIMIT) -> str:
    return inline(clip(" ".join(text.split()), limit))


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _within_limit(text: str) -> str:
    if _size(text) <= LIMIT_BYTES:
        return text
    kept = text.encode("utf-8", "replace")[: LIMIT_BYTES - _size(_CUT)].decode("utf-8", "ignore")
    return kept[: kept.rfind("\n")] + _CUT
