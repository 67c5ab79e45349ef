"""What the labels or the schema alone bring, in sentences and as a table."""

from advisor.data.dataset import Task
from advisor.report.arms import arm_name, candidates, row_kind
from advisor.report.table import Cell, Row, Table
from advisor.results.comparison import Comparison, FormLead
from advisor.results.quantities import MISSING, ScoreScale, count, scale_of_scores

FORM_HEADING = "What the constraint alone contributes"


def form_sentences(comparison: Comparison) -> tuple[str, ...]:
    """How much of tuning's lead is form that constrained decoding gives for free; nothing where it was not measured."""
    found = comparison.form_gains
    if found is None:
        return ()
    scale = _scale(comparison)
    asked = (
        f"Measured on {count(found.n_questions)} validation questions, which each arm answered twice, within "
        f"{_form(comparison)} and freely; the test questions above were answered within {_form(comparison)}."
    )
    if found.lead is None:
        most = max(found.gains, key=lambda gain: (gain.gain.estimate, gain.arm))
        if most.gain.estimate <= 0:
            return (f"Holding answers to {_form(comparison)} brings no arm a higher {found.metric}.", asked)
        gained = f"brings {most.arm} {scale.difference(most.gain)} {scale.unit} of {found.metric}"
        others = ", more than any other arm" if len(found.gains) > 1 else ""
        return (f"Holding answers to {_form(comparison)} {gained}{others}.", asked)
    return (_of_lead(found.lead, scale, _form(comparison)), asked)


def form_table(comparison: Comparison) -> Table | None:
    """Each candidate held to the form and free; None where it was not measured."""
    found = comparison.form_gains
    if found is None:
        return None
    scale = _scale(comparison)
    gains = {gain.arm: gain for gain in found.gains}
    rows = []
    for arm in candidates(comparison):
        gain = gains.get(arm.id)
        cells = [Cell(MISSING)] * 4
        if gain is not None:
            cells = [
                Cell(scale.value(gain.free)),
                Cell(scale.value(gain.held)),
                Cell(scale.difference(gain.gain)),
                Cell(f"{count(gain.n_outside_free)} / {count(gain.n_outside_held)}"),
            ]
        rows.append(Row((Cell(arm_name(comparison, arm)), *cells), row_kind(comparison, arm)))
    return Table(
        caption=f"Free and within {_form(comparison)}: {found.metric}, in {scale.unit}",
        columns=("Arm", "Free", "Constrained", "Gain", "Outside the form, free / constrained"),
        rows=tuple(rows),
        note=f"{count(found.n_questions)} validation questions, answered both ways and compared question by "
        "question. Tuned arms used these questions for early stopping, so their scores here are somewhat high; the "
        "gain is a difference within one arm. A dash: not measured, for example if an endpoint takes no constraint.",
    )


def _of_lead(lead: FormLead, scale: ScoreScale, form: str) -> str:
    held = f"within {form} the difference is {scale.difference(lead.held)} {scale.unit}"
    if lead.free.estimate <= 0:
        return (
            f"Answering freely, {lead.tuned} is not ahead of {lead.prompted} ({scale.difference(lead.free)} "
            f"{scale.unit}); {held}."
        )
    ahead = f"Of the {scale.value(lead.free.estimate)} {scale.unit} that {lead.tuned} is ahead of {lead.prompted}"
    if lead.form.estimate <= 0:
        return f"{ahead} when both answer freely, none is form that constrained decoding gives for free: {held}."
    return (
        f"{ahead} when both answer freely, {scale.interval(lead.form)} are form that constrained decoding gives for "
        f"free: {held}."
    )


def _scale(comparison: Comparison) -> ScoreScale:
    found = comparison.form_gains
    return scale_of_scores(score for gain in (found.gains if found else ()) for score in (gain.free, gain.held))


def _form(comparison: Comparison) -> str:
    return "the labels" if comparison.card.task is Task.CLASSIFICATION else "the schema"
