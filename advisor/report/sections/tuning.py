"""How tuned arms were trained: what each training took, and the trials of a search for a recipe."""

from collections.abc import Iterator

from advisor.report.arms import arm_name, candidates
from advisor.report.table import Cell, RowKind, Table, row
from advisor.results.comparison import ArmSummary, Comparison, TrialSummary, TuningSummary
from advisor.results.quantities import MISSING, count, percent_in_digits, rounded, seconds


def tuning_tables(comparison: Comparison) -> tuple[Table, ...]:
    """What each tuned arm's training took, then the trials of each search; nothing where no arm was tuned."""
    tuned = [(arm, arm.tuning) for arm in candidates(comparison) if arm.tuning is not None]
    if not tuned:
        return ()
    table = Table(
        caption="Training",
        columns=(
            "Arm",
            "Rate",
            "Rank",
            "Batch",
            "Epochs",
            "Time",
            "Tokens/s",
            "Peak memory",
            "Trained",
            "On disk",
        ),
        rows=tuple(row(*_cells(comparison, arm, tuning)) for arm, tuning in tuned),
        note="Of the training that is deployed, whenever it was. Peak memory is that of the whole process on a CPU, "
        "and of tensors on a GPU.",
    )
    return (table, *_searches(comparison, tuned))


def _cells(comparison: Comparison, arm: ArmSummary, tuning: TuningSummary) -> Iterator[Cell]:
    yield Cell(arm_name(comparison, arm), f"{tuning.method}, {tuning.precision}".removesuffix(", "))
    yield Cell(f"{tuning.learning_rate:.2g}")
    yield Cell(MISSING if tuning.r is None else str(tuning.r), _dropout(tuning.lora_dropout))
    yield Cell(str(tuning.batch_size))
    yield Cell(str(tuning.n_epochs))
    yield Cell(seconds(tuning.seconds))
    yield Cell(rounded(tuning.n_tokens / tuning.seconds if tuning.seconds else None))
    yield Cell(_size(tuning.peak_memory_bytes))
    known = tuning.n_parameters is not None
    share = tuning.n_trained / tuning.n_parameters if tuning.n_parameters else None
    yield Cell(count(tuning.n_trained), percent_in_digits(share) if known else "")
    yield Cell(_size(tuning.n_bytes))


def _searches(comparison: Comparison, tuned: list[tuple[ArmSummary, TuningSummary]]) -> Iterator[Table]:
    """Of each search once: arms that are trained alike share it."""
    told = set()
    for _, tuning in tuned:
        if not tuning.trials or tuning.trials in told:
            continue
        told.add(tuning.trials)
        named = ", ".join(arm_name(comparison, one) for one, other in tuned if other.trials == tuning.trials)
        yield Table(
            caption=f"Search for a recipe: {named}",
            columns=("Trial", "Rate", "Rank", "Dropout", "Batch", "Epochs", "Validation", "Time"),
            rows=tuple(
                row(*_trial(number, trial), kind=RowKind.RECOMMENDED if trial.chosen else RowKind.PLAIN)
                for number, trial in enumerate(tuning.trials, 1)
            ),
            note="Validation is the probability of the validation answers after the best epoch; test questions were "
            "not asked. The first trial is the recipe as it was set. Building the arm counts all trials.",
        )


def _trial(number: int, trial: TrialSummary) -> Iterator[Cell]:
    yield Cell(str(number), "chosen" if trial.chosen else "pruned" if trial.pruned else "")
    yield Cell(f"{trial.learning_rate:.2g}")
    yield Cell(str(trial.r))
    yield Cell(rounded(trial.lora_dropout))
    yield Cell(str(trial.batch_size))
    yield Cell(f"{trial.n_epochs} of {trial.max_epochs}")
    yield Cell("diverged" if trial.score is None else percent_in_digits(trial.score))
    yield Cell(seconds(trial.seconds))


def _dropout(share: float) -> str:
    return f"dropout {rounded(share)}" if share else ""


def _size(n_bytes: int | None) -> str:
    if n_bytes is None:
        return MISSING
    return f"{rounded(n_bytes / 1e9)} GB" if n_bytes >= 1e9 else f"{rounded(n_bytes / 1e6)} MB"
