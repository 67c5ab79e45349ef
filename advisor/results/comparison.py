"""What a finished comparison is: plain data that reports, pages and gates read. Nothing here computes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from advisor.advice.prior import PriorCheck
from advisor.data.dataset import Dataset, DatasetCard, Example, Slice
from advisor.results.answer import SECONDS, TOKENS, Answer, BuildUsage
from advisor.results.score import Score
from lm.completion import Usage


@dataclass(frozen=True, slots=True)
class Interval:
    """A point estimate and its interval, in the units of the estimate."""

    estimate: float
    low: float
    high: float
    level: float = 0.95
    method: str = ""


BUILD_TIME, BUILD_COST = "build time", "build cost"


class ArmRole(StrEnum):
    """Candidates can win; references only give scale."""

    CANDIDATE = "candidate"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True)
class SeedAnswer:
    """What an arm answers to a test question when it is trained with another seed, with every score of it."""

    training_seed: int
    answer: Answer
    scores: Mapping[str, Score] = field(hash=False)


@dataclass(frozen=True, slots=True)
class QuestionRecord:
    """One arm's answer to one test question, with every score of it. A row of `results.jsonl`.

    Attributes:
        cluster: Questions of a cluster (one document or one fact) are resampled together.
        failure: Class of failure for a wrong answer, "" where it is right or was not classified.
        training_seed: Seed of the adapter that is deployed and gave `answer`; None where the arm is not tuned.
        other_seeds: The same question to adapters of other training seeds.
    """

    arm: str
    example_id: str
    question: str
    references: tuple[str, ...]
    gold_document_ids: tuple[str, ...]
    slice: Slice
    group: str
    cluster: str
    answer: Answer
    scores: Mapping[str, Score] = field(hash=False)
    failure: str = ""
    training_seed: int | None = None
    other_seeds: tuple[SeedAnswer, ...] = ()

    @classmethod
    def of(cls, example: Example, dataset: Dataset, arm: str, answer: Answer, scores: Mapping[str, Score]) -> Self:
        """An arm's answer to a question of a dataset."""
        return cls(
            arm=arm,
            example_id=example.id,
            question=example.asked,
            references=example.answers,
            gold_document_ids=example.document_ids,
            slice=dataset.slice_of(example),
            group=example.group,
            cluster=dataset.cluster_of(example),
            answer=answer,
            scores=scores,
        )


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """A metric of one arm over one slice, or over all slices weighed by production traffic (`slice` None).

    Attributes:
        interval: None where nothing was scored.
        n: Scored questions. n_unscored: questions that could not be scored; they are never counted as 0.
    """

    metric: str
    slice: Slice | None
    interval: Interval | None
    n: int
    n_clusters: int
    n_unscored: int


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Latency for one caller: measured one question at a time, warm, in seconds.

    Attributes:
        waits_s: Each wait, by question id; empty in reports of before they were kept.
    """

    p50_s: float
    p95_s: float
    n: int
    n_changed_by_batching: int
    waits_s: Mapping[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """Money of one arm, from measured tokens and seconds and a dated price list.

    Attributes:
        build_usd: Once: embedding, index, training.
        serve_usd_per_query: Each question, on the stated machine or endpoint.
        usd_per_correct_answer: Serving cost over accuracy; None when no answer was right.
        monthly_usd: Build spread over `amortisation_months`, refresh and serving at the declared volume.
        basis: How it was computed, in one line ("own machine at 0.08 USD/h, 31 questions/s").
        serve_interval: Of `serve_usd_per_query`, from the spread of tokens and seconds; None where none was measured.
        monthly_interval: Of `monthly_usd`, likewise; builds are measured once and have no spread.
        fixed_usd_per_month: The part of `monthly_usd` that does not grow with the volume.
        index_usd: The part of `build_usd` that embedding and indexing cost; training_usd: the part that tuning cost.
        evaluation_usd: Answering this comparison's questions and judging the answers; in no other figure. None without
            a price.
        merged_serve_usd_per_query: With the adapter merged into the weights; None without an adapter of ours.
    """

    build_usd: float
    serve_usd_per_query: float
    usd_per_correct_answer: float | None
    refresh_usd_per_month: float
    monthly_usd: float
    basis: str
    serve_interval: Interval | None = None
    monthly_interval: Interval | None = None
    fixed_usd_per_month: float = 0.0
    index_usd: float = 0.0
    training_usd: float = 0.0
    evaluation_usd: float | None = None
    merged_serve_usd_per_query: float | None = None


@dataclass(frozen=True, slots=True)
class SeedSummary:
    """One of several trainings of an arm.

    Attributes:
        score: Traffic-weighted mean of the deciding metric; None where nothing was scored.
        validation_loss: At the epoch that was kept; None without validation questions.
        deployed: Whether this is the adapter that answers when the arm is asked: the best on validation.
    """

    training_seed: int
    score: float | None
    validation_loss: float | None
    deployed: bool


@dataclass(frozen=True, slots=True)
class TrialSummary:
    """One training of a search for a recipe.

    Attributes:
        score: Probability of the validation answers after its best epoch; None where it diverged.
        n_epochs: That it was trained; fewer than `max_epochs` where it was stopped early, or pruned.
        pruned: Whether it was ended for being below the median of the others.
    """

    learning_rate: float
    r: int
    lora_dropout: float
    batch_size: int
    max_epochs: int
    score: float | None
    n_epochs: int
    pruned: bool
    chosen: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class TuningSummary:
    """How an arm's adapter was trained, and what that took.

    Attributes:
        learning_rate: Peak rate. r: rank; None for a method without one.
        n_trained: Weights that were trained, of `n_parameters`; None where it is not known.
        peak_memory_bytes: On the CPU of the whole process, on a GPU of its tensors.
        n_bytes: On disk. seconds: of this training alone.
        trials: Of the search that found the recipe.
    """

    method: str
    learning_rate: float
    r: int | None
    lora_dropout: float
    batch_size: int
    n_epochs: int
    precision: str
    n_trained: int
    n_parameters: int | None
    peak_memory_bytes: int | None
    n_bytes: int | None
    seconds: float
    n_tokens: int
    trials: tuple[TrialSummary, ...] = ()


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """One arm of a comparison, aggregated.

    Attributes:
        kind: Its row in the table of arms, or the reference it is.
        id: As records, differences and the API know it; its kind where it has no name of its own, and in reports of
            before arms had names.
        unknown: What nobody measured or declared of an outside arm: "tokens", "seconds", "build time",
            "build cost"; such a figure
            stands as 0, or is missing, and is shown as unknown.
        model: Name of the language model that it starts from; "" where it has none, and in those reports.
        label: How the arm is built, for people ("smollm2 + 4 retrieved passages").
        usage_per_question: Means over the test questions.
        throughput_per_s: Questions a second in batches, the figure behind own-machine cost.
        build_usage: Of all trainings together; nothing for references, which are not built.
        seeds: One a training seed, where there are several.
        n_outside_form: Answers that are none of the dataset's labels, or that its schema does not allow; None where it
            has neither.
        n_constraint_refused: Answers that should have been held to that form and were not, as the endpoint takes no
            constraint.
        tuning: Of the adapter that is deployed; None where the arm is not tuned, and in reports of before it was kept.
    """

    kind: str
    role: ArmRole
    label: str
    metrics: tuple[MetricSummary, ...]
    usage_per_question: Usage
    throughput_per_s: float
    build_usage: BuildUsage
    latency: LatencySummary | None
    cost: CostEstimate | None
    n_questions: int
    n_length_stopped: int
    seeds: tuple[SeedSummary, ...] = ()
    n_outside_form: int | None = None
    n_constraint_refused: int = 0
    tuning: TuningSummary | None = None
    id: str = ""
    model: str = ""
    unknown: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", self.kind)

    @property
    def input_tokens(self) -> float | None:
        """Read for a question; None where that is not known."""
        return None if TOKENS in self.unknown else self.usage_per_question.input_tokens

    @property
    def output_tokens(self) -> float | None:
        """Written for a question; None where that is not known."""
        return None if TOKENS in self.unknown else self.usage_per_question.output_tokens

    @property
    def questions_per_s(self) -> float | None:
        """In batches; None where that is not known."""
        return None if SECONDS in self.unknown else self.throughput_per_s

    @property
    def build_s(self) -> float | None:
        """Wall time of building it; None where that is not known."""
        return None if BUILD_TIME in self.unknown else self.build_usage.wall_s

    def metric(self, name: str, part: Slice | None = None) -> MetricSummary | None:
        """The summary of one metric over one slice (None: traffic-weighted), if it was measured."""
        return next((m for m in self.metrics if m.metric == name and m.slice is part), None)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Mean score of `first` minus `second` over the same questions.

    Attributes:
        p_value: Two-sided, of the named test; p_adjusted: after Holm over all pairs reported.
        n_unscored: Pairs left out because either score is missing.
    """

    metric: str
    first: str
    second: str
    interval: Interval
    p_value: float
    p_adjusted: float
    test: str
    n: int
    n_clusters: int
    n_unscored: int


