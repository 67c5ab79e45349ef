"""What is handed over: an arm of a finished comparison with its data, weights and recipe."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from advisor.arms import ArmSpec
from advisor.data.dataset import Dataset, Example, Split
from advisor.data.prompt import passage_text, question_turn, reference_text
from advisor.results.answer import Pipeline
from advisor.results.comparison import Comparison
from finetune.adapter import RECORD, AdapterRecord, load_adapter_record
from finetune.recipe import TuningRecipe, scaled_learning_rate
from lm.completion import Messages
from lm.errors import ConfigError
from lm.local.adapter import read_adapter
from lm.local.huggingface import AdaptedModel, HuggingFaceModel
from lm.registry import parse_spec
from lm.weights.embedded_model import EMBEDDED_MODEL, HUB_ID
from rag.chunk_store import read_chunks
from rag.embedder import SentenceTransformerEmbedder
from rag.known_questions.nearest_few_shot import NearestFewShot
from rag.prompts.raft import raft_prompts
from rag.prompts.retrieved import RetrievedPrompt
from service.run.settings import ComparisonSettings, TuneOn
from service.store.data_directory import DataDirectory
from service.store.stages.recorded_stages import read_stages

N_PROBES = 50
"""Questions on which a conversion is compared with the original."""


@dataclass(frozen=True)
class Row:
    """A training question as the arm is trained on it."""

    prompt: Messages
    answer: str


@dataclass(frozen=True)
class Winner:
    """One arm, opened.

    Attributes:
        adapters: Folders of all adapters of the comparison, by what they were trained on and their seed.
    """

    comparison: Comparison
    settings: ComparisonSettings
    dataset: Dataset
    pipeline: Pipeline
    adapters: Mapping[str, Path] = field(default_factory=dict, hash=False)

    @property
    def arm(self) -> str:
        """The arm's id in the comparison."""
        return self.pipeline.arm

    @property
    def spec(self) -> ArmSpec:
        """The arm as it was asked for."""
        return self.settings.arm(self.arm)

    @property
    def kind(self) -> str:
        """What kind of arm it is."""
        return self.spec.kind

    @property
    def name(self) -> str:
        """A name that every tool takes: lower-case letters, digits and hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", f"{self.dataset.card.name}-{self.arm}".lower()).strip("-")[:60]

    @property
    def model(self) -> HuggingFaceModel | AdaptedModel:
        """Its local language model, tuned or not.

        Raises:
            ConfigError: its model is hosted, or it has none.
        """
        model = self.pipeline.model
        if not isinstance(model, (HuggingFaceModel, AdaptedModel)):
            raise ConfigError(
                f"{self.arm} has no weights on this machine (its model is {model.name}); hand over an arm of a local "
                "model, or choose the target openai, foundry or app"
            )
        return model

    @property
    def base(self) -> HuggingFaceModel:
        """The model it is, or is tuned from."""
        model = self.model
        return model if isinstance(model, HuggingFaceModel) else model.base

    @property
    def adapter(self) -> Path:
        """The folder of its adapter.

        Raises:
            ConfigError: it is not tuned.
        """
        model = self.model
        if not isinstance(model, AdaptedModel):
            tuned = [arm.id for arm in self.settings.arm_specs if arm.row.tuned]
            remedy = f"choose one with --pipeline: {', '.join(tuned)}" if tuned else "compare a tuned arm first"
            raise ConfigError(f"{self.arm} is not tuned and has no adapter; {remedy}")
        return model.adapter_dir

    @cached_property
    def record(self) -> AdapterRecord | None:
        """Where its adapter came from; None without one, or for one that was trained elsewhere."""
        return load_adapter_record(self.adapter) if self.is_tuned and (self.adapter / RECORD).is_file() else None

    @property
    def adapter_config(self) -> dict[str, Any]:
        """What peft says of its adapter."""
        return read_adapter(self.adapter).config

    @property
    def is_tuned(self) -> bool:
        """Whether it has an adapter."""
        return isinstance(self.pipeline.model, AdaptedModel)

    @property
    def written_dtype(self) -> str:
        """What its model is written in: merged weights in float32, others as they were measured."""
        return "float32" if self.is_tuned else self.base.dtype_name

    @property
    def retrieves(self) -> bool:
        """Whether its prompts hold passages of the documents."""
        return isinstance(self.pipeline.prompt_builder, RetrievedPrompt)

    @property
    def recipe(self) -> TuningRecipe:
        """How it was tuned; of an arm that is not, how the comparison would tune it on its questions."""
        if self.record is not None:
            return self.record.recipe
        return self.settings.recipe(self.dataset.card.task, "questions", self.settings.seed)

    @property
    def learning_rate(self) -> float:
        """Peak learning rate."""
        if self.record is not None:
            return self.record.learning_rate
        width = self.base.module.config.get_text_config().hidden_size
        return self.recipe.learning_rate or scaled_learning_rate(width)

    @property
    def base_name(self) -> str:
        """What other tools know the base model by: a hub id, or the folder it was loaded from."""
        return self.base.source

    @property
    def hub_name(self) -> str | None:
        """The base model's id on the Hugging Face hub; None for a folder or file of this machine.

        The embedded model was dequantised from a 4-bit file, so the weights of that id differ a little from it.
        """
        if parse_spec(self.settings.model_of(self.spec))[0] == EMBEDDED_MODEL:
            return HUB_ID
        return None if Path(self.base.source).exists() else self.base.source

    def rows(self, split: Split) -> list[Row]:
        """The questions of a split with the prompts tuning reads, and the answers it teaches."""
        examples = self.dataset.split(split)
        return [Row(prompt, reference_text(e)) for prompt, e in zip(self._prompts(examples), examples, strict=True)]

    def probes(self) -> list[Messages]:
        """Prompts as the arm is asked them, of the first validation and training questions, or of a stand-in."""
        examples = (*self.dataset.split(Split.VALIDATION), *self.dataset.split(Split.TRAIN))
        questions = [example.asked for example in examples[:N_PROBES]] or ["What is asked here?"]
        limit = self.pipeline.generation.max_output_tokens
        return [p.messages for p in self.pipeline.prompt_builder.build(questions, self.pipeline.model, limit)]

    def searched(self) -> tuple[list[dict[str, str]], NDArray[np.float32], Path]:
        """What its prompts are searched from: texts, their vectors in the same order, and the embedder's folder.

        Texts of documents are passages as the model reads them; those of training have a question and an answer.
        """
        builder = self.pipeline.prompt_builder
        if not isinstance(builder, (RetrievedPrompt, NearestFewShot)):
            raise ConfigError(f"{self.arm} searches nothing")
        embedder = builder.retriever.embedder if isinstance(builder, RetrievedPrompt) else builder.known.embedder
        if not isinstance(embedder, SentenceTransformerEmbedder):
            raise ConfigError(
                f"the embedder {embedder.name} has no folder on this machine; compare with minilm or hf:ID"
            )
        if isinstance(builder, RetrievedPrompt) and not builder.is_plain:
            raise ConfigError(
                "what is handed over ranks passages by vectors alone, best first; compare with --retriever dense, "
                "--passage-order best-first and no reranker"
            )
        if isinstance(builder, RetrievedPrompt):
            chunks, vectors = read_chunks(builder.retriever.index.directory, builder.retriever.index.record.file_hashes)
            # Of equally near passages the index gives the first by id; so does whoever reads these in order.
            order = sorted(range(len(chunks)), key=lambda i: chunks[i].id)
            texts = [passage_text(chunks[i].passage_title, chunks[i].text) for i in order]
            rows = [{"id": chunks[i].id, "text": text} for i, text in zip(order, texts, strict=True)]
            return rows, vectors[order], embedder.folder
        known = builder.known
        return [{"question": q, "answer": a} for q, a in known.rows], known.vectors, embedder.folder

    @property
    def texts_note(self) -> str:
        """What tuning read besides these rows; "" where nothing."""
        if self.record is not None and self.settings.tune_on is TuneOn.QUESTIONS_AND_DOCUMENTS:
            return "Tuning also read the documents as plain text; the rows here are its questions alone."
        return ""

    def _prompts(self, examples: Sequence[Example]) -> list[Messages]:
        builder, card = self.pipeline.prompt_builder, self.dataset.card
        if self.spec.row.trains_on != "raft" or not isinstance(builder, RetrievedPrompt):
            return [(question_turn(card.instruction, example.asked),) for example in examples]
        train = [example for example in examples if example.split is Split.TRAIN]
        planted = raft_prompts(
            builder,
            train,
            self.pipeline.model,
            card.max_output_tokens,
            gold_share=self.settings.raft_gold_share,
            seed=self.settings.seed,
        )
        others = [example.asked for example in examples if example.split is not Split.TRAIN]
        served = iter(builder.build(others, self.pipeline.model, card.max_output_tokens))
        return [planted[e.id].messages if e.id in planted else next(served).messages for e in examples]


def adapters_of(
    comparison: Comparison, settings: ComparisonSettings, arm_id: str, directory: DataDirectory
) -> dict[str, Path]:
    """The adapters of an arm's model that a comparison was measured with, by what each was trained on and its seed."""
    recorded = read_stages(comparison.id, directory, settings.trainings)
    model = settings.model_of(settings.arm(arm_id))
    trained = recorded.adapters.items() if recorded is not None else ()
    return {f"{trains_on}-{seed}": path for (base, trains_on, seed), path in trained if base == model}
