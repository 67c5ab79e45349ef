"""The arms of a comparison, built one after the other: which model answers which prompts."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.arms import ArmSpec, Circumstances, refuse_unrunnable
from advisor.data.answer_form import constraint_of
from advisor.data.dataset import Dataset, Split, Task
from advisor.data.prompt import FewShot, OracleContext, PromptBuilder, QuestionOnly, reference_text
from advisor.data.prompt_template import EXAMPLES, PASSAGES, read_prompt_template
from advisor.results.answer import BuildUsage, Pipeline
from advisor.results.comparison import ArmRole
from advisor.results.quantities import clip
from finetune.adapter import RECORD, AdapterRecord
from lm.completion import GenerationConfig, Messages
from lm.embedding import Embedder
from lm.errors import ConfigError
from lm.fake import FakeLM
from lm.files import sha256
from lm.language_model import LanguageModel
from lm.registry import load_language_model
from rag.chunk import Chunking, Reader
from rag.errors import IndexingError
from rag.index import MARKER, Index, read_record
from rag.known_questions.classifier import classifier_model
from rag.known_questions.nearest_few_shot import NearestFewShot
from rag.known_questions.nearest_question import nearest_question_model
from rag.known_questions.question_model import BareQuestion, QuestionModel
from rag.known_questions.training_questions import TrainingQuestions, embed_training_questions
from rag.prompts.long_context import WholeDocuments, filled_context
from rag.prompts.raft import raft_prompts
from rag.prompts.retrieved import RetrievedPrompt
from rag.prompts.team import TeamPrompt
from rag.reranker import load_reranker
from rag.retriever import Reranker, Retriever
from service.run.arm import Arm, IndexFacts, answer_in_turn, trained_with_seeds
from service.run.composition.outside import RecordedModel, TunedAtProvider, document_finder, given_answers
from service.run.composition.stages import (
    BuiltStages,
    IndexRun,
    LoadedParts,
    Parts,
    Stages,
    TrainingRun,
    opened_adapter,
    passage_reader,
)
from service.run.composition.training import (
    kept_loss,
    read_texts,
    search_usage,
    training_curve,
    training_findings,
    tuning_summary,
)
from service.run.hosted_tuning import find_tuning, was_tuned
from service.run.progress import OnProgress, Progress
from service.run.settings import ComparisonSettings, Constrain, RetrieverKind, TuneOn, is_adapter
from service.store.data_directory import DataDirectory
from service.store.stages.recorded_stages import RecordedStages, Training
from service.store.stages.stage_key import formats, stage_key

if TYPE_CHECKING:
    from finetune.search import Trial
    from lm.local.huggingface import AdaptedModel, HuggingFaceModel


class LocalComposition:
    """Builds the arms of one comparison on this machine. Everything expensive is made once and shared by the arms."""

    def __init__(
        self,
        settings: ComparisonSettings,
        directory: DataDirectory,
        on_progress: OnProgress,
        recorded: RecordedStages | None = None,
        *,
        parts: Parts | None = None,
        stages: Stages | None = None,
    ) -> None:
        """Nothing is built yet.

        Args:
            recorded: The stages of a finished comparison, which are then opened and not built.
            parts: Models that others hold; left out, they are loaded.
            stages: Where indexes and adapters come from; left out, they are built here.
        """
        self._settings = settings
        self._recorded = recorded
        self._directory = directory
        self._on_progress = on_progress
        self._parts = parts or LoadedParts(settings)
        self._stages = stages or BuiltStages(directory, on_progress)
        self._indexes: dict[Path, tuple[Index, BuildUsage]] = {}
        self._models: dict[str, LanguageModel] = {}
        self._adapted: dict[Path, tuple[AdaptedModel, AdapterRecord]] = {}
        self._trained: dict[Training, Path] = {}
        self._attached: dict[str, AdaptedModel] = {}
        self._trials: dict[tuple[str, str], tuple[Trial, ...]] = {}
        self._embedded: dict[tuple[tuple[str, str], ...], TrainingQuestions] = {}

    @cached_property
    def model(self) -> LanguageModel:
        """The first of the models that arms start from."""
        return self._parts.model(self._settings.main_model)

    def model_of(self, spec: str) -> LanguageModel:
        """One of the models that arms start from, loaded when it is first asked for."""
        if spec == self._settings.main_model:
            return self.model
        if spec not in self._models:
            self._models[spec] = self._parts.model(spec)
        return self._models[spec]

    def _base_of(self, arm: ArmSpec) -> LanguageModel:
        return self.model_of(self._settings.model_of(arm))

    @cached_property
    def embedder(self) -> Embedder:
        """For retrieval and for semantic similarity."""
        return self._parts.embedder()

    @cached_property
    def judge(self) -> LanguageModel | None:
        """For judge-based metrics, if one is configured."""
        return load_language_model(self._settings.judge) if self._settings.judge else None

    @property
    def _chunking(self) -> Chunking:
        return Chunking(self._settings.chunk_tokens, self._settings.overlap_tokens)

    @cached_property
    def _reader(self) -> Reader:
        return passage_reader(self.model)

    @cached_property
    def _reranker(self) -> Reranker | None:
        return load_reranker(self._settings.reranker) if self._settings.reranker else None

    @property
    def _reads_documents(self) -> bool:
        return self._settings.tune_on is TuneOn.QUESTIONS_AND_DOCUMENTS

    def _tuning(self, arm: ArmSpec) -> str:
        """How a tuned arm is, for people."""
        name, settings = self._base_of(arm).name, self._settings
        return f"{name} tuned by {settings.method} on {settings.tune_on.replace('+', ' and ')}"

    @property
    def _passages(self) -> str:
        by = "" if self._settings.retriever is RetrieverKind.DENSE else f" ({self._settings.retriever})"
        return f"{self._settings.top_k} retrieved passage{'s' if self._settings.top_k != 1 else ''}{by}"

    def arms(self, dataset: Dataset) -> Iterator[Arm]:
        """Each arm as it is built, candidates first, in the order of the settings."""
        self._refuse_impossible(dataset)
        for arm_id in arm_names(self._settings, dataset):
            yield self.arm(arm_id, dataset)

    def arm(self, arm_id: str, dataset: Dataset) -> Arm:
        """One arm by its id; a tuned one with the adapters of all its training seeds."""
        spec = self._settings.arm(arm_id)
        if spec.kind in BUILDERS:
            return replace(BUILDERS[spec.kind](self, spec, dataset), spec=spec)
        if self._settings.is_tuned_at_provider(spec):
            return replace(self._tuned_at_provider(spec, dataset), spec=spec)
        build = TUNED_BUILDERS[spec.kind]
        trained = {seed: replace(build(self, spec, dataset, seed), spec=spec) for seed in self._settings.seeds}
        return next(iter(trained.values())) if len(trained) == 1 else trained_with_seeds(trained)

    def build_stage(self, dataset: Dataset, training: Training | None) -> None:
        """Build the adapter of a training, or the index where none is given, if it is not there yet."""
        if training is None:
            self._index_of(dataset)
        else:
            model, trains_on, seed = training
            kind = "raft" if trains_on == "raft" else "fine-tuned"
            TUNED_BUILDERS[kind](self, ArmSpec(kind, kind, model), dataset, seed)

    answered = staticmethod(answer_in_turn)

    @property
    def stage_markers(self) -> list[Path]:
        """The file that marks it as whole, of each index and adapter that was opened."""
        return [folder / MARKER for folder in self._indexes] + [folder / RECORD for folder in self._trained.values()]

    def close(self) -> None:
        """Release indexes and adapters; model and embedder may be others' too."""
        while self._indexes:
            self._indexes.popitem()[1][0].close()
        while self._adapted:
            self._adapted.popitem()[1][0].close()
        while self._attached:
            self._attached.popitem()[1].close()

    def _refuse_impossible(self, dataset: Dataset) -> None:
        """Say what is wrong with the settings before the first question is asked, not after hours of answers."""
        _ = (self._chunking, self.embedder, self.judge, self._reranker)
        for arm in self._settings.arm_specs:
            if arm.row.source:
                self.arm(arm.id, dataset)
        for spec in self._settings.models:
            model = self.model_of(spec)
            own = [str(arm) for arm in self._settings.arm_specs if self._settings.model_of(arm) == spec]
            tunable = hasattr(model, "with_adapter") or was_tuned(self._directory, spec)
            refuse_unrunnable(own, Circumstances.of(dataset, model.name, tunable=tunable))
        if self._settings.launch_config is not None:
            from finetune.launch import read_launch_config

            read_launch_config(self._settings.launch_config)

    def _pipeline(
        self, arm: ArmSpec, model: LanguageModel, builder: PromptBuilder, dataset: Dataset, build: BuildUsage
    ) -> Pipeline:
        generation = GenerationConfig(
            max_output_tokens=dataset.card.max_output_tokens,
            seed=self._settings.seed,
            batch_size=self._settings.batch_size,
            constraint=constraint_of(dataset) if self._settings.constrain is Constrain.AUTO else None,
        )
        return Pipeline(arm.id, model, builder, generation, build)

    def _base(self, arm: ArmSpec, dataset: Dataset) -> Arm:
        model = self._base_of(arm)
        builder = QuestionOnly(dataset.card.instruction)
        pipeline = self._pipeline(arm, model, builder, dataset, BuildUsage())
        return Arm(pipeline, ArmRole.CANDIDATE, f"{model.name}, question only", device=_device_of(model))

    def _few_shot(self, arm: ArmSpec, dataset: Dataset) -> Arm:
        model = self._base_of(arm)
        view = dataset.training_view()
        builder = FewShot.from_training(view, n_shots=self._settings.n_shots, seed=self._settings.seed)
        pipeline = self._pipeline(arm, model, builder, dataset, BuildUsage())
        label = f"{model.name} with {len(builder.shots)} worked examples"
        return Arm(pipeline, ArmRole.CANDIDATE, label, device=_device_of(model))

    def _rag(self, arm: ArmSpec, dataset: Dataset) -> Arm:
        model = self._base_of(arm)
        builder, build = self._retrieved(dataset)
        pipeline = self._pipeline(arm, model, builder, dataset, build)
        label = f"{model.name} with {self._passages}"
        index = _index_facts(builder.retriever.index)
        return Arm(pipeline, ArmRole.CANDIDATE, label, retrieves=True, device=_device_of(model), index=index)

    def _long_context(self, arm: ArmSpec, dataset: Dataset) -> Arm:
        model, questions = self._base_of(arm), [example.asked for example in dataset.examples]
        room, instruction = dataset.card.max_output_tokens, dataset.card.instruction
        whole = WholeDocuments(instruction, dataset.documents)
        builder: PromptBuilder = whole
        build, index, what = BuildUsage(), None, f"all {len(dataset.documents)} documents"
        if not whole.fits(questions, model, room):
            retrieved, build = self._retrieved(dataset)
            retriever, index = retrieved.retriever, _index_facts(retrieved.retriever.index)
            builder = filled_context(retriever, instruction, questions, model, room, top_k=self._settings.top_k)
            what = "as many passages as its context holds"
        pipeline = self._pipeline(arm, model, builder, dataset, build)
        label = f"{model.name} with {what}"
        return Arm(pipeline, ArmRole.CANDIDATE, label, retrieves=True, device=_device_of(model), index=index)

    def _fine_tuned(self, arm: ArmSpec, dataset: Dataset, seed: int) -> Arm:
        tuned, record = self._tuned(arm, dataset, seed)
        builder = QuestionOnly(dataset.card.instruction)
        pipeline = self._pipeline(arm, tuned, builder, dataset, record.build_usage)
        label = f"{self._tuning(arm)} (r {record.recipe.r}), question only"
        return Arm(
            pipeline,
            ArmRole.CANDIDATE,
            label,
            tuned=True,
            read_documents=self._reads_documents,
            device=_device_of(self._base_of(arm)),
            training_curve=training_curve(record),
            validation_loss=kept_loss(record),
            findings=tuple(training_findings(record)),
            tuning=tuning_summary(record, self._trials_of(arm)),
        )

    def _hybrid(self, arm: ArmSpec, dataset: Dataset, seed: int) -> Arm:
        tuned, record = self._tuned(arm, dataset, seed)
        builder, build = self._retrieved(dataset)
        pipeline = self._pipeline(arm, tuned, builder, dataset, record.build_usage + build)
        # The two tuned arms share their training, which is told once.
        is_told = any((one.kind, one.model) == ("fine-tuned", arm.model) for one in self._settings.arm_specs)
        return self._tuned_reader(arm, pipeline, record, builder.retriever.index, build, tells_training=not is_told)

    def _raft(self, arm: ArmSpec, dataset: Dataset, seed: int) -> Arm:
        builder, build = self._retrieved(dataset)
        view, base = dataset.training_view(), self._base_of(arm)
        prompts = raft_prompts(
            builder,
            view.train,
            base,
            dataset.card.max_output_tokens,
            gold_share=self._settings.raft_gold_share,
            seed=self._settings.seed,
        )
        # Watched as it is served: a planted passage would flatter it.
        served = builder.build([e.asked for e in view.validation], base, dataset.card.max_output_tokens)
        prompts |= {example.id: prompt for example, prompt in zip(view.validation, served, strict=True)}
        retrieving = BuildUsage(
            wall_s=sum(prompt.latency_s for prompt in prompts.values()),
            embedding_tokens=sum(prompt.embedding_tokens for prompt in prompts.values()),
        )
        tuned, record = self._tuned(arm, dataset, seed, {i: prompt.messages for i, prompt in prompts.items()})
        training = replace(
            record.build_usage,
            wall_s=record.build_usage.wall_s + retrieving.wall_s,
            embedding_tokens=retrieving.embedding_tokens,
        )
        pipeline = self._pipeline(arm, tuned, builder, dataset, training + build)
        return self._tuned_reader(arm, pipeline, record, builder.retriever.index, build, note=", in training too")

    def _tuned_reader(
        self,
        arm: ArmSpec,
        pipeline: Pipeline,
        record: AdapterRecord,
        index: Index,
        indexing: BuildUsage,
        *,
        note: str = "",
        tells_training: bool = True,
    ) -> Arm:
        """An arm of the tuned model that is served with passages."""
        return Arm(
            pipeline,
            ArmRole.CANDIDATE,
            f"{self._tuning(arm)}, with {self._passages}{note}",
            retrieves=True,
            tuned=True,
            read_documents=self._reads_documents,
            device=_device_of(self._base_of(arm)),
            index_usage=indexing,
            index=_index_facts(index),
            training_curve=training_curve(record) if tells_training else (),
            validation_loss=kept_loss(record),
            findings=tuple(training_findings(record)) if tells_training else (),
            tuning=tuning_summary(record, self._trials_of(arm)),
        )

    def _tuned_at_provider(self, arm: ArmSpec, dataset: Dataset) -> Arm:
        if arm.row.trains_on != "questions":
            raise ConfigError(f"{arm.id} is trained on passages, which no provider is sent; leave it out of the arms")
        base = self._base_of(arm)
        tuning = find_tuning(self._settings, self._directory, self._settings.model_of(arm), dataset)
        model = TunedAtProvider(self._parts.model(tuning.spec), base)
        builder: PromptBuilder = QuestionOnly(dataset.card.instruction)
        indexing, index, reads = BuildUsage(), None, "question only"
        if arm.row.retrieves:
            retrieved, indexing = self._retrieved(dataset)
            builder, index, reads = retrieved, _index_facts(retrieved.retriever.index), f"with {self._passages}"
        training = BuildUsage(input_tokens=tuning.trained_tokens or 0)
        pipeline = self._pipeline(arm, model, builder, dataset, training + indexing)
        return Arm(
            pipeline,
            ArmRole.CANDIDATE,
            f"{base.name} tuned at its provider for {tuning.epochs} epochs, {reads}",
            retrieves=arm.row.retrieves,
            tuned=True,
            index_usage=indexing,
            index=index,
        )

    def _prompt(self, arm: ArmSpec, dataset: Dataset) -> Arm:
        model, path = self._base_of(arm), Path(arm.source).expanduser()
        template = read_prompt_template(path)
        search, build = self._retrieved(dataset) if template.has(PASSAGES) else (None, BuildUsage())
        examples = ""
        if template.has(EXAMPLES):
            view = dataset.training_view()
            shots = FewShot.from_training(view, n_shots=self._settings.n_shots, seed=self._settings.seed).shots
            examples = "\n\n".join(f"Question: {question}\nAnswer: {answer}" for question, answer in shots)
        pipeline = self._pipeline(arm, model, TeamPrompt(template, examples, search), dataset, build)
        label = f"{model.name} with the prompt {path.name}"
        index = _index_facts(search.retriever.index) if search is not None else None
        retrieves = search is not None
        return Arm(pipeline, ArmRole.CANDIDATE, label, retrieves=retrieves, device=_device_of(model), index=index)

    def _adapter(self, arm: ArmSpec, dataset: Dataset) -> Arm:
        model, folder = self._base_of(arm), Path(arm.source).expanduser()
        label = f"{model.name}, trained elsewhere, question only"
        if is_adapter(folder):
            if not hasattr(model, "with_adapter"):
                raise ConfigError(f"{model.name} takes no adapter here; give {arm.id} a local model after @")
            label = f"{model.name} with the adapter {folder.name}, trained elsewhere, question only"
            if arm.id not in self._attached:
                self._attached[arm.id] = model.with_adapter(folder, f"{model.name}+{arm.id}")
            model = self._attached[arm.id]
        pipeline = self._pipeline(arm, model, QuestionOnly(dataset.card.instruction), dataset, BuildUsage())
        return Arm(pipeline, ArmRole.CANDIDATE, label, tuned=True, device=_device_of(self._base_of(arm)))

    def _external(self, arm: ArmSpec, dataset: Dataset) -> Arm:
        from lm.endpoint.external_service import ExternalService

        service = ExternalService(arm.source, arm.model, find_document=document_finder(dataset))
        pipeline = self._pipeline(arm, service, BareQuestion(), dataset, BuildUsage())
        return Arm(pipeline, ArmRole.CANDIDATE, f"the service at {arm.source}", generates=False)

    def _answers(self, arm: ArmSpec, dataset: Dataset) -> Arm:
        path = Path(arm.source).expanduser()
        given = given_answers(path, self._settings, dataset)
        model = RecordedModel.of(f"answers:{path.name}", given, dataset)
        pipeline = self._pipeline(arm, model, BareQuestion(), dataset, BuildUsage())
        return Arm(pipeline, ArmRole.CANDIDATE, f"answers given in {path.name}", generates=False, given=given)

    def _nearest_question(self, arm: ArmSpec, dataset: Dataset) -> Arm:
        known = self._training_questions(dataset)
        abstains = any(not example.answerable for example in dataset.examples)
        started = time.perf_counter()
        model, threshold = nearest_question_model(known, dataset.split(Split.VALIDATION), abstains=abstains)
        label = "the answer of the nearest training question"
        if threshold is not None:
            label += f", where its cosine is {threshold:.2f} or more"
        return self._model_free(arm, model, known, dataset, time.perf_counter() - started, label)

    def _classifier(self, arm: ArmSpec, dataset: Dataset) -> Arm:
        known = self._training_questions(dataset)
        started = time.perf_counter()
        model, strength = classifier_model(known, dataset.split(Split.VALIDATION), seed=self._settings.seed)
        label = f"logistic regression on {self.embedder.name} embeddings of questions (C {strength:g})"
        return self._model_free(arm, model, known, dataset, time.perf_counter() - started, label)

    def _nearest_few_shot(self, arm: ArmSpec, dataset: Dataset) -> Arm:
        model = self._base_of(arm)
        known = self._training_questions(dataset)
        builder = NearestFewShot(dataset.card.instruction, known, self._settings.n_shots)
        pipeline = self._pipeline(arm, model, builder, dataset, known.build_usage)
        n_shots = min(self._settings.n_shots, len(known.rows))
        label = f"{model.name} with the {n_shots} nearest training questions as worked examples"
        return Arm(pipeline, ArmRole.CANDIDATE, label, device=_device_of(model))

    def _model_free(
        self, arm: ArmSpec, model: QuestionModel, known: TrainingQuestions, dataset: Dataset, fit_s: float, label: str
    ) -> Arm:
        """An arm that answers from the question's embedding; it runs where the embedder does, or here."""
        pipeline = self._pipeline(arm, model, BareQuestion(), dataset, known.build_usage + BuildUsage(wall_s=fit_s))
        device = getattr(self.embedder, "device", "cpu")
        return Arm(pipeline, ArmRole.CANDIDATE, label, generates=False, device=device)

    def _training_questions(self, dataset: Dataset) -> TrainingQuestions:
        train = dataset.split(Split.TRAIN)
        key = tuple((example.asked, reference_text(example)) for example in train)
        if key not in self._embedded:
            # Loading the embedder is a cost of starting a process, not of building an arm.
            self.embedder.embed(["warm-up"])
            self._embedded[key] = embed_training_questions(train, self.embedder)
        return self._embedded[key]

    def _majority(self, arm: ArmSpec, dataset: Dataset) -> Arm:
        answers = Counter(reference_text(example) for example in dataset.split(Split.TRAIN))
        # The alphabet decides ties, so that the order of the file does not.
        answer = min(answers, key=lambda text: (-answers[text], text)) if answers else ""
        constant = FakeLM(lambda _: answer, name=f"always {answer!r}", context_tokens=1_000_000)
        pipeline = self._pipeline(arm, constant, QuestionOnly(""), dataset, BuildUsage())
        label = f"always answers {clip(answer, 60)!r}, the most frequent training answer"
        return Arm(pipeline, ArmRole.REFERENCE, label, generates=False)

    def _oracle_context(self, arm: ArmSpec, dataset: Dataset) -> Arm:
        model = self._base_of(arm)
        builder = OracleContext.from_examples(dataset.card.instruction, dataset.split(Split.TEST), dataset.documents)
        pipeline = self._pipeline(arm, model, builder, dataset, BuildUsage())
        label = f"{model.name} with the right documents: the ceiling of retrieval"
        return Arm(pipeline, ArmRole.REFERENCE, label, retrieves=True, device=_device_of(model))

    def _retrieved(self, dataset: Dataset) -> tuple[RetrievedPrompt, BuildUsage]:
        index, build = self._index_of(dataset)
        settings = self._settings
        if settings.retriever is RetrieverKind.LEXICAL:
            # It searches the same chunks, and would be built without their vectors.
            build = replace(build, wall_s=build.wall_s - build.device_s, device_s=0.0, embedding_tokens=0)
        retriever = Retriever(index, self.embedder, settings.retriever, self._reranker)
        return RetrievedPrompt(retriever, dataset.card.instruction, settings.top_k, settings.passage_order), build

    def _index_of(self, dataset: Dataset) -> tuple[Index, BuildUsage]:
        reader: Reader | None = self._reader
        if self._recorded is not None and self._recorded.index is not None:
            folder = self._recorded.index
            with suppress(IndexingError):
                # Chunks of an index of version 0.1 are not bounded by a reader.
                reader = reader if read_record(folder).reader else None
        else:
            documents = sha256(repr([(d.id, d.title, d.text) for d in dataset.documents]))
            key = stage_key(
                documents, self._chunking, self.embedder.fingerprint, self._reader.fingerprint, formats("indexes")
            )
            folder = self._directory.stage("indexes", key)
        if folder not in self._indexes:
            n_documents = len(dataset.documents)
            self._on_progress(Progress("index", "", 0, n_documents))
            run = IndexRun(dataset.documents, self._chunking, self.embedder, reader, self._settings.chroma or "")
            # Loading the embedder is a cost of starting a process, not of building an index.
            self.embedder.embed(["warm-up"])
            self._indexes[folder] = self._stages.index(run, folder)
            self._on_progress(Progress("index", "", n_documents, n_documents))
        return self._indexes[folder]

    def _tuned(
        self, arm: ArmSpec, dataset: Dataset, seed: int, prompts: Mapping[str, Messages] | None = None
    ) -> tuple["AdaptedModel", AdapterRecord]:
        """The model as an arm wants it tuned: on the bare questions or, with `prompts` (by example id), on these."""
        from lm.local.huggingface import HuggingFaceModel

        base = self._base_of(arm)
        if not isinstance(base, HuggingFaceModel):
            raise ConfigError(f"{base.name} cannot be tuned here; choose a local model")
        training = (self._settings.model_of(arm), arm.row.trains_on, seed)
        folder = self._recorded.adapters.get(training) if self._recorded is not None else None
        run, searching = None, BuildUsage()
        if folder is None:
            run = self._training_run(dataset, training, prompts)
            if self._settings.search is not None:
                chosen = self._searched(training, run, base)
                run = replace(run, recipe=replace(chosen.recipe, seed=seed))
                if seed == self._settings.seed:  # told once, however many seeds there are
                    searching = search_usage(self._trials[training[:2]], chosen)
            folder = self._adapter_folder(run, base)
        self._trained[training] = folder
        if folder not in self._adapted:
            record = opened_adapter(folder) if run is None else self._stages.adapter(run, base, folder)
            record = replace(record, build_usage=record.build_usage + searching)
            self._adapted[folder] = base.with_adapter(folder, f"{base.name}+{record.recipe.method}"), record
        return self._adapted[folder]

    def _searched(self, training: Training, run: TrainingRun, base: "HuggingFaceModel") -> "Trial":
        """The trial whose recipe is used, for all training seeds; it is searched with the first."""
        from finetune.search import best_trial

        if training[:2] not in self._trials:
            first = replace(run, recipe=replace(run.recipe, seed=self._settings.seed))
            folder = self._directory.stage("searches", _adapter_key(first, base))
            assert self._settings.search is not None
            self._trials[training[:2]] = self._stages.search(
                first,
                base,
                self._settings.search,
                folder,
                lambda recipe: self._adapter_folder(replace(first, recipe=recipe), base),
            )
        return best_trial(self._trials[training[:2]])

    def _trials_of(self, arm: ArmSpec) -> "tuple[Trial, ...]":
        return self._trials.get((self._settings.model_of(arm), arm.row.trains_on), ())

    def _adapter_folder(self, run: TrainingRun, base: "HuggingFaceModel") -> Path:
        return self._directory.stage("adapters", _adapter_key(run, base))

    def _training_run(
        self, dataset: Dataset, training: Training, prompts: Mapping[str, Messages] | None
    ) -> TrainingRun:
        _, trains_on, seed = training
        recipe = self._settings.recipe(dataset.card.task, trains_on, seed)
        texts = read_texts(self._settings, dataset, self._chunking, self.embedder, self._reader)
        return TrainingRun(
            dataset.training_view(),
            recipe,
            prompts,
            texts,
            self._settings.training_label(training),
            launch_config=self._settings.launch_config,
            tensorboard=self._settings.tensorboard,
        )


