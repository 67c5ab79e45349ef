"""Which arm meets which declared constraint, and by how much others fail."""

from collections.abc import Mapping

from advisor.report.arms import arm_name, candidates, row_kind
from advisor.report.table import Cell, Row, Table
from advisor.results.comparison import Comparison, ConstraintOutcome
from advisor.results.quantities import MISSING, percent_in_digits, rounded, usd

CONSTRAINT_HEADING = "What an arm must fulfil"

_NAMES: Mapping[str, str] = {
    "known_script": "knows the script",
    "must_cite_sources": "must cite sources",
    "facts_must_be_deletable": "facts can be deleted",
    "no_gpu_in_serving": "no GPU in serving",
    "max_p95_latency_s": "p95 latency",
    "monthly_budget_usd": "monthly budget",
    "min_abstention_recall": "declines what nobody can answer",
    "good_enough": "good enough",
}
_BOUNDS: Mapping[str, str] = {
    "max_p95_latency_s": "at most",
    "monthly_budget_usd": "at most",
    "min_abstention_recall": "at least",
    "must_cite_sources": "at least",
    "good_enough": "at least",
}


def constraint_sentences(comparison: Comparison) -> tuple[str, ...]:
    """Which arms are out and which may be shipped; empty without declared constraints."""
    if not comparison.constraints:
        return ()
    out: dict[str, list[str]] = {}
    for outcome in comparison.constraints:
        if not outcome.met:
            unproven = "" if outcome.met is not None else ", which cannot be shown"
            out.setdefault(outcome.arm, []).append(f"{_name(outcome.constraint)}{unproven}")
    fit = [arm.id for arm in candidates(comparison) if arm.id not in out]
    sentences = [f"{arm} is out: {'; '.join(reasons)}." for arm, reasons in out.items()]
    if not out:
        return ("Every arm meets every declared constraint.",)
    if not fit:
        return (*sentences, "No arm meets all of them.")
    return (*sentences, f"All are met by {', '.join(fit)}.")


def constraint_table(comparison: Comparison) -> Table | None:
    """A row for each candidate, a column for each declared constraint; None without any."""
    if not comparison.constraints:
        return None
    declared = dict.fromkeys(outcome.constraint for outcome in comparison.constraints)
    limits = {outcome.constraint: outcome.limit for outcome in comparison.constraints}
    outcomes = {(outcome.arm, outcome.constraint): outcome for outcome in comparison.constraints}
    return Table(
        caption="Declared constraints",
        columns=(
            "Arm",
            *(f"{_upper(_name(constraint))}{_limit(constraint, limits[constraint])}" for constraint in declared),
        ),
        rows=tuple(
            Row(
                (
                    Cell(arm_name(comparison, arm)),
                    *(_outcome(outcomes.get((arm.id, constraint))) for constraint in declared),
                ),
                row_kind(comparison, arm),
            )
            for arm in candidates(comparison)
        ),
        note="An arm that breaks one of them is out, however well it answers. What could not be measured is not taken "
        "on trust: such an arm is out as well.",
    )


def _name(constraint: str) -> str:
    return _NAMES.get(constraint, constraint)


def _upper(text: str) -> str:
    return text if text.startswith("p95") else text[:1].upper() + text[1:]


def _limit(constraint: str, limit: float | None) -> str:
    if limit is None:
        return ""
    bound = _BOUNDS.get(constraint, "")
    return f": {f'{bound} ' if bound else ''}{_quantity(constraint, limit)}"


def _quantity(constraint: str, value: float) -> str:
    match constraint:
        case "max_p95_latency_s":
            return f"{rounded(value)} s"
        case "monthly_budget_usd":
            return usd(value)
        case "min_abstention_recall" | "good_enough" | "must_cite_sources":
            return percent_in_digits(value)
        case _:
            return rounded(value)


def _outcome(outcome: ConstraintOutcome | None) -> Cell:
    """Whole sentences are for what is broken; of what is met the figure is enough."""
    if outcome is None:
        return Cell(MISSING)
    if outcome.met:
        measured = outcome.measured
        return Cell("met", outcome.message if measured is None else _quantity(outcome.constraint, measured))
    return Cell("cannot be shown" if outcome.met is None else "broken", outcome.message)
