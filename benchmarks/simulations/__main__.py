"""Run every simulation in full and write docs/simulations.md.

python -m benchmarks.simulations --n-workers 2
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from advisor.evidence.prediction_powered import MIN_LABELS
from benchmarks.simulations import replays as sim
from benchmarks.simulations.judges import judge_tables

INTRODUCTION = """# Simulations

Comparisons with a known truth, replayed with fresh data: how often the statistics are wrong, and what a race saves.
Written by

    make simulate        # python -m benchmarks.simulations

The functions are in `benchmarks/simulations/replays.py`; `make test` runs them with fewer replays. Every replay has
its own generator, seeded with (seed, number), so the figures do not depend on the number of processes. The
standard error of a share p after n replays is sqrt(p (1 - p) / n): .5 points for 5 % of 2,000.

Unless a row says otherwise there are five binary arms on 300 questions in blocks of 20, latent normal with correlation
.5 between arms, a margin of 2 points and alpha .05 over all pairs of arms.
"""

SEEDS = """## 95 % intervals of arms trained with several seeds hold the truth

60 documents of 4 questions. The truth is the arm's mean over questions and over seeds that were never run; the other
arm of a difference is not tuned.
"""

AFTER_SEEDS = """
With two seeds there is one difference from which to judge all seeds: if they lie far apart, the interval covers the
truth less often than 95 %. With three or more it covers it often enough. A single training, its luck taken for the
arm's, is wrong far more often, and nothing in its own figures shows it.
"""

AFTER_EQUAL = """
A t-test repeated until it is significant finds a winner between equals in about 30 % of runs, and in more the longer it
runs; [ADR 6](adr/0006-anytime-valid-race.md) says what we do instead. A race errs less often than alpha allows, since
neither the union bound over pairs nor Ville's inequality is tight in 300 questions.
"""

AFTER_SAVING = """
The requirement, "a true gap of .2" among five arms, does not say where the others lie. If each arm is that much below
the next, it is met. If all four rivals are that close to the best, none can be dropped early, and it is missed. At a
gap of .1 it is out of reach: a bet that knew the distribution of two such arms beforehand (correlation .5) needs about
377 questions on average for the evidence that alpha shared over ten pairs requires, and there are 300. At .2 it needs
101, and a race has to learn the distribution on the way. Sharing alpha only over the rivals of one arm would save some
5 points, but then only the winner would be safe and not every statement of a race; see the log.
"""

CHOICE = """## The choice and its risk

Whole samples of five arms with costs in random order. A verdict claims too much if its winner is not the best, or if
an arm is better than the chosen one by more than the headline allows.
"""

NEEDED = """## As many questions as were named decide

Two arms, the better one costing more: there is a trade-off until it is shown to be better or the cheaper one to be as
good. The number is computed for the observed difference, so only first samples within half a point of the true one are
used; then that many fresh questions are asked. The requirement is 80 %, plus or minus the error of 200 replays.
"""

AFTER_NEEDED = """
No number of questions decides a difference as large as the margin: the estimate falls below the margin in half of all
runs. The nearer the difference is to the margin, the larger the number; above a million none is given.
"""


JUDGES = """## Scores of a judge, corrected by human labels

