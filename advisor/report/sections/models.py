"""Arms on several models: a table of models by kinds of arm, and the differences that are of one of the two alone."""

from advisor.report.sections.quality import difference_table, summary_cell
from advisor.report.table import Cell, Row, Table
from advisor.results.comparison import ArmSummary, Comparison
from advisor.results.quantities import MISSING, scale_of

MODELS_HEADING = "Models and methods"

_UNKNOWN = "no model, or not known"


def model_tables(comparison: Comparison) -> list[Table]:
    """The scores, then the differences of method on each model and of model for each kind; none for a single model."""
    models = list(dict.fromkeys(arm.model for arm in comparison.arms))
    if len([model for model in models if model]) < 2:
        return []
    return [_scores(comparison, models), *_differences(comparison)]


def _scores(comparison: Comparison, models: list[str]) -> Table:
    arms = comparison.arms
    kinds = list(dict.fromkeys(arm.kind for arm in comparison.arms))
    metric = comparison.recommendation.metric
    return Table(
        caption=f"Models by methods: {metric}, in {scale_of(comparison, metric).unit}",
        columns=("Model", *kinds),
        rows=tuple(
            Row(
                (
                    Cell(model or _UNKNOWN),
                    *(_cell(comparison, [a for a in arms if (a.model, a.kind) == (model, kind)]) for kind in kinds),
                )
            )
            for model in sorted(models, key=lambda model: not model)
        ),
        note="Along a row the method differs, down a column the model; any other two arms differ in both.",
    )


def _cell(comparison: Comparison, arms: list[ArmSummary]) -> Cell:
    metric = comparison.recommendation.metric
    scale = scale_of(comparison, metric)
    shown = [(arm, summary_cell(arm.metric(metric), scale).text) for arm in arms]
    if len(shown) == 1:
        ((arm, score),) = shown
        return Cell(score, "" if arm.id == arm.kind else arm.id)
    return Cell("; ".join(f"{arm.id} {score}" for arm, score in shown) or MISSING)


def _differences(comparison: Comparison) -> list[Table]:
    by_id = {arm.id: arm for arm in comparison.arms}
    pairs = [(one, by_id[one.first], by_id[one.second]) for one in comparison.differences]
    pure = (
        (
            "Differences of method, on one model",
            [d for d, a, b in pairs if a.model == b.model != "" and a.kind != b.kind],
        ),
        ("Differences of model, of one method", [d for d, a, b in pairs if a.model != b.model and a.kind == b.kind]),
    )
    return [difference_table(comparison, differences, caption) for caption, differences in pure if differences]
