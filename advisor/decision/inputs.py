"""The decision as a function of what was declared and priced, on what was measured. Nothing is run again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from advisor.data.dataset import Slice
from advisor.data.slices import count_groups, weights_of_groups
from advisor.decision.constraints import ArmTraits, Constraints, breach, check_constraints
from advisor.decision.decision import Outcome, Stakes, decide
from advisor.decision.race_recommendation import raced_arm, require_declared
from advisor.decision.recommendation import DecisionRule
from advisor.errors import EvaluationError
from advisor.evidence.arm_use import ArmUse
from advisor.evidence.evidence import Evidence, evidence_of, gather_evidence
from advisor.evidence.scorecard import applicable
from advisor.evidence.scored_answers import ScoredAnswers, applicable_answers, scored_answers
from advisor.evidence.weighted_metric import WeightedMetric
from advisor.money.cost import Traffic, estimate_cost
from advisor.money.prices import PriceList
from advisor.results.answer_values import AnswerValues
from advisor.results.comparison import CostEstimate, MetricSummary, QuestionRecord, RaceOutcome


class Axis(StrEnum):
    """An input of the decision that can change without a new run; the value is its name, unit included."""

    QUERIES_PER_MONTH = "queries_per_month"
    COVERAGE = "coverage"
    INPUT_PRICE = "usd_per_million_input_tokens"
    OUTPUT_PRICE = "usd_per_million_output_tokens"
    MACHINE_PRICE = "machine_usd_per_hour"
    REFRESHES_PER_MONTH = "refreshes_per_month"
    MARGIN = "margin"
    RIGHT_ANSWER = "right_answer_usd"


@dataclass(frozen=True, slots=True)
class DecisionInputs:
    """What was declared and priced.

    Attributes:
        coverage: Share of production questions whose fact training covers, in [0, 1].
        margin: Differences smaller than this do not matter, in score units, in [0, 1).
        values: What answers are worth, if declared.
        constraints: What an arm must fulfil to be shipped.
    """

    prices: PriceList
    traffic: Traffic
    coverage: float = 0.5
    margin: float = 0.02
    values: AnswerValues | None = None
    constraints: Constraints = Constraints()

    def __post_init__(self) -> None:
        DecisionRule("", self.margin, self.coverage)  # refuses impossible ones by name


@dataclass(frozen=True)
class MeasuredArms:
    """What was measured of the candidates.

    Attributes:
        metric: The deciding one.
        evidence: Their scores on the questions that the metric applies to.
        slices: Slice of every test question. groups: Group of every one, in the same order.
        uses: What each arm takes. traits: what constraints look at.
        quality: The deciding metric of each, for any weights.
        others: Scores by other metrics that say how right an answer is.
        race: Outcome of the race in which they were asked, which then decides instead of the evidence; None where every
            arm was asked every question.
        raced: The deciding metric of each arm, as its own questions of a race show it.
    """

    metric: str
    evidence: Evidence
    slices: tuple[Slice, ...]
    groups: tuple[str, ...]
    uses: Mapping[str, ArmUse]
    traits: Mapping[str, ArmTraits]
    quality: Mapping[str, WeightedMetric]
    others: Mapping[str, Evidence] = field(default_factory=dict)
    race: RaceOutcome | None = None
    raced: Mapping[str, MetricSummary] = field(default_factory=dict)
    _outcomes: dict[tuple[object, ...], Outcome] = field(default_factory=dict, compare=False)
    # A map of decisions asks hundreds of times for the weights of thousands of questions.
    _n_groups: Counter[Slice] = field(default_factory=Counter, compare=False)

    @classmethod
    def from_records(
        cls,
        candidates: Mapping[str, Sequence[QuestionRecord]],
        metric: str,
        uses: Mapping[str, ArmUse],
        traits: Mapping[str, ArmTraits],
        *,
        other_metrics: Sequence[str] = (),
        seed: int = 0,
        race: RaceOutcome | None = None,
        raced: Mapping[str, MetricSummary] | None = None,
    ) -> "MeasuredArms":
        """Of records of each candidate, same questions in the same order; after a race some have fewer."""
        columns = {arm: scored_answers(records, metric) for arm, records in candidates.items()}
        # A race asks for one metric alone.
        others = {
            name: gather_evidence(applicable(candidates, name), name, seed=seed)
            for name in (other_metrics if race is None else ())
        }
        measured = cls.from_answers(columns, metric, uses, traits, seed=seed, race=race)
        return replace(measured, others=others, raced=raced or {})

    @classmethod
    def from_answers(
        cls,
        candidates: Mapping[str, ScoredAnswers],
        metric: str,
        uses: Mapping[str, ArmUse],
        traits: Mapping[str, ArmTraits],
        *,
        seed: int = 0,
        race: RaceOutcome | None = None,
        raced: Mapping[str, MetricSummary] | None = None,
    ) -> "MeasuredArms":
        """The same of answers that are columns already."""
        quality = {arm: WeightedMetric(one, metric, seed=seed) for arm, one in candidates.items()}
        if race is not None:
            n_common = min(one.n_questions for one in candidates.values())
            candidates = {arm: one.first(n_common) for arm, one in candidates.items()}
        questions = next(iter(candidates.values()))
        evidence = evidence_of(applicable_answers(candidates), seed=seed)
        return cls(
            metric, evidence, questions.slices, questions.groups, uses, traits, quality, race=race, raced=raced or {}
        )

    def weights(self, coverage: float) -> Mapping[str, float]:
        """How much each slice counts, as `slice_weights` says; a race was run for weights of its own.

        Raises:
            EvaluationError: the coverage is no share, or puts all the weight on slices without questions.
        """
        if self.race is not None:
            return self.race.slice_weights
        if not self._n_groups:
            self._n_groups.update(count_groups(self.slices, self.groups))
        return weights_of_groups(self._n_groups, coverage=coverage)

    def score(self, arm: str, weights: Mapping[str, float]) -> MetricSummary:
        """The deciding metric of one arm over all slices."""
        return self.raced[arm] if arm in self.raced else self.quality[arm].summary(weights)

    def costs(self, inputs: DecisionInputs) -> dict[str, CostEstimate | None]:
        """Of each arm; None without a price."""
        return {arm: estimate_cost(use, inputs.prices, inputs.traffic) for arm, use in self.uses.items()}

    def monthly_usd(self, inputs: DecisionInputs) -> dict[str, float]:
        """Monthly total of each arm, infinite where it has no price."""
        return {arm: cost.monthly_usd if cost else float("inf") for arm, cost in self.costs(inputs).items()}

    def stakes(self, inputs: DecisionInputs) -> Stakes:
        """What is weighed beside the answers.

        Raises:
            EvaluationError: as `weights` does, or a race was run for other inputs.
        """
        if self.race is not None:
            require_declared(self.race, inputs.margin, inputs.coverage, by_score=inputs.values is None)
        return Stakes(
            self.weights(inputs.coverage),
            inputs.margin,
            self.monthly_usd(inputs),
            inputs.traffic.queries_per_month,
            inputs.values,
            inputs.constraints.good_enough,
            {arm: traits.p95_latency_s for arm, traits in self.traits.items()},
        )

    def broken(self, inputs: DecisionInputs, usd_per_month: Mapping[str, float]) -> dict[str, str]:
        """Arms that break a constraint, with the sentence that says which and by how much."""
        reasons = {}
        for arm, traits in self.traits.items():
            usd = usd_per_month[arm]
            outcomes = check_constraints(inputs.constraints, arm, traits, usd if usd < float("inf") else None)
            if reason := breach(outcomes):
                reasons[arm] = reason
        return reasons

    def recommended(self, inputs: DecisionInputs) -> str | None:
        """The arm that the verdict would name for these inputs; None where it would name none."""
        try:
            stakes = self.stakes(inputs)
            out = self.broken(inputs, stakes.usd_per_month)
            if self.race is not None:
                return raced_arm(self.race, stakes, self.race_scores(), out)
            arms = stakes.fit(self.evidence, out)
            return self._outcome(stakes, arms).shipped(stakes.usd_per_month) if arms else None
        except EvaluationError:
            return None

    def race_scores(self) -> dict[str, float]:
        """Score of each arm that was raced; of one that was not scored, the lowest there is."""
        found = {arm: summary.interval for arm, summary in self.raced.items()}
        return {arm: interval.estimate if interval else 0.0 for arm, interval in found.items()}

    def _outcome(self, stakes: Stakes, arms: Sequence[str]) -> Outcome:
        """Kept where money only chooses among equals: then neither prices nor volume change how the arms stand."""
        if stakes.values is not None:
            return decide(self.evidence, stakes, arms).outcome
        key = (tuple(sorted(stakes.weights.items())), stakes.margin, stakes.good_enough, tuple(arms))
        if key not in self._outcomes:
            self._outcomes[key] = decide(self.evidence, stakes, arms).outcome
        return self._outcomes[key]

    @property
    def _hosted_models(self) -> list[str]:
        return sorted({use.model for use in self.uses.values() if use.device is None})

    @property
    def _devices(self) -> list[str]:
        return sorted({use.device for use in self.uses.values() if use.device is not None})

    def value(self, inputs: DecisionInputs, axis: Axis) -> float | None:
        """Where the inputs stand on an axis; None where it was not declared or plays no part."""
        prices = inputs.prices
        hosted = [prices.models[name] for name in self._hosted_models if name in prices.models]
        machines = [prices.machines[name] for name in self._devices if name in prices.machines]
        match axis:
            case Axis.QUERIES_PER_MONTH:
                return inputs.traffic.queries_per_month
            case Axis.COVERAGE:
                return inputs.coverage
            case Axis.INPUT_PRICE:
                return hosted[0].usd_per_million_input_tokens if hosted else None
            case Axis.OUTPUT_PRICE:
                return hosted[0].usd_per_million_output_tokens if hosted else None
            case Axis.MACHINE_PRICE:
                return machines[0].usd_per_hour if machines else None
            case Axis.REFRESHES_PER_MONTH:
                return inputs.traffic.refreshes_per_month
            case Axis.MARGIN:
                return inputs.margin
            case Axis.RIGHT_ANSWER:
                return inputs.values.right_usd if inputs.values else None

    def moved(self, inputs: DecisionInputs, axis: Axis, value: float) -> DecisionInputs:
        """The same inputs with one of them at another value; all arms start from one model, whose price moves for all.

        Raises:
            TuningForkError: the value is impossible.
        """
        prices, traffic = inputs.prices, inputs.traffic
        if axis in (Axis.INPUT_PRICE, Axis.OUTPUT_PRICE, Axis.MACHINE_PRICE) and not 0 <= value < float("inf"):
            raise EvaluationError(f"{axis} is {value}; give an amount in US dollars of at least 0")
        match axis:
            case Axis.QUERIES_PER_MONTH:
                return replace(inputs, traffic=replace(traffic, queries_per_month=value))
            case Axis.COVERAGE:
                return replace(inputs, coverage=value)
            case Axis.INPUT_PRICE:
                models = {
                    name: price.at_input_price(value) if name in self._hosted_models else price
                    for name, price in prices.models.items()
                }
                return replace(inputs, prices=replace(prices, models=models))
            case Axis.OUTPUT_PRICE:
                models = {
                    name: replace(price, usd_per_million_output_tokens=value) if name in self._hosted_models else price
                    for name, price in prices.models.items()
                }
                return replace(inputs, prices=replace(prices, models=models))
            case Axis.MACHINE_PRICE:
                machines = {
                    name: replace(price, usd_per_hour=value) if name in self._devices else price
                    for name, price in prices.machines.items()
                }
                return replace(inputs, prices=replace(prices, machines=machines))
            case Axis.REFRESHES_PER_MONTH:
                return replace(inputs, traffic=replace(traffic, refreshes_per_month=value))
            case Axis.MARGIN:
                return replace(inputs, margin=value)
            case Axis.RIGHT_ANSWER:
                values = replace(inputs.values, right_usd=value) if inputs.values else AnswerValues(value)
                return replace(inputs, values=values)