class Severity(StrEnum):
    """What a finding does to the verdict."""

    BLOCK = "block"
    WARN = "warn"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """Something found wrong or worth knowing about how the comparison was made."""

    check: str
    severity: Severity
    message: str
    remedy: str
    items: tuple[str, ...] = ()


class Verdict(StrEnum):
    """How a comparison ends."""

    WINNER = "winner"
    BEST_CHOICE = "best choice"
    NO_CLEAR_WINNER = "no clear winner"
    NOT_READY = "not ready to ship"
    INSUFFICIENT_DATA = "insufficient data"
    INVALID_COMPARISON = "invalid comparison"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to ship, how sure that is, and why.

    Attributes:
        arm: The winner; without one the cheapest arm non-inferior to the best; None when no verdict is possible, or no
            arm is good enough.
        headline: The verdict in one sentence.
        probability_best: Share of bootstrap resamples in which each candidate has the highest weighted mean.
        minimum_detectable_effect: Smallest true difference this test set would detect with power .8 at alpha .05.
        questions_needed: Test questions that would settle, in 4 of 5 runs, how leader and closest rival stand, if they
            differ as was seen; None when not realistic or not needed.
        leader: The arm that stands highest; None without a verdict, and in reports of before it was kept.
        good_enough: Score that was declared to be good enough, if one was.
    """

    verdict: Verdict
    arm: str | None
    headline: str
    reasons: tuple[str, ...]
    metric: str
    margin: float
    coverage: float
    slice_weights: Mapping[str, float] = field(hash=False)
    probability_best: Mapping[str, float] = field(hash=False)
    minimum_detectable_effect: float | None
    questions_needed: int | None
    leader: str | None = None
    good_enough: float | None = None


@dataclass(frozen=True, slots=True)
class MetricVerdict:
    """What the same answers come to by another metric of the dataset.

    Attributes:
        arm: That would be shipped. changes: Whether verdict or arm is another than by the deciding metric.
        scores: Weighted mean of each arm that was compared, unscored answers counted as wrong.
        first: The arm that stands highest, or wins. second: the arm of the deciding metric; where that is `first` too,
            the next. lead: First minus second.
    """

    metric: str
    verdict: Verdict
    arm: str | None
    changes: bool
    scores: Mapping[str, float] = field(hash=False)
    first: str
    second: str
    lead: Interval


@dataclass(frozen=True, slots=True)
class FormGain:
    """What holding its answers to the labels or the schema brings one arm, on validation questions.

    Attributes:
        held: Mean score within the form; free: of the same questions answered freely. gain: Held minus free.
        n_outside_held, n_outside_free: Answers outside the form.
    """

    arm: str
    held: float
    free: float
    gain: Interval
    n_outside_held: int
    n_outside_free: int


@dataclass(frozen=True, slots=True)
class FormLead:
    """How far the leading tuned arm is ahead of the best prompted one, free and held to the form.

    Attributes:
        form: The lead when free minus the lead when held: what of it constrained decoding gives the prompted arm too.
    """

    tuned: str
    prompted: str
    free: Interval
    held: Interval
    form: Interval


@dataclass(frozen=True, slots=True)
class FormGains:
    """What the constraint alone contributes, scored both ways on validation questions.

    Attributes:
        lead: None without both a tuned arm and a prompted one.
    """

    metric: str
    n_questions: int
    n_clusters: int
    gains: tuple[FormGain, ...]
    lead: FormLead | None = None


@dataclass(frozen=True, slots=True)
class BreakEven:
    """The monthly volume at which two arms cost the same.

    Attributes:
        queries_per_month: None where the totals never cross at a volume above 0.
        low: Earliest volume within the spread of the serving costs; None where no spread was measured or, within it,
            the totals never cross. high: Latest one; None with `low` given means that they may never cross.
        cheaper_below: The cheaper arm below that volume; cheaper_above: above it. Where the totals never cross both are
            the arm that is always cheaper, and None where the arms cost the same at every volume.
    """

    first: str
    second: str
    queries_per_month: float | None
    low: float | None
    high: float | None
    cheaper_below: str | None
    cheaper_above: str | None


@dataclass(frozen=True, slots=True)
class NetValue:
    """What an arm brings, in US dollars, at the declared worth of answers.

    Attributes:
        usd_per_question: Worth of an answer, before costs.
        usd_per_month: Worth of a month's answers minus the arm's monthly total.
    """

    arm: str
    usd_per_question: Interval
    usd_per_month: Interval


@dataclass(frozen=True, slots=True)
class ConstraintOutcome:
    """Whether one arm meets one declared constraint.

    Attributes:
        met: None where it could not be measured; such an arm is out as well, since nothing shows that it fulfils it.
        limit: What was declared. measured: what the arm has; both None where the constraint is no quantity.
        message: In a sentence, by how much.
    """

    arm: str
    constraint: str
    met: bool | None
    limit: float | None
    measured: float | None
    message: str


@dataclass(frozen=True, slots=True)
class FlipPoint:
    """A value of one input at which another arm is recommended.

    Attributes:
        arm: The arm recommended there; None where none can be.
    """

    value: float
    arm: str | None


@dataclass(frozen=True, slots=True)
class Flip:
    """Where the recommended arm changes along one input, all others staying as they are.

    Attributes:
        axis: Name of the input, unit included.
        current: Its value now; None where it was not declared.
        below: The nearest flip below the current value. above: above it. None: none was found in what was searched.
        searched_low: Smallest value tried; searched_high: largest.
        note: Why nothing was searched, "" otherwise.
    """

    axis: str
    current: float | None
    below: FlipPoint | None
    above: FlipPoint | None
    searched_low: float
    searched_high: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class FlipMap:
    """The recommended arm over two inputs, all others staying as they are.

    Attributes:
        x_values: In rising order, the current value among them; y_values likewise.
        arms: A row for each of `y_values`, a cell for each of `x_values`; None where no arm can be recommended.
    """

    x_axis: str
    x_values: tuple[float, ...]
    x_current: float
    y_axis: str
    y_values: tuple[float, ...]
    y_current: float
    arms: tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """An arm that left a race and was asked no more.

    Attributes:
        by: The arm that is surely better; None where too many answers could not be scored.
        n_blocks: That it was asked until then. n_questions: likewise.
    """

    arm: str
    by: str | None
    n_blocks: int
    n_questions: int


@dataclass(frozen=True, slots=True)
class RaceOutcome:
    """How a race stands after some block.

    Attributes:
        drops: In the order they happened.
        standing: Of each remaining arm: the higher, the better it scored, unscored answers counted as wrong.
        not_worse: Pairs (a, b) of remaining arms of which a is surely not worse than b by the margin or more.
        behind: Remaining arms that are surely worse than another, if unscored answers count as wrong.
        n_unscored: Of each remaining arm.
        n_blocks: Asked. n_questions: in them, which is what the remaining arms were asked.
        n_blocks_planned, n_questions_planned, n_clusters_planned: What there was to ask at most.
        n_evaluations: Answers asked for. n_evaluations_in_full: what all arms on all questions would have been.
        slice_weights: Share of production traffic of each slice that was raced on.
        margin, coverage: What was declared before the race, which speaks for no other.
        kept_out: Arms that break a declared constraint whatever they answer. They were asked the first block, for their
            figures, and raced against no one.
    """

    drops: tuple[Drop, ...]
    standing: Mapping[str, float] = field(hash=False)
    not_worse: tuple[tuple[str, str], ...]
    behind: tuple[str, ...]
    n_unscored: Mapping[str, int] = field(hash=False)
    n_blocks: int
    n_questions: int
    n_blocks_planned: int
    n_questions_planned: int
    n_clusters_planned: int
    n_evaluations: int
    n_evaluations_in_full: int
    slice_weights: Mapping[str, float] = field(hash=False)
    margin: float
    coverage: float
    kept_out: tuple[str, ...] = ()

    @property
    def remaining(self) -> tuple[str, ...]:
        """Arms that were not dropped, in alphabetical order."""
        return tuple(sorted(self.standing))

    @property
    def share_saved(self) -> float:
        """Share of the evaluations that were not needed, in [0, 1]."""
        return 1 - self.n_evaluations / self.n_evaluations_in_full


@dataclass(frozen=True, slots=True)
class Comparison:
    """A finished comparison, ready to be reported.

    Attributes:
        settings: Everything that was set, with units in the names.
        hashes: Content hashes: dataset, model, prices, each stage.
        versions: Library versions.
        wall_s: Seconds of the run that computed it, cached stages not counted again.
        break_evens: Of every pair of candidates that have a price.
        net_values: Of every candidate, where the worth of answers was declared.
        constraints: Of every candidate and every declared constraint.
        flips: One for each input of the decision; empty without a recommended arm, and so is `flip_map`.
        prior_check: What was recommended before the run, beside the evidence; None where nothing was asked.
        race: How the race went; None where every arm was asked every question.
        metric_verdicts: By each other metric that says how right an answer is; empty without a verdict, and in a race.
        dtype: In which the base model computed, as `float32`; "" for a hosted model.
        form_gains: What the labels or the schema alone bring; None where answers are free, or without validation
            questions.
    """

    id: str
    created_at: str
    card: DatasetCard
    dataset_hash: str
    n_documents: int
    split_sizes: Mapping[str, int] = field(hash=False)
    slice_sizes: Mapping[str, int] = field(hash=False)
    model: str
    arms: tuple[ArmSummary, ...]
    differences: tuple[PairedDifference, ...]
    recommendation: Recommendation
    findings: tuple[AuditFinding, ...]
    settings: Mapping[str, Any] = field(hash=False)
    hashes: Mapping[str, str] = field(hash=False)
    versions: Mapping[str, str] = field(hash=False)
    prices_as_of: str
    prices_source: str
    wall_s: float
    prior_check: PriorCheck | None = None
    break_evens: tuple[BreakEven, ...] = ()
    net_values: tuple[NetValue, ...] = ()
    constraints: tuple[ConstraintOutcome, ...] = ()
    flips: tuple[Flip, ...] = ()
    flip_map: FlipMap | None = None
    race: RaceOutcome | None = None
    metric_verdicts: tuple[MetricVerdict, ...] = ()
    form_gains: FormGains | None = None
    dtype: str = ""

    def arm(self, kind: str) -> ArmSummary:
        """The arm of that name.

        Raises:
            KeyError: the comparison has no such arm.
        """
        for arm in self.arms:
            if arm.id == kind:
                return arm
        raise KeyError(kind)
