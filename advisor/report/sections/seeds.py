"""Tuned arms that were trained several times: how much their score owes to the seed."""

from advisor.report.arms import arm_name, candidates
from advisor.report.table import Cell, Table, row
from advisor.results.comparison import ArmSummary, Comparison
from advisor.results.quantities import MISSING, ScoreScale, scale_of


def seed_table(comparison: Comparison) -> Table | None:
    """The score of each training; None where every arm was trained once at most."""
    trained = [arm for arm in candidates(comparison) if arm.seeds]
    if not trained:
        return None
    scale = scale_of(comparison, comparison.recommendation.metric)
    seeds = sorted({one.training_seed for arm in trained for one in arm.seeds})
    return Table(
        caption=f"Scores by training seed: {comparison.recommendation.metric}, in {scale.unit}",
        columns=("Arm", *(f"Seed {seed}" for seed in seeds), "Mean", "Highest minus lowest"),
        rows=tuple(row(*_cells(comparison, arm, seeds, scale)) for arm in trained),
        note="Every adapter answered all test questions. The arm's score is their mean, and its intervals are drawn "
        "over questions and seeds. Answers, waits and failures shown are those of the adapter that is deployed: the "
        "one with the lowest loss on validation questions, whatever it scores here. Building counts all trainings, "
        "keeping fresh one each time.",
    )


def _cells(comparison: Comparison, arm: ArmSummary, seeds: list[int], scale: ScoreScale) -> list[Cell]:
    by_seed = {one.training_seed: one for one in arm.seeds}
    cells = [Cell(arm_name(comparison, arm))]
    for seed in seeds:
        one = by_seed.get(seed)
        if one is None or one.score is None:
            cells.append(Cell(MISSING))
            continue
        loss = "" if one.validation_loss is None else f"validation loss {one.validation_loss:.3f}"
        cells.append(Cell(scale.value(one.score), ", ".join(filter(None, (loss, "deployed" if one.deployed else "")))))
    scores = [one.score for one in arm.seeds if one.score is not None]
    if len(scores) < len(arm.seeds):
        return [*cells, Cell(MISSING), Cell(MISSING)]
    return [*cells, Cell(scale.value(sum(scores) / len(scores))), Cell(scale.value(max(scores) - min(scores)))]