def arm_names(settings: ComparisonSettings, dataset: Dataset) -> list[str]:
    """The ids of a comparison's arms: its candidates in the order of the settings, then the references that fit."""
    names = list(settings.arm_ids)
    if dataset.split(Split.TRAIN):
        names.append("majority")
    has_gold = any(e.document_ids for e in dataset.split(Split.TEST))
    if settings.models and dataset.card.task is Task.QUESTION_ANSWERING and has_gold:
        names.append("oracle-context")
    return names


BUILDERS: Mapping[str, Callable[[LocalComposition, ArmSpec, Dataset], Arm]] = {
    "base": LocalComposition._base,
    "few-shot": LocalComposition._few_shot,
    "rag": LocalComposition._rag,
    "long-context": LocalComposition._long_context,
    "nearest-question": LocalComposition._nearest_question,
    "classifier": LocalComposition._classifier,
    "nearest-few-shot": LocalComposition._nearest_few_shot,
    "prompt": LocalComposition._prompt,
    "adapter": LocalComposition._adapter,
    "external": LocalComposition._external,
    "answers": LocalComposition._answers,
    "majority": LocalComposition._majority,
    "oracle-context": LocalComposition._oracle_context,
}
"""Arms that are not tuned: which language model with which prompt."""

TUNED_BUILDERS: Mapping[str, Callable[[LocalComposition, ArmSpec, Dataset, int], Arm]] = {
    "fine-tuned": LocalComposition._fine_tuned,
    "hybrid": LocalComposition._hybrid,
    "raft": LocalComposition._raft,
}
"""Tuned arms, built for one training seed."""


def _device_of(model: LanguageModel) -> str | None:
    device = getattr(model, "device", None)
    return device.type if device is not None else None


def _adapter_key(run: TrainingRun, base: "HuggingFaceModel") -> str:
    view = run.view
    rows = [(e.asked, reference_text(e), e.group, e.split) for e in view.train + view.validation]
    asked = {i: [(turn.role, turn.content) for turn in messages] for i, messages in (run.prompts or {}).items()}
    instruction, texts = view.card.instruction, run.texts
    return stage_key(base.fingerprint, run.recipe.hash, instruction, rows, asked, texts, formats("adapters"))


def _index_facts(index: Index) -> IndexFacts:
    n_bytes = sum(path.stat().st_size for path in index.directory.rglob("*") if path.is_file())
    return IndexFacts(index.record.documents_hash, n_bytes)
