"""What a comparison has spent at endpoints, and where it stops."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from threading import Lock

from advisor.arms import ARM_KINDS, ArmSpec
from advisor.money.cost import estimate_answer_cost
from advisor.money.prices import PriceList, priced_name, tuned_name
from advisor.results.answer import TOKENS, Answer
from advisor.results.quantities import usd
from lm.completion import Completion, FinishReason, GenerationConfig, Messages
from lm.errors import ConfigError
from lm.language_model import LanguageModel
from lm.metered_model import MeteredModel
from lm.registry import parse_spec
from service.run.arm import Arm
from service.run.progress import EMBEDDED_TOKENS, OnProgress, Progress
from service.run.settings import ComparisonSettings
from service.store.database import patiently
from service.store.key_budget import KeyBudget, KeySpentError

_JUDGE = "the judge"


def is_hosted(arm: ArmSpec, settings: ComparisonSettings) -> bool:
    """Whether questions to an arm are paid for by the token, or by the question."""
    if arm.kind == "external":
        return True
    return arm.row.generates and parse_spec(settings.model_of(arm))[0] == "openai"


def check_budget(settings: ComparisonSettings, prices: PriceList, budget: KeyBudget | None) -> None:
    """Refuse what a key with a limit of spending may not start.

    Raises:
        ConfigError: something at an endpoint has no price, or is a reranker, which nobody counts.
        KeySpentError: something is at an endpoint, and nothing is left.
    """
    if budget is None or budget.left_usd() is None:
        return
    Spending(settings, prices, budget)
    if _is_endpoint(settings.reranker):
        raise ConfigError("the reranker is at an endpoint, which is not counted towards the limit of spending of a key")
    named = (settings.judge, settings.embedder)
    if any(map(_is_endpoint, named)) or any(is_hosted(arm, settings) for arm in settings.arm_specs):
        budget.check()


class Spending:
    """Adds up what endpoints cost: answers, judges and embedders, those of earlier runs among them as far as they are
    kept. A judge's replies are not: what it is asked again is paid for again.

    Args:
        prices: Of models by the token.
        budget: Of the key that pays: charged for each block of new answers, and asked before each.
    Raises:
        ConfigError: there is a limit, and something at an endpoint has no price.
    """

    def __init__(self, settings: ComparisonSettings, prices: PriceList, budget: KeyBudget | None = None) -> None:
        self._settings = settings
        self._prices = prices
        self._limit_usd = settings.max_spend_usd
        self._budget = budget
        self._counts = self._limit_usd is not None or budget is not None
        self._usd = 0.0
        self._n_answers: dict[str, int] = {}
        self._usd_of: dict[str, float] = {}
        self._built: set[object] = set()
        self._build_usd = 0.0
        self._indexing_usd = 0.0
        self._lock = Lock()
        self._stopped: ConfigError | None = None
        each_usd = prices.embedding_usd(settings.embedder, 1.0)
        self._usd_per_embedded_token = each_usd or 0.0
        self._is_limited = self._limit_usd is not None or (budget is not None and budget.left_usd() is not None)
        if not self._is_limited:
            return
        for arm in settings.arm_specs:
            if is_hosted(arm, settings) and self._model(arm) not in prices.models and self._declared(arm) is None:
                declare = f"declare {arm.id}.usd_per_question, or " if arm.row.outside else ""
                raise _no_price(arm.id, declare)
        if _is_endpoint(settings.judge) and priced_name(settings.judge or "") not in prices.models:
            raise _no_price(f"the judge {settings.judge}")
        if each_usd is None:
            raise _no_price(f"the embedder {settings.embedder}")

    def add(self, arm: Arm, answers: Sequence[Answer], *, are_new: bool = True) -> None:
        """Count answers of an arm, and what was embedded to build it; the key that pays is charged for new ones.

        Raises:
            ConfigError: there is a limit, and the arm does not tell what its answers took.
        """
        if not self._counts:
            return
        self._add_build(arm)
        before_usd = self._usd
        spec = arm.spec
        is_paid = spec is not None and self._is_paid(arm)
        declared = self._declared(spec) if spec is not None and is_paid else None
        model = self._model(spec) if spec is not None and is_paid else ""
        if self._is_limited and is_paid and declared is None and any(_hides_tokens(answer) for answer in answers):
            raise ConfigError(
                f"{arm.id} does not tell the tokens of its answers, so what they cost cannot be told; declare "
                f"{arm.id}.usd_per_question, leave max_spend_usd out, or use a key without a limit"
            )
        for answer in answers:
            cost = declared if answer.finish_reason is not FinishReason.FAILED else 0.0
            if cost is None and is_paid:
                usage = replace(answer.usage, embedding_tokens=0)
                cost = estimate_answer_cost(usage, self._prices, model=model, embedder="", device=None)
            usd_spent = (cost or 0.0) + answer.usage.embedding_tokens * self._usd_per_embedded_token
            self._usd += usd_spent
            self._usd_of[arm.id] = self._usd_of.get(arm.id, 0.0) + usd_spent
            self._n_answers[arm.id] = self._n_answers.get(arm.id, 0) + 1
        if are_new:
            self._charge(self._usd - before_usd + self._build_usd)
            self._build_usd = 0.0

    def _charge(self, usd_spent: float) -> None:
        if self._budget is not None:
            patiently(partial(self._budget.spend, usd_spent))

    def watching(self, on_progress: OnProgress) -> OnProgress:
        """The same, which also counts what an index is embedded for, and stops between two parts of it.

        What it returns raises ConfigError or KeySpentError, as `check` does.
        """

        def tell(progress: Progress) -> None:
            on_progress(progress)
            n_tokens = progress.values.get(EMBEDDED_TOKENS)
            if n_tokens is not None and self._counts and self._usd_per_embedded_token:
                self._embedded(n_tokens * self._usd_per_embedded_token, is_left=progress.done < progress.total)

        return tell

    def _embedded(self, part_usd: float, *, is_left: bool) -> None:
        self._indexing_usd += part_usd
        self._charge(part_usd)
        if not is_left:
            return
        # The next part is about as large.
        self._check_limits(part_usd, "documents are left to embed")

    @property
    def _spent_usd(self) -> float:
        """With indexes that no arm has been counted for yet."""
        return self._usd + self._indexing_usd

    def _add_build(self, arm: Arm) -> None:
        """Arms share an index, which is embedded once; the key has paid for what of it was embedded for it."""
        tokens, shared = arm.pipeline.build_usage.embedding_tokens, arm.index_usage.embedding_tokens
        for n_tokens, key in ((tokens - shared, (arm.id, arm.index)), (shared, arm.index)):
            own = arm.index if arm.index is not None and not shared else key
            if n_tokens and own not in self._built:
                self._built.add(own)
                usd_spent = n_tokens * self._usd_per_embedded_token
                self._usd += usd_spent
                if own is arm.index:
                    self._indexing_usd = max(0.0, self._indexing_usd - usd_spent)
                else:
                    self._build_usd += usd_spent

    def metered(self, judge: LanguageModel | None) -> "MeteredModel | None":
        """A judge that counts what it takes, and is asked no more once that would go beyond the limit."""
        return None if judge is None else _Judge(judge, self)

    def check_judge(self) -> None:
        """Stop if a judge was kept from being asked: a metric takes that for a failure of one answer.

        Raises:
            ConfigError: it was.
        """
        if self._stopped is not None:
            raise self._stopped

    def check(self, arm: Arm, questions: Sequence[object]) -> None:
        """Stop before a block of questions that would go beyond the limit, by what the arm's answers cost so far.

        Raises:
            ConfigError: it would; what was answered is kept, and a higher limit goes on from there.
            KeySpentError: the same of what the key that pays may still spend.
        """
        if not self._counts:
            return
        self.check_judge()
        if not self._is_paid(arm) and not self._usd_per_embedded_token:
            return
        each = self._usd_of.get(arm.id, 0.0) / max(1, self._n_answers.get(arm.id, 0))
        self._check_limits(each * len(questions), f"{arm.id} has questions left")

    def _check_limits(self, next_usd: float, left: str) -> None:
        if self._budget is not None:
            patiently(partial(self._budget.check, next_usd))
        if self._limit_usd is None:
            return
        if self._spent_usd + next_usd > self._limit_usd or self._spent_usd >= self._limit_usd:
            raise self._reached(left)

    def _reached(self, left: str) -> ConfigError:
        return ConfigError(
            f"stopped at max_spend_usd: {usd(self._spent_usd)} of {usd(self._limit_usd)} is spent, and {left}; what "
            "was answered and embedded is kept, and the same comparison with a higher limit goes on from there"
        )

    def judging(self, n_prompts: int) -> None:
        """Before a judge is asked.

        Raises:
            ConfigError: that would go beyond the limit, of the comparison or of the key, by what its replies cost so
                far.
        """
        with self._lock:
            n_replies = self._n_answers.get(_JUDGE, 0)
            each = self._usd_of.get(_JUDGE, 0.0) / max(1, n_replies)
            if self._limit_usd is not None and self._spent_usd + each * n_prompts >= self._limit_usd:
                self._stopped = self._reached("the judge has answers left to grade")
                raise self._stopped
            if self._budget is not None and _is_endpoint(self._settings.judge):
                try:
                    patiently(partial(self._budget.check, each * n_prompts))
                except KeySpentError as error:
                    self._stopped = error
                    raise

    def judged(self, completions: Sequence[Completion]) -> None:
        """Count what a judge replied."""
        price = self._prices.models.get(priced_name(self._settings.judge or ""))
        if not self._counts or price is None or not _is_endpoint(self._settings.judge):
            return
        model = priced_name(self._settings.judge or "")
        spent = (
            estimate_answer_cost(one.usage, self._prices, model=model, embedder="", device=None) for one in completions
        )
        with self._lock:
            usd_spent = sum(one or 0.0 for one in spent)
            self._usd += usd_spent
            self._usd_of[_JUDGE] = self._usd_of.get(_JUDGE, 0.0) + usd_spent
            self._n_answers[_JUDGE] = self._n_answers.get(_JUDGE, 0) + len(completions)
            self._charge(usd_spent)

    def _is_paid(self, arm: Arm) -> bool:
        spec = arm.spec
        if spec is None or spec.kind not in ARM_KINDS:
            return arm.device is None and arm.generates
        return is_hosted(spec, self._settings)

    def _model(self, arm: ArmSpec) -> str:
        if arm.kind == "external":
            return priced_name(arm.model)
        model = self._settings.model_of(arm)
        # References have no row.
        return priced_name(tuned_name(model) if arm.kind in ARM_KINDS and arm.row.tuned else model)

    def _declared(self, arm: ArmSpec) -> float | None:
        figures = self._settings.declared_figures.get(arm.id)
        return figures.usd_per_question if figures is not None else None


class _Judge(MeteredModel):
    def __init__(self, judge: LanguageModel, spending: Spending) -> None:
        super().__init__(judge)
        self._spending = spending

    def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        """One completion a prompt, in order, within the limit."""
        self._spending.judging(len(prompts))
        completions = super().generate(prompts, config)
        self._spending.judged(completions)
        return completions


def _is_endpoint(spec: str | None) -> bool:
    return spec is not None and spec.startswith("openai:")


def _hides_tokens(answer: Answer) -> bool:
    return TOKENS in answer.unknown and answer.finish_reason in (FinishReason.STOP, FinishReason.LENGTH)


def _no_price(what: str, declare: str = "") -> ConfigError:
    return ConfigError(
        f"{what} has no price, so what it spends of max_spend_usd cannot be told; add one to the price list, "
        f"or {declare}leave max_spend_usd out, or use a key without a limit"
    )
