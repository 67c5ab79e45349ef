"""Whether an adapter is what tuning can do, or an accident of its training."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from advisor.audit.check import MAX_ITEMS, Check
from advisor.results.comparison import AuditFinding, Severity

MIN_ROWS = 50
STILL_FALLING = 0.02
RISEN = 0.05
DIVERGED = 0.1


@dataclass(frozen=True, slots=True)
class EpochLoss:
    """Mean losses of one epoch, per answer token in nats; validation None without validation rows."""

    train: float
    validation: float | None


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """What is known of one training run.

    Attributes:
        name: The arm, or arm and seed.
        n_rows: Training rows used; left_out: ids of examples that were too long for a row.
        kept_epoch: From 1; its weights are the adapter.
        max_epochs: As many were allowed.
    """

    name: str
    n_rows: int
    left_out: tuple[str, ...]
    epochs: Sequence[EpochLoss]
    kept_epoch: int
    max_epochs: int


def audit_training(log: TrainingLog) -> list[AuditFinding]:
    """Findings on rows and losses of one training run."""
    return [*_rows(log), *_losses(log)]


def _rows(log: TrainingLog) -> list[AuditFinding]:
    findings = []
    if log.left_out:
        findings.append(
            AuditFinding(
                Check.TRUNCATED_ROWS,
                Severity.WARN,
                f"{log.name}: {len(log.left_out)} training rows were too long and left out; {log.n_rows} remained.",
                "Shorten these questions or answers, or use a model with a longer context.",
                log.left_out[:MAX_ITEMS],
            )
        )
    if log.n_rows < MIN_ROWS:
        findings.append(
            AuditFinding(
                Check.TOO_FEW_ROWS,
                Severity.WARN,
                f"{log.name} was tuned on {log.n_rows} rows; below {MIN_ROWS} its score says more of the rows than of "
                "tuning.",
                "Add training questions, hundreds if possible, or leave the tuned arms out.",
            )
        )
    return findings


def _losses(log: TrainingLog) -> list[AuditFinding]:
    train = [epoch.train for epoch in log.epochs]
    if not train:
        return []
    if not all(map(isfinite, train)) or train[-1] > (1 + DIVERGED) * train[0]:
        return [
            AuditFinding(
                Check.DIVERGED,
                Severity.BLOCK,
                f"{log.name}: the training loss diverged ({train[0]:.3g} in the first epoch, {train[-1]:.3g} in the "
                "last).",
                "Lower the learning rate, look for broken rows, or leave the tuned arms out.",
            )
        ]
    validation = [epoch.validation for epoch in log.epochs]
    known = [loss for loss in validation if loss is not None]
    watched = known if len(known) == len(train) else train
    if len(known) == len(train) and (over_fitted := _over_fitted(log, known)):
        return [over_fitted]
    if len(watched) < 2 or log.kept_epoch < len(watched) or len(watched) < log.max_epochs:
        return []
    fall = 1 - watched[-1] / watched[-2] if watched[-2] > 0 else 0.0
    if fall <= STILL_FALLING:
        return []
    return [
        AuditFinding(
            Check.NOT_CONVERGED,
            Severity.WARN,
            f"{log.name}: training stopped after {len(watched)} epochs while the loss still fell, by {fall:.0%} in the "
            "last; the arm would score higher with more.",
            "Raise --max-epochs.",
        )
    ]


def _over_fitted(log: TrainingLog, validation: Sequence[float]) -> AuditFinding | None:
    best, kept, last = min(validation), validation[log.kept_epoch - 1], validation[-1]
    if kept > (1 + RISEN) * best:
        shown = f"the epoch kept has a validation loss of {kept:.3g}, the best one {best:.3g}"
    elif len(validation) > 1 and validation[0] == best and last > (1 + RISEN) * best:
        shown = f"the validation loss rose from the first epoch on, from {best:.3g} to {last:.3g}"
    else:
        return None
    return AuditFinding(
        Check.OVER_FITTED,
        Severity.WARN,
        f"{log.name} memorised its rows: {shown}.",
        f"Set --max-epochs to {validation.index(best) + 1}, the epoch with the lowest; or lower --learning-rate or "
        "--lora-r; add other wordings of the training questions.",
    )
