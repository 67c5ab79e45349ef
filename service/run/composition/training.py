"""What the adapters of a comparison read besides questions, and what their records say of a training."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from advisor.audit.training import EpochLoss, TrainingLog, audit_training
from advisor.data.dataset import Dataset
from advisor.data.prompt import passage_text
from advisor.results.answer import BuildUsage
from advisor.results.comparison import AuditFinding, TrialSummary, TuningSummary
from finetune.adapter import AdapterRecord
from finetune.methods import METHODS
from lm.embedding import Embedder
from rag.chunk import Chunking, Reader, chunk_document
from service.run.settings import ComparisonSettings, TuneOn

if TYPE_CHECKING:
    from finetune.search import Trial


def read_texts(
    settings: ComparisonSettings, dataset: Dataset, chunking: Chunking, embedder: Embedder, reader: Reader
) -> list[str]:
    """What tuning reads besides the questions: the documents, cut into the passages that retrieval would give."""
    if settings.tune_on is not TuneOn.QUESTIONS_AND_DOCUMENTS:
        return []
    return [
        passage_text(chunk.passage_title, chunk.text)
        for document in dataset.documents
        for chunk in chunk_document(document, chunking=chunking, count_tokens=embedder.count_tokens, reader=reader)
    ]


def training_curve(record: AdapterRecord) -> tuple[Mapping[str, float | int | None], ...]:
    """Losses by epoch."""
    return tuple(
        {
            "epoch": epoch.epoch,
            "train_loss": epoch.train_loss,
            "validation_loss": epoch.validation_loss,
            "validation_exact_match": epoch.validation_exact_match,
            "seconds": epoch.seconds,
        }
        for epoch in record.epochs
    )


def tuning_summary(record: AdapterRecord, trials: Sequence["Trial"] = ()) -> TuningSummary:
    """How an adapter was trained, and what that took."""
    recipe = record.recipe
    return TuningSummary(
        method=recipe.method,
        learning_rate=record.learning_rate,
        r=recipe.r if METHODS[recipe.method].has_rank else None,
        lora_dropout=recipe.lora_dropout,
        batch_size=recipe.batch_size,
        n_epochs=len(record.epochs),
        precision=record.precision or "",
        n_trained=record.n_trainable_parameters,
        n_parameters=record.n_parameters,
        peak_memory_bytes=record.peak_memory_bytes,
        n_bytes=record.n_bytes,
        seconds=record.epochs[-1].seconds,
        n_tokens=record.build_usage.input_tokens,
        trials=tuple(
            TrialSummary(
                learning_rate=trial.learning_rate,
                r=trial.recipe.r,
                lora_dropout=trial.recipe.lora_dropout,
                batch_size=trial.recipe.batch_size,
                max_epochs=trial.recipe.max_epochs,
                score=trial.score,
                n_epochs=len(trial.epoch_scores),
                pruned=trial.pruned,
                chosen=replace(trial.recipe, seed=recipe.seed) == recipe,
                seconds=trial.usage.wall_s,
            )
            for trial in trials
        ),
    )


def search_usage(trials: Sequence["Trial"], chosen: "Trial") -> BuildUsage:
    """What the trainings of a search took that were not chosen."""
    return sum((trial.usage for trial in trials if trial is not chosen), BuildUsage(device=chosen.usage.device))


def kept_loss(record: AdapterRecord) -> float | None:
    """Validation loss of the epoch that was kept."""
    return record.epochs[record.best_epoch - 1].validation_loss


def training_findings(record: AdapterRecord) -> Sequence[AuditFinding]:
    """What the audit says of a training."""
    passages_left_out = record.text_rows.too_long_ids if record.text_rows is not None else ()
    return audit_training(
        TrainingLog(
            name=f"adapter {record.key[:8]} (seed {record.recipe.seed})",
            n_rows=record.train_rows.n_rows,
            left_out=record.train_rows.too_long_ids + passages_left_out,
            epochs=[EpochLoss(epoch.train_loss, epoch.validation_loss) for epoch in record.epochs],
            kept_epoch=record.best_epoch,
            max_epochs=record.recipe.max_epochs,
        )
    )
