"""A race in the report: who left when, what was saved, and what the intervals of a race mean."""

from advisor.data.wording import listed
from advisor.report.arms import arm_name, candidates, references
from advisor.report.table import Cell, Row, Table
from advisor.results.comparison import Comparison
from advisor.results.quantities import MISSING, count, percent

RACE_HEADING = "The race"


def race_sentences(comparison: Comparison) -> tuple[str, ...]:
    """How the race went, in sentences; empty where every arm was asked every question."""
    race = comparison.race
    if race is None:
        return ()
    sentences = [
        f"{count(race.n_blocks)} of {count(race.n_blocks_planned)} blocks of questions were asked, and an arm was "
        "dropped once it was surely worse than another.",
        f"{count(race.n_evaluations)} of {count(race.n_evaluations_in_full)} answers were asked for: "
        f"{percent(race.share_saved)} saved. A question that was not asked is neither wrong nor unscored; it counts "
        "nowhere, and two arms are compared on the questions both were asked.",
    ]
    if race.kept_out:
        sentences.append(
            f"{listed(race.kept_out)} did not race, because of a declared constraint that no answer can change: one "
            "block was asked for the figures."
        )
    return tuple(sentences)


def race_table(comparison: Comparison) -> Table | None:
    """What each arm was asked and why no more."""
    race = comparison.race
    if race is None:
        return None
    drops = {drop.arm: drop for drop in race.drops}
    rows = []
    for arm in (*candidates(comparison), *references(comparison)):
        drop = drops.get(arm.id)
        left, why = MISSING, "asked to the end"
        if drop is not None:
            left = f"block {count(drop.n_blocks)}"
            why = f"surely worse than {drop.by}" if drop.by is not None else "too many answers unscored"
        elif arm.id in race.kept_out:
            why = "breaks a constraint"
        elif arm not in candidates(comparison):
            why = "does not race: asked what the last arms were asked"
        share = percent(arm.n_questions / race.n_questions_planned)
        rows.append(
            Row(
                (
                    Cell(arm_name(comparison, arm)),
                    Cell(count(arm.n_questions), f"{share} of all"),
                    Cell(left),
                    Cell(why),
                )
            )
        )
    return Table(
        caption="Who left when",
        columns=("Arm", "Questions asked", "Left after", "Why"),
        rows=tuple(rows),
        note="The differences that let arms go are below, as confidence sequences: intervals that hold however often "
        "one looks, for all pairs at once.",
    )
