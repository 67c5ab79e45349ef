"""Arms of finished comparisons where their models are: opened from what lies on disk, asked, closed.

`arms_process` is a process for them. Nothing is built in a request but an index that is damaged.
"""

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.data.dataset import Dataset
from advisor.results.answer import TOKENS, Answer, BuildUsage, Pipeline
from finetune.adapter import RECORD, AdapterRecord
from finetune.recipe import TuningRecipe
from lm.completion import GenerationConfig
from lm.embedding import Embedder
from lm.errors import TuningForkError
from lm.language_model import LanguageModel
from lm.registry import parse_spec
from rag.errors import DamagedIndexError
from rag.index import MARKER, Index, mend_search, open_index, read_record
from service.json_log import about
from service.run.composition import BuiltStages, IndexRun, LoadedParts, LocalComposition, TrainingRun, opened_adapter
from service.run.finished.base_model import is_measured_model
from service.run.progress import silent
from service.run.settings import ComparisonSettings
from service.run.spending import is_hosted
from service.run.workflow import load_limited_dataset
from service.serving.endpoint_failure import endpoint_failure
from service.serving.errors import ArmGoneError, NoSuchPipelineError, NotServableError
from service.serving.limits import ServingLimits
from service.serving.model_trial import ModelTrial, ask_model
from service.serving.servable import ArmFacts, Servable
from service.serving.shared import Shared, Taken
from service.store.data_directory import DataDirectory
from service.store.stages.recorded_stages import read_stages
from service.store.stages.stage_key import changed_versions

if TYPE_CHECKING:
    from finetune.search import Trial
    from lm.local.huggingface import HuggingFaceModel

LoadModel = Callable[[ComparisonSettings], LanguageModel]
LoadEmbedder = Callable[[ComparisonSettings], Embedder]

_HOSTED_RETRIES = 1
_AGAIN = (
    "create a comparison with the same settings (POST /v1/comparisons, or New comparison in the web UI), which builds "
    "it again and asks only what was never asked, and ask that one"
)
_LOG = logging.getLogger("tuning_fork.serving")


class Arms:
    """Arms in this process. One thread at a time opens and closes; any may ask.

    Args:
        load_model: The registered models if not given, as with `load_embedder`.

    Attributes:
        is_gone: Whether their process ended; it is ours.
        models, embedders: What is loaded, held once for all comparisons.
    """

    is_gone = False

    def __init__(
        self,
        directory: DataDirectory,
        limits: ServingLimits,
        *,
        load_model: LoadModel | None = None,
        load_embedder: LoadEmbedder | None = None,
    ) -> None:
        self._directory = directory
        self.load_model = load_model or partial(_registered_model, timeout_s=limits.timeout_s)
        self.load_embedder = load_embedder or (lambda settings: LoadedParts(settings).embedder())
        self.models: Shared[LanguageModel] = Shared()
        self.embedders: Shared[Embedder] = Shared()
        self._comparisons: dict[str, OpenedComparison] = {}
        self._arms: dict[tuple[str, str], tuple[Pipeline, ArmFacts]] = {}

    def open(self, servable: Servable, kind: str) -> ArmFacts:
        """Load an arm of that id.

        Raises:
            NoSuchPipelineError: the comparison has none.
            NotServableError: what it is built of is gone or has changed.
            EndpointFailedError: a hosted embedder fails.
        """
        with _failing_endpoint_named(None):
            if servable.id not in self._comparisons:
                parts = SharedParts(servable.settings, self)
                self._comparisons[servable.id] = OpenedComparison(servable, self._directory, parts)
            arm = self._arms[servable.id, kind] = self._comparisons[servable.id].open_arm(kind)
        return arm[1]

    def answer(
        self, comparison_id: str, kind: str, generation: GenerationConfig, questions: Sequence[str]
    ) -> list[Answer]:
        """One answer a question, in order.

        Raises:
            ArmGoneError: the arm is not open.
            EndpointFailedError: a hosted model or embedder is down; EndpointTimeoutError: late.
            LanguageModelError: a question cannot be answered.
        """
        pipeline, hosted_model = self._asked(comparison_id, kind, generation)
        with _failing_endpoint_named(hosted_model):
            return pipeline.answer(questions)

    def stream(
        self, comparison_id: str, kind: str, generation: GenerationConfig, question: str
    ) -> Generator[str, None, Answer]:
        """Pieces of one answer as they are generated, which the generator returns whole. Raises as `answer`."""
        pipeline, hosted_model = self._asked(comparison_id, kind, generation)
        with _failing_endpoint_named(hosted_model):
            return (yield from pipeline.stream(question))

    def close(self, comparison_id: str) -> None:
        """Release what the arms of a comparison hold; nobody asks them any more."""
        for key in [key for key in self._arms if key[0] == comparison_id]:
            del self._arms[key]
        if (opened := self._comparisons.pop(comparison_id, None)) is not None:
            opened.close()

    def end(self) -> None:
        """Release everything."""
        for comparison_id in list(self._comparisons):
            self.close(comparison_id)

    def hand_over(self, servable: Servable, kind: str, target: str, folder: Path) -> str:
        """Write an arm for another tool; the name of what was written in the folder.

        Raises:
            As `open`; ConfigError: it does not fit the target.
        """
        from service.handover.hand_over import hand_over
        from service.handover.winner import Winner, adapters_of

        self.open(servable, kind)
        adapters = adapters_of(servable.report, servable.settings, kind, self._directory)
        dataset = load_limited_dataset(servable.settings)
        pipeline, _ = self._arms[servable.id, kind]
        winner = Winner(servable.report, servable.settings, dataset, pipeline, adapters)
        name = f"{winner.name}-{target}"
        hand_over(winner, target, folder / name)
        return name

    def try_model(self, spec: str) -> ModelTrial:
        """Load a model and put the fixed question to it; raises as `ask_model`."""
        return ask_model(spec)

    def _asked(self, comparison_id: str, kind: str, generation: GenerationConfig) -> tuple[Pipeline, str | None]:
        if (arm := self._arms.get((comparison_id, kind))) is None:
            raise ArmGoneError(f"{kind} of {comparison_id} was let go of meanwhile; ask again")
        pipeline, facts = arm
        generation = replace(generation, constraint=pipeline.generation.constraint)
        return replace(pipeline, generation=generation), facts.hosted_model