300 test questions, of which a random sample is labelled; two arms whose shares of right answers differ by ten points;
500 replays of each of seven judges at 5, 20, 50, 80 and 95 % right answers. *Lowest* and *average* are the shares of
95 % intervals in these 35 scenarios that cover the truth, *width* is in points. The normal interval is that of PPI++
as published. Standard error of one scenario: 1 point, so that the lowest of 35 at exactly 95 % is about 93 %.
"""

AFTER_JUDGES = """
From {n} labels per arm, the lowest is 93 % except for chance and the average within 93–97 %: `MIN_LABELS` of
`advisor/evidence/prediction_powered.py`. Fewer labels say little, and the intervals cover the truth only by being
wide: at 10 labels that of a difference is half the scale. A nearly perfect judge is not trusted before the labels show
it, so its intervals cover the truth too often.
"""


@dataclass(frozen=True)
class Row:
    """One simulation.

    Attributes:
        figure: From replays, seed and processes to the figure; shares in [0, 1].
        low, high: The required range; None where there is no requirement.
    """

    what: str
    function: str
    figure: Callable[[int, int, int], float]
    n_replays: int
    seed: int
    low: float | None = None
    high: float | None = None


def row(
    what: str,
    replay: Callable[[sim.Rng], float],
    n_replays: int,
    seed: int,
    *,
    low: float | None = None,
    high: float | None = None,
) -> Row:
    inner = replay.func if isinstance(replay, partial) else replay

    def figure(n: int, start: int, n_workers: int) -> float:
        return sim.replayed(replay, n_replays=n, seed=start, n_workers=n_workers)

    return Row(what, inner.__name__, figure, n_replays, seed, low, high)


def coverage_rows() -> list[Row]:
    return [
        row(what, partial(sim.holds, replay, truth), 4_000, 21, low=0.93, high=0.97)
        for what, (replay, truth) in sim.COVERAGE.items()
    ]


def seed_rows() -> list[Row]:
    return [
        row(
            what,
            partial(sim.holds, replay, truth),
            2_000,
            37,
            low=0.93 if asked else None,
            high=0.97 if asked else None,
        )
        for what, (replay, truth, asked) in sim.seed_coverage().items()
    ]


def equal_rows() -> list[Row]:
    plan, often, documents = sim.one_slice(), sim.one_slice(block_questions=10), sim.one_slice(60, 8)
    return [
        Row(
            "whole sample, 60 documents: any two arms called different",
            "share_of_claims_among_equal_arms",
            lambda n, seed, _: sim.share_of_claims_among_equal_arms(n, seed),
            2_000,
            22,
            high=0.05,
        ),
        row("whole sample: verdict names a winner", partial(sim.fixed_claims_winner, sim.EQUAL), 300, 23, high=0.05),
        row(
            "whole sample, 60 documents of 8, two arms: verdict names a winner",
            partial(sim.clustered_fixed_claims_winner, 2),
            500,
            24,
            high=0.05,
        ),
        row("race: ends with a winner", partial(sim.race_claims_winner, plan, sim.EQUAL), 2_000, 25, high=0.05),
        row(
            "race, two arms: ends with a winner",
            partial(sim.race_claims_winner, plan, sim.EQUAL[:2]),
            2_000,
            26,
            high=0.05,
        ),
        row(
            "race, looked at every 10 questions, margin 0: any arm ever called worse",
            partial(sim.race_ever_drops, often, sim.EQUAL),
            2_000,
            27,
            high=0.05,
        ),
        row(
            "race, 60 documents of 8, margin 0: any arm ever called worse",
            partial(sim.clustered_race_ever_drops, documents, 5),
            2_000,
            28,
            high=0.05,
        ),
        row(
            "race, two arms with opposite slices, margin 0: either ever called worse",
            partial(sim.opposed_slices_race_ever_drops, sim.two_slices(60, 8, coverage=0.5)),
            2_000,
            29,
            high=0.05,
        ),
        row(
            "race, stopped: any confidence sequence misses its difference",
            partial(sim.race_misstates, plan, sim.LADDER[0.1]),
            500,
            30,
            high=0.05,
        ),
        row(
            "race, two arms 10 points apart, margin 10 points, 1,500 questions: called within the margin",
            partial(sim.race_falsely_calls_equal, sim.one_slice(1_500, block_questions=50), 0.1),
            1_000,
            31,
            high=0.05,
        ),
        row(
            "t-test of two arms every 10 questions up to 300: ever below .05 (why we do not)",
            partial(sim.peeking_t_test_claims, 300, 10),
            2_000,
            32,
        ),
        row(
            "the same up to 1,000 questions",
            partial(sim.peeking_t_test_claims, 1_000, 10),
            1_000,
            33,
        ),
    ]


def saving_rows() -> list[Row]:
    plan, rows = sim.one_slice(), []
    for gap, bound in ((0.2, 0.35), (0.1, 0.6)):
        rows += [
            row(
                f"each arm {gap:.1f} below the next ({', '.join(f'{p:.1f}' for p in sim.LADDER[gap])}), "
                f"correlation {correlation}",
                partial(sim.race_share, plan, sim.LADDER[gap], correlation),
                500,
                34,
                high=bound,
            )
            for correlation in (0.3, 0.5, 0.7)
        ]
        rows += [
            row(
                f"all four rivals {gap:.1f} below the best (.7), correlation {correlation}",
                partial(sim.race_share, plan, sim.LEVEL[gap], correlation),
                300,
                35,
                high=bound,
            )
            for correlation in (0.3, 0.5, 0.7)
        ]
    return rows


def regret_rows() -> list[Row]:
    return [
        row("race", partial(sim.race_regret, sim.one_slice()), 1_000, 36, high=0.01),
        row("whole sample", partial(sim.fixed_regret, True), 300, 36, high=0.01),
        row("whole sample, costs in random order", partial(sim.fixed_regret, False), 300, 36, high=0.01),
    ]


def choice_rows() -> list[Row]:
    wrong, made = "a verdict says more than is true", "a verdict names what to ship without a trade-off"
    kinds = (
        ("five equal arms", sim.EQUAL),
        ("each arm 0.1 below the next", sim.LADDER[0.1]),
        ("all four rivals 0.1 below the best", sim.LEVEL[0.1]),
        ("accuracies drawn from .4 to .8", None),
    )
    return [
        *(row(f"{what}: {wrong}", partial(sim.choice_misstates, kind), 400, 38, high=0.05) for what, kind in kinds),
        *(row(f"{what}: {made}", partial(sim.choice_is_made, kind), 200, 39) for what, kind in kinds),
    ]


def needed_rows() -> list[Row]:
    return [
        row(
            f"{100 * gap:.0f} points apart, margin {100 * margin:.0f}, first {n} questions",
            partial(sim.named_number_decides, gap, margin, n),
            200,
            40,
            low=0.75,
            high=1.0,
        )
        for gap, margin, n in ((0.1, 0.02, 100), (0.06, 0.02, 200), (0.0, 0.05, 200))
    ]


def table(rows: list[Row], *, n_workers: int) -> list[str]:
    lines = ["| what | function | seed | replays | figure | required | |", "|---|---|---|---|---|---|---|"]
    for one in rows:
        figure = one.figure(one.n_replays, one.seed, n_workers)
        met = (one.low is None or figure >= one.low) and (one.high is None or figure <= one.high)
        mark = "" if one.high is None else ("met" if met else "**missed**")
        lines.append(
            f"| {one.what} | `{one.function}` | {one.seed} | {one.n_replays:,} | {100 * figure:.2f} % "
            f"| {required(one)} | {mark} |"
        )
        print(lines[-1], flush=True)
    return lines


def required(one: Row) -> str:
    if one.high is None:
        return "–"
    return f"{100 * one.low:.0f}–{100 * one.high:.0f} %" if one.low is not None else f"≤ {100 * one.high:.0f} %"


def document(*, n_workers: int) -> str:
    needed = {gap: sim.known_truth_questions(accuracies, 5) for gap, accuracies in sim.LEVEL.items()}
    parts = [
        INTRODUCTION,
        "## 95 % intervals hold the truth",
        "",
        *table(coverage_rows(), n_workers=n_workers),
        "",
        SEEDS,
        *table(seed_rows(), n_workers=n_workers),
        AFTER_SEEDS,
        JUDGES,
        *judge_tables(),
        AFTER_JUDGES.format(n=MIN_LABELS),
        "## All arms equal: every claim is wrong",
        "",
        *table(equal_rows(), n_workers=n_workers),
        AFTER_EQUAL,
        "## Share of the evaluations that a race uses",
        "",
        *table(saving_rows(), n_workers=n_workers),
        AFTER_SAVING.format(wide=needed[0.2], narrow=needed[0.1]),
        "## Regret: accuracy on fresh questions of the best arm minus that of the arm named",
        "",
        "Five arms with true accuracies drawn uniformly from .4 to .8, all at the same cost unless a row says",
        "otherwise, so that a wrong arm is never named for its price. Mean over replays, in points of accuracy.",
        "",
        *table(regret_rows(), n_workers=n_workers),
        "",
        CHOICE,
        *table(choice_rows(), n_workers=n_workers),
        "",
        NEEDED,
        *table(needed_rows(), n_workers=n_workers),
        AFTER_NEEDED,
    ]
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("docs/simulations.md"))
    arguments = parser.parse_args()
    arguments.out.write_text(document(n_workers=arguments.n_workers), encoding="utf-8")


if __name__ == "__main__":
    main()
