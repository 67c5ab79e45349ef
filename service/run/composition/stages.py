"""Where a composition has its models, indexes and adapters from: loaded, built and trained here, or by another hand."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from advisor.data.dataset import Document, TrainingView
from advisor.results.answer import BuildUsage
from finetune.adapter import AdapterRecord, load_adapter_record
from finetune.errors import TrainingError
from finetune.progress import EpochResult, TrainingEvent
from finetune.recipe import TuningRecipe
from lm.completion import Message, Messages, Role
from lm.embedding import Embedder
from lm.errors import ConfigError
from lm.files import set_aside
from lm.language_model import LanguageModel
from lm.registry import load_language_model
from rag.chunk import Chunking, Reader
from rag.embedder import load_embedder
from rag.index import Index, build_index, open_index
from service.run.progress import EMBEDDED_TOKENS, OnProgress, Progress
from service.run.settings import ComparisonSettings
from service.store.data_directory import DataDirectory
from service.store.stages.build_alone import build_alone

if TYPE_CHECKING:
    from finetune.search import Trial
    from lm.local.huggingface import HuggingFaceModel

_LOG = logging.getLogger("tuning_fork.stages")


class Parts(Protocol):
    """The models that arms are made of; each is asked for when an arm first needs it."""

    def model(self, spec: str) -> LanguageModel:
        """One of the models that the settings name."""
        ...

    def embedder(self) -> Embedder:
        """For retrieval and for semantic similarity."""
        ...


class LoadedParts:
    """Loads what the settings name, for one comparison."""

    def __init__(self, settings: ComparisonSettings) -> None:
        self._settings = settings

    def model(self, spec: str) -> LanguageModel:
        """One of the models that the settings name."""
        return load_language_model(spec, self._settings.with_model(spec).load_options)

    def embedder(self) -> Embedder:
        """The embedder."""
        return load_embedder(self._settings.embedder, dimensions=self._settings.embedding_dimensions)


@dataclass(frozen=True)
class IndexRun:
    """One index to be built.

    Attributes:
        reader: In whose tokens chunks are bounded, if in any.
        server: Chroma server that holds the search structure, "" for files.
    """

    documents: Sequence[Document]
    chunking: Chunking
    embedder: Embedder
    reader: Reader | None
    server: str = ""


@dataclass(frozen=True)
class TrainingRun:
    """One adapter to be trained.

    Attributes:
        view: Training and validation questions.
        recipe: With its seed.
        prompts: By example id, where it is trained on more than the bare questions.
        texts: Read beside the questions, as plain text.
        label: Which training this is, where a comparison has several; "" otherwise.
        watch: Told each step and epoch; what it raises ends the training.
        launch_config: Of accelerate; None where this process trains.
        tensorboard: Folder for event files, if any are wanted.
    """

    view: TrainingView
    recipe: TuningRecipe
    prompts: Mapping[str, Messages] | None
    texts: Sequence[str]
    label: str
    watch: Callable[[TrainingEvent], None] | None = None
    launch_config: Path | None = None
    tensorboard: Path | None = None


def passage_reader(model: LanguageModel) -> Reader:
    """A model as the reader of passages. Hosted ones only estimate their tokens, all alike."""
    n_around = model.count_tokens((Message(Role.USER, ""),))
    return Reader(
        lambda text: model.count_tokens((Message(Role.USER, text),)) - n_around,
        getattr(model, "tokenizer_fingerprint", "estimate"),
    )


class Stages(Protocol):
    """What makes the expensive parts, each in a folder that is named by all that decides it."""

    def index(self, run: IndexRun, folder: Path) -> tuple[Index, BuildUsage]:
        """The open index of the documents, and what building it took, whenever that was."""
        ...

    def adapter(self, run: TrainingRun, base: "HuggingFaceModel", folder: Path) -> AdapterRecord:
        """The record of the adapter in the folder."""
        ...

    def search(
        self,
        run: TrainingRun,
        base: "HuggingFaceModel",
        n_trials: int,
        folder: Path,
        adapter_folder: Callable[[TuningRecipe], Path],
    ) -> "tuple[Trial, ...]":
        """The trials of a search for a recipe, whose record is in the folder.

        Args:
            adapter_folder: Where the adapter of a recipe belongs.
        """
        ...


def opened_adapter(folder: Path) -> AdapterRecord:
    """The record of an adapter that is not to be trained now.

    Raises:
        ConfigError: it is damaged, and was set aside.
    """
    try:
        return load_adapter_record(folder)
    except TrainingError as error:
        # Callers of the service need not know where it lies.
        told = put_aside(folder, error).replace(f"{folder.parent}{os.sep}", "")
        raise ConfigError(
            f"{told}; put the folder stages/adapters/{folder.name} back from a backup, or create a comparison with the "
            "same settings, which trains it again and asks only what was never asked, and ask that one"
        ) from error


def put_aside(folder: Path, error: TrainingError) -> str:
    """Set a damaged adapter aside; what to tell of it."""
    told = f"{error}; it is set aside as {set_aside(folder).name}"
    _LOG.warning("%s", told)
    return told


Hold = Callable[[DataDirectory, Path, Callable[[], object]], AbstractContextManager[None]]
"""Holds a folder while it is built or found to be there; calls what it is given while another hand builds it."""


class BuiltStages:
    """Builds in this process what is not there yet; what another hand builds is waited for."""

    def __init__(self, directory: DataDirectory, on_progress: OnProgress, hold: Hold = build_alone) -> None:
        self._hold = hold
        self._directory = directory
        self._on_progress = on_progress

    def index(self, run: IndexRun, folder: Path) -> tuple[Index, BuildUsage]:
        """The open index of the documents; what other indexes have of them is not embedded again."""
        n_documents = len(run.documents)
        waiting = Progress("index", "", 0, n_documents, "another comparison builds this index")

        def tell(done: int, total: int, n_tokens: int) -> None:
            n_done = n_documents * done // max(1, total)
            self._on_progress(Progress("index", "", n_done, n_documents, values={EMBEDDED_TOKENS: n_tokens}))

        with self._hold(self._directory, folder, lambda: self._on_progress(waiting)):
            earlier = [path for path in folder.parent.glob("*") if path != folder] if folder.parent.is_dir() else []
            record = build_index(
                run.documents,
                run.embedder,
                folder,
                chunking=run.chunking,
                reader=run.reader,
                earlier=earlier,
                server=run.server,
                on_damage=lambda told: self._on_progress(Progress("index", "", 0, n_documents, told)),
                on_embedded=tell,
            )
        return open_index(folder, run.embedder), record.build_usage

    def adapter(self, run: TrainingRun, base: "HuggingFaceModel", folder: Path) -> AdapterRecord:
        """The record of the adapter in the folder."""
        from finetune.attach import full_tuning_needs
        from finetune.event_files import EventFiles
        from finetune.launch import read_launch_config
        from finetune.search import PrunedError
        from finetune.tuned_model import train_adapter

        n_steps = 0

        def on_event(event: TrainingEvent) -> None:
            nonlocal n_steps
            n_steps = event.step
            self._on_progress(_progress(run.label, event))
            if events is not None:
                events.write(event)
            if run.watch is not None:
                run.watch(event)

        def tell_early_end(why: str) -> None:
            self._on_progress(Progress("tune", run.label, n_steps, n_steps, why))

        prompts = run.prompts
        if run.recipe.method == "full":
            self._on_progress(Progress("tune", run.label, 0, 1, full_tuning_needs(base.n_parameters)))
        waiting = Progress("tune", run.label, 0, 1, "another comparison trains this adapter")
        launch = read_launch_config(run.launch_config) if run.launch_config is not None else None
        with ExitStack() as stack:
            stack.enter_context(self._hold(self._directory, folder, lambda: self._on_progress(waiting)))
            if folder.exists():
                try:
                    load_adapter_record(folder)
                except TrainingError as error:
                    told = f"{put_aside(folder, error)} and trained again"
                    self._on_progress(Progress("tune", run.label, 0, 1, told))
            is_new = run.tensorboard is not None and not folder.exists()
            events = EventFiles(run.tensorboard / folder.name[:12]) if run.tensorboard and is_new else None
            if events is not None:
                stack.callback(events.close)
            try:
                record = train_adapter(
                    base,
                    run.view,
                    run.recipe,
                    folder,
                    messages_of=(lambda example: prompts[example.id]) if prompts is not None else None,
                    texts=run.texts,
                    on_event=on_event,
                    launch=launch,
                )
            except PrunedError:
                tell_early_end("below the median of the other trials")
                raise
            if record.stopped_early and n_steps:
                tell_early_end("stopped early")
            return record

    def search(
        self,
        run: TrainingRun,
        base: "HuggingFaceModel",
        n_trials: int,
        folder: Path,
        adapter_folder: Callable[[TuningRecipe], Path],
    ) -> "tuple[Trial, ...]":
        """The trials of a search; each adapter that was trained to its end is left where it belongs."""
        from finetune.checkpoint import discard_checkpoints
        from finetune.errors import DivergedError
        from finetune.search import RECORD, PrunedError, read_trials, search_recipe
        from finetune.tuned_model import peak_rate

        def train(
            recipe: TuningRecipe, on_event: Callable[[TrainingEvent], None]
        ) -> tuple[Sequence[EpochResult], BuildUsage]:
            target = adapter_folder(recipe)
            number = len(read_trials(folder / RECORD)) + 1
            trial = f"trial {number}: rate {recipe.learning_rate or rate:.2g}, r {recipe.r}"
            label = ", ".join(filter(None, (run.label, trial)))
            try:
                record = alone.adapter(replace(run, recipe=recipe, label=label, watch=on_event), base, target)
            except (PrunedError, DivergedError):
                discard_checkpoints(target)
                raise
            return record.epochs, record.build_usage

        # A pruned trial leaves nothing that could be brought home.
        alone = BuiltStages(self._directory, self._on_progress)
        rate = peak_rate(base, run.recipe)
        waiting = Progress("tune", run.label, 0, 1, "another comparison searches this recipe")
        with self._hold(self._directory, folder, lambda: self._on_progress(waiting)):
            return search_recipe(train, run.recipe, rate, n_trials, folder / RECORD)


def _progress(label: str, event: TrainingEvent) -> Progress:
    loss = event.train_loss if event.validation_loss is None else event.validation_loss
    name = "loss" if event.validation_loss is None else "validation loss"
    speed, peak_gb = event.n_tokens / max(event.seconds, 1e-9), event.peak_memory_bytes / 1e9
    detail = f"epoch {event.epoch}, {name} {loss:.3f}, {speed:,.0f} tokens/s, peak memory {peak_gb:.1f} GB"
    values = {"epoch": event.epoch, "train_loss": event.train_loss, "validation_loss": event.validation_loss}
    return Progress("tune", label, event.step, event.n_steps, detail, values=values)