class SharedParts(Taken):
    """The models and the embedder of one comparison, held once for all that use the same."""

    def __init__(self, settings: ComparisonSettings, arms: Arms) -> None:
        super().__init__()
        self._settings = settings
        self._arms = arms

    def model(self, spec: str) -> LanguageModel:
        """One of the models that the settings name."""
        settings = self._settings.with_model(spec)
        return self.take(self._arms.models, (spec, settings.load_options), lambda: self._arms.load_model(settings))

    def embedder(self) -> Embedder:
        """The embedder."""
        settings = self._settings
        key = (settings.embedder, settings.embedding_dimensions)
        return self.take(self._arms.embedders, key, lambda: self._arms.load_embedder(settings))


class OpenedComparison:
    """The arms of one finished comparison, opened one after the other.

    Args:
        parts: Given back when it is closed.
    """

    def __init__(self, servable: Servable, directory: DataDirectory, parts: SharedParts) -> None:
        self._servable = servable
        self._parts = parts
        self._recorded = read_stages(servable.report.id, directory, servable.settings.trainings)
        self._composition = LocalComposition(
            servable.settings, directory, silent, self._recorded, parts=parts, stages=OpenedStages(directory)
        )
        self._dataset: Dataset | None = None

    def open_arm(self, kind: str) -> tuple[Pipeline, ArmFacts]:
        """The arm of that id, as it was measured.

        Raises:
            NoSuchPipelineError: the comparison has none.
            NotServableError: what it is built of is gone or has changed.
        """
        servable = self._servable
        settings = servable.settings
        if kind not in settings.arm_ids:
            raise NoSuchPipelineError(
                f"the comparison {servable.id} has no pipeline {kind!r}; it has {', '.join(settings.arm_ids)}"
            )
        spec = settings.arm(kind)
        model = settings.model_of(spec)
        try:
            arm = self._composition.arm(kind, self._read_dataset())
        except NotServableError:
            raise
        except TuningForkError as error:
            raise NotServableError(f"{kind} of {servable.id} cannot be opened: {error}") from error
        pipeline = arm.pipeline
        if pipeline.fingerprint != servable.report.hashes.get(f"pipeline {kind}"):
            # With the same stages and model, only versions of the program and its libraries can have changed it.
            if self._recorded is None or not is_measured_model(settings, servable.model_identity, model):
                raise self._changed(f"the model {model} or what {kind} is built of has changed")
            changed = changed_versions(servable.report.versions)
            _LOG.warning("%s was measured by other versions: %s", kind, changed, extra=about(servable.id))
        facts = ArmFacts(
            replace(pipeline.generation, constraint=None),
            arm.device,
            pipeline.model.name if is_hosted(spec, settings) else None,
            settings.embedder if (arm.generates and arm.retrieves) or spec.row.embeds_questions else "",
            "" if TOKENS in servable.report.arm(kind).unknown else arm.priced_as,
        )
        return pipeline, facts

    def close(self) -> None:
        """Release everything; nobody asks any more."""
        self._composition.close()
        self._parts.give_back()

    def _read_dataset(self) -> Dataset:
        if self._dataset is None:
            dataset = load_limited_dataset(self._servable.settings)
            if dataset.content_hash != self._servable.report.dataset_hash:
                raise self._changed("the dataset has changed")
            self._dataset = dataset
        return self._dataset

    def _changed(self, what: str) -> NotServableError:
        return NotServableError(
            f"{what} since the comparison {self._servable.id} was measured, so its answers would be others; compare "
            "again, and ask that comparison"
        )


