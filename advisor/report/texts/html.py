"""`report.html`: one file that needs nothing else, neither scripts nor a network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from advisor.report.facts import Tally, answered, facts_table, next_steps, side_by_side, tallied
from advisor.report.pictures.break_evens import break_even_table, cost_curve_figure
from advisor.report.pictures.figures import (
    difference_figure,
    frontier_figure,
    latency_figure,
    quality_figures,
    token_figure,
    training_figures,
)
from advisor.report.pictures.flip_map import flip_map_figure, flip_map_sentence
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
    other_metrics,
    other_metrics_table,
    quality_table,
)
from advisor.report.sections.race import RACE_HEADING, race_sentences, race_table
from advisor.report.sections.retrieval_sweep import SWEEP_HEADING, sweep_sentences, sweep_table
from advisor.report.sections.seeds import seed_table
from advisor.report.sections.sensitivity import CHANGE_HEADING, change_summary, flip_table
from advisor.report.sections.tuning import tuning_tables
from advisor.report.sections.verdict import best_chance_table, severity_text, standing, unknowns, urgent_findings
from advisor.report.texts.xml_text import shown_text
from advisor.report.words import slice_words
from advisor.results.comparison import Comparison, QuestionRecord
from advisor.results.quantities import clip, scale_of

_TEMPLATES = Path(__file__).parent / "templates"
_FAILURES_SHOWN = 200
_FAILURES_OPEN = 5
_ITEMS_SHOWN = 50
_TEXT_LIMIT = 600


def html_report(comparison: Comparison, records: Sequence[QuestionRecord] = ()) -> str:
    """The report as a self-contained page with pictures, each with its table."""
    pivots, rest = differences_with_pivot(comparison), other_differences(comparison)
    failed = failed_questions(comparison, records)
    answers = answered(records, comparison.recommendation.metric)
    tally = tallied(answers)
    page = _environment().get_template("report.html.jinja")
    return page.render(
        comparison=comparison,
        recommendation=comparison.recommendation,
        facts=facts_table(comparison, tally),
        steps=next_steps(comparison, tally),
        side_by_side=[
            (one, [named_with_role(comparison, answer.arm) for answer in one.answers])
            for one in side_by_side(comparison, answers)
        ],
        standing=standing(comparison),
        race_heading=RACE_HEADING,
        race_sentences=race_sentences(comparison),
        race=race_table(comparison),
        change_heading=CHANGE_HEADING,
        changes=change_summary(comparison),
        constraint_heading=CONSTRAINT_HEADING,
        constraint_sentences=constraint_sentences(comparison),
        constraints=constraint_table(comparison),
        prior_heading=PRIOR_HEADING,
        prior_sentences=prior_sentences(comparison),
        prior_table=prior_table(comparison),
        unknowns=unknowns(comparison),
        urgent=urgent_findings(comparison),
        items_shown=_ITEMS_SHOWN,
        quality=quality_table(comparison),
        seeds=seed_table(comparison),
        tuning=tuning_tables(comparison),
        quality_figures=quality_figures(comparison),
        other_metrics=other_metrics_table(comparison),
        other_metrics_by_slice=[quality_table(comparison, name) for name in other_metrics(comparison)],
        sweep_heading=SWEEP_HEADING,
        sweep_sentences=sweep_sentences(comparison),
        sweep=sweep_table(comparison),
        form_heading=FORM_HEADING,
        form_sentences=form_sentences(comparison),
        form=form_table(comparison),
        models_heading=MODELS_HEADING,
        models=model_tables(comparison),
        differences=difference_table(comparison, pivots, f"Paired differences of {pivots[0].first} to the others")
        if pivots
        else None,
        difference_figure=difference_figure(comparison),
        other_differences=difference_table(comparison, rest, "All other pairs") if rest else None,
        chances=best_chance_table(comparison),
        cost=cost_table(comparison),
        net_values=net_value_table(comparison),
        break_evens=break_even_table(comparison),
        speed=speed_table(comparison),
        economy_figures=[
            figure
            for figure in (
                cost_curve_figure(comparison),
                frontier_figure(comparison),
                latency_figure(comparison),
                token_figure(comparison),
            )
            if figure is not None
        ],
        flips=flip_table(comparison),
        flip_map=flip_map_figure(comparison),
        flip_map_sentence=flip_map_sentence(comparison),
        training_figures=training_figures(comparison),
        n_records=len(records),
        n_failed=len(failed),
        failure_classes=failure_class_table(comparison, records),
        failures_open=_FAILURES_OPEN,
        failures=[_shown(comparison, question) for question in failed[:_FAILURES_SHOWN]],
        provenance=provenance_tables(comparison),
    )


def verdict_html(comparison: Comparison, tally: Tally) -> str:
    """The verdict alone on one page, for people who may not see the data: nothing on it is of a question or answer."""
    findings = [f"{severity_text(found.severity)}: {found.check}" for found in urgent_findings(comparison)]
    page = _environment().get_template("verdict.html.jinja")
    return page.render(
        comparison=comparison,
        recommendation=comparison.recommendation,
        facts=facts_table(comparison, tally),
        standing=standing(comparison),
        lists=[
            ("Why", comparison.recommendation.reasons),
            ("Before you act on it", findings),
            (CHANGE_HEADING, change_summary(comparison)),
            ("What is not known", unknowns(comparison)),
        ],
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters["severity"] = severity_text
    return environment


def _printable(value: Any) -> Any:
    return shown_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _shown(comparison: Comparison, failed: FailedQuestion) -> dict[str, Any]:
    return {
        "id": failed.example_id,
        "question": clip(failed.question, _TEXT_LIMIT),
        "slice": slice_words(failed.slice),
        "references": [clip(reference, _TEXT_LIMIT) for reference in failed.references],
        "answers": [_shown_answer(comparison, record) for record in failed.records],
    }


def _shown_answer(comparison: Comparison, record: QuestionRecord) -> dict[str, Any]:
    metric = comparison.recommendation.metric
    value = main_score(record, metric)
    if is_unscored(record, metric):
        mark, score = "unscored", record.scores[metric].reason
    elif value is None:
        mark, score = "unscored", "does not apply"
    else:
        mark, score = ("right" if value >= 1 else "wrong"), scale_of(comparison, metric).value(value)
    return {
        "arm": named_with_role(comparison, record.arm),
        "mark": mark,
        "score": score,
        "text": clip(record.answer.text, _TEXT_LIMIT),
        "failure": record.failure,
        "passages": [(clip(chunk.title or chunk.document_id, 80), chunk.used) for chunk in record.answer.retrieved[:8]],
    }
