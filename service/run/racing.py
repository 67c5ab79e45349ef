"""Asking the arms in blocks, and no longer those that are surely worse: `measuring.ask_arms` for a race."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlalchemy import Engine

from advisor.data.dataset import Dataset, Example, Split
from advisor.data.slices import slice_weights
from advisor.decision.constraints import ArmTraits, Constraints, breach, check_constraints
from advisor.decision.race import FinishedRace, Race
from advisor.decision.race_plan import RacePlan, plan_race
from advisor.decision.race_recommendation import is_too_small
from advisor.decision.recommendation import DecisionRule
from advisor.results.comparison import ArmRole, AuditFinding, Severity
from advisor.results.score import Metric, ScoringResources, score_answers
from service.run.arm import Arm, Block, Composition
from service.run.measuring import ArmMeasurement, answers_key, check_questions_fit, keep, with_told
from service.run.progress import OnProgress, Progress
from service.run.settings import ComparisonSettings
from service.run.spending import Spending
from service.store.stages.answer_log import AnswerLog


def race_arms(
    composition: Composition,
    dataset: Dataset,
    database: Engine,
    metric: Metric,
    settings: ComparisonSettings,
    on_progress: OnProgress,
    spending: Spending,
) -> tuple[list[ArmMeasurement], FinishedRace] | None:
    """Answers of all candidates to the blocks until they left the race; of references to all blocks that were asked.

    An arm that breaks a declared constraint whatever it answers takes no part: it is asked the first block, so that it
    has figures, and cannot push aside one that may be shipped. Answers are kept block by block; the race itself holds
    nothing that these do not give, so that an interrupted one goes on where it was.

    Args:
        metric: The deciding one.
    Returns:
        None where there is nothing to race: too few questions, or fewer than two arms that may be shipped.
    """
    plan, examples = plan_questions(dataset, metric, settings)
    arms = list(composition.arms(dataset))
    for arm in {arm.base.fingerprint: arm for arm in arms if arm.generates}.values():
        check_questions_fit(arm, dataset)
    candidates = [arm for arm in arms if arm.role is ArmRole.CANDIDATE]
    racing = [arm.id for arm in candidates if not breaks_by_nature(settings.constraints, arm)]
    if len(racing) < 2 or is_too_small(plan):
        return None
    blocks = [[examples[i] for i in block.questions] for block in plan.blocks]
    resources = ScoringResources(dataset.card, composition.embedder, spending.metered(composition.judge))
    asked = {arm.id: _AskedArm(arm, blocks, database, on_progress, spending) for arm in arms}
    race = Race(racing, plan, DecisionRule(metric.name, settings.margin, settings.coverage, settings.seed))
    kept_out = tuple(arm.id for arm in candidates if arm.id not in racing)
    while race.next_block() is not None:
        kinds = (*(kept_out if race.n_blocks == 0 else ()), *race.arms)
        _ask_next(composition, [asked[kind] for kind in kinds])
        race.add({kind: asked[kind].score_latest(metric, resources) for kind in race.arms})
    references = [asked[arm.id] for arm in arms if arm.role is ArmRole.REFERENCE]
    for _ in range(race.n_blocks):
        _ask_next(composition, references)
    sizes = tuple(len(block) for block in blocks)
    finished = FinishedRace(replace(race.outcome(), kept_out=kept_out), race.differences(), sizes)
    return [asked[arm.id].measurement() for arm in arms], finished


def plan_questions(dataset: Dataset, metric: Metric, settings: ComparisonSettings) -> tuple[RacePlan, list[Example]]:
    """The blocks of a race, and the test questions that their numbers stand for."""
    test = dataset.split(Split.TEST)
    weights = slice_weights(
        [dataset.slice_of(example) for example in test],
        [example.group for example in test],
        coverage=settings.coverage,
    )
    examples = [example for example in test if metric.applies(example)]
    plan = plan_race(
        [str(dataset.slice_of(example)) for example in examples],
        [dataset.cluster_of(example) for example in examples],
        weights,
        seed=settings.seed,
    )
    return plan, examples


def breaks_by_nature(constraints: Constraints, arm: Arm) -> bool:
    """Whether an arm breaks a declared constraint whatever it answers and however long it takes."""
    known = replace(constraints, max_p95_latency_s=None, monthly_budget_usd=None, min_abstention_recall=None)
    traits = ArmTraits(arm.retrieves, arm.tuned, arm.device)
    return breach(check_constraints(known, arm.id, traits, None)) is not None


NO_RACE = AuditFinding(
    "race",
    Severity.NOTE,
    "No race was run, since fewer than two arms may be shipped or the test questions are too few. Every arm was asked "
    "every question.",
    "Leave the constraint out that fewer arms meet, or add questions, if a race was meant.",
)
"""The note of a comparison that was to be a race and was none."""


class _AskedArm:
    """One arm, asked block after block."""

    def __init__(
        self,
        arm: Arm,
        blocks: Sequence[Sequence[Example]],
        database: Engine,
        on_progress: OnProgress,
        spending: Spending,
    ) -> None:
        self._arm, self._blocks, self._on_progress, self._spending = arm, blocks, on_progress, spending
        self.id = arm.id
        self.key = answers_key(arm, [[(e.id, e.asked) for e in block] for block in blocks])
        self.log = AnswerLog(database, self.key)
        self._n_blocks = 0
        self._is_asked = False
        self._measured = ArmMeasurement(arm, [], [], 0.0)

    def unanswered(self) -> Iterator[Block]:
        """The next block, if nobody has answered it."""
        examples = list(self._blocks[self._n_blocks])
        self._is_asked = False
        for ids in self.log.unanswered([[example.id for example in examples]]):
            self._spending.check(self._arm, ids)
            self._is_asked = True
            yield Block(self._arm, [example for example in examples if example.id in ids], self.key)

    def take_next(self) -> None:
        """Count the next block, which is answered, among those it was asked."""
        examples = self._blocks[self._n_blocks]
        self._n_blocks += 1
        self._measured.questions = [*self._measured.questions, *examples]
        answers = self.log.in_order(examples)
        self._spending.add(self._arm, answers, are_new=self._is_asked)
        self._measured.answers += answers
        done, total = len(self._measured.questions), sum(len(one) for one in self._blocks)
        self._on_progress(Progress("answer", self._arm.id, done, total, key=self.key))

    def score_latest(self, metric: Metric, resources: ScoringResources) -> list[float | None]:
        """Scores of the block that was taken last, by the deciding metric."""
        block = self._blocks[self._n_blocks - 1]
        scores = score_answers(metric, block, self._measured.answers[-len(block) :], resources)
        self._measured.deciding |= {example.id: score for example, score in zip(block, scores, strict=True)}
        return [score.value for score in scores]

    def measurement(self) -> ArmMeasurement:
        """Everything the arm was asked so far."""
        self._measured.wall_s = self.log.wall_s
        done = len(self._measured.questions)
        self._on_progress(Progress("answer", self._arm.id, done, done, key=self.key))
        self._measured.arm = with_told(self._arm, self._measured.answers)
        return self._measured


def _ask_next(composition: Composition, arms: Sequence[_AskedArm]) -> None:
    """Ask each of the arms its next block."""
    by_id = {arm.id: arm for arm in arms}

    def blocks() -> Iterator[Block]:
        for arm in arms:
            block = next(arm.unanswered(), None)
            if block is None:
                arm.take_next()
            else:
                yield block

    for answered in composition.answered(blocks()):
        arm = by_id[answered.block.arm.id]
        keep(answered, arm.log)
        arm.take_next()