class OpenedStages:
    """Opens parts that others made.

    An index that is damaged is built again; an adapter is not, which would take hours.
    """

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory

    def index(self, run: IndexRun, folder: Path) -> tuple[Index, BuildUsage]:
        """The index, open.

        Raises:
            NotServableError: it is not there, or cannot be copied.
        """
        if not (folder / MARKER).is_file():
            raise _gone("index")
        try:
            try:
                record = read_record(folder)
                if record.chroma_server:
                    record = mend_search(folder)
                return open_index(folder, run.embedder), record.build_usage
            except DamagedIndexError:
                return BuiltStages(self._directory, silent).index(run, folder)
        except OSError as error:
            raise NotServableError(
                f"the index {folder.name} cannot be copied ({error.strerror}); make room on the disk, then ask again"
            ) from error

    def adapter(self, run: TrainingRun, base: "HuggingFaceModel", folder: Path) -> AdapterRecord:
        """The record of the adapter in the folder.

        Raises:
            NotServableError: it is not there.
            ConfigError: it is damaged.
        """
        if not (folder / RECORD).is_file():
            raise _gone("adapter")
        return opened_adapter(folder)

    def search(
        self,
        run: TrainingRun,
        base: "HuggingFaceModel",
        n_trials: int,
        folder: Path,
        adapter_folder: Callable[[TuningRecipe], Path],
    ) -> "tuple[Trial, ...]":
        """The trials of a finished search.

        Raises:
            NotServableError: it is not there, or not whole.
        """
        from finetune.search import RECORD as TRIALS
        from finetune.search import read_trials

        trials = read_trials(folder / TRIALS)
        if len(trials) < n_trials:
            raise _gone("search")
        return trials[:n_trials]


def _gone(what: str) -> NotServableError:
    return NotServableError(
        f"the {what} of this comparison is not in the data directory, or was built by another version of this program; "
        f"{_AGAIN}"
    )


def _registered_model(settings: ComparisonSettings, *, timeout_s: float) -> LanguageModel:
    kind, rest = parse_spec(settings.model)
    if kind != "openai":
        return LoadedParts(settings).model(settings.model)
    from lm.endpoint.openai_compatible import OpenAICompatibleModel

    # A job may wait and try again for long; here somebody waits, who had better be told.
    name, _, base_url = rest.partition("@")
    return OpenAICompatibleModel(
        name,
        base_url=base_url or None,
        context_tokens=settings.context_tokens,
        max_retries=_HOSTED_RETRIES,
        timeout_s=timeout_s,
    )


@contextmanager
def _failing_endpoint_named(hosted_model: str | None) -> Iterator[None]:
    """Tells what another machine's model did wrong from what is wrong here or with a question."""
    try:
        yield
    except TuningForkError as error:
        if (failure := endpoint_failure(error, hosted_model)) is not None:
            raise failure from error
        raise
