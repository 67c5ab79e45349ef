"""What a comparison has spent at endpoints, and where it stops."""

from collections.abc import Iterable, Sequence

from advisor.arms import ARM_KINDS, ArmSpec
from advisor.money.cost import estimate_answer_cost
from advisor.money.prices import PriceList
from advisor.results.answer import Answer
from advisor.results.quantities import usd
from lm.errors import ConfigError
from lm.registry import parse_spec
from service.run.arm import Arm
from service.run.settings import ComparisonSettings


def is_hosted(arm: ArmSpec, settings: ComparisonSettings) -> bool:
    """Whether questions to an arm are paid for by the token, or by the question."""
    if arm.kind == "external":
        return True
    return arm.row.generates and parse_spec(settings.model_of(arm))[0] == "openai"


class Spending:
    """Adds up what answers of endpoints cost, those of earlier runs among them: they were paid for too.

    Embedders and judges at endpoints are not counted.

    Args:
        prices: Of models by the token.
    Raises:
        ConfigError: there is a limit, and an arm at an endpoint has no price.
    """

    def __init__(self, settings: ComparisonSettings, prices: PriceList) -> None:
        self._settings = settings
        self._prices = prices
        self._limit_usd = settings.max_spend_usd
        self._usd = 0.0
        self._n_answers: dict[str, int] = {}
        self._usd_of: dict[str, float] = {}
        for arm in settings.arm_specs if self._limit_usd is not None else ():
            if is_hosted(arm, settings) and self._model(arm) not in prices.models and self._declared(arm) is None:
                raise ConfigError(
                    f"{arm.id} has no price, so what it spends of max_spend_usd cannot be told; add one to the price "
                    "list"
                    + (f", or declare {arm.id}.usd_per_question" if arm.row.outside else "")
                    + ", or leave max_spend_usd out"
                )

    def add(self, arm: Arm, answers: Iterable[Answer]) -> None:
        """Count answers of an arm."""
        spec = arm.spec
        if self._limit_usd is None or spec is None or not self._is_paid(arm):
            return
        declared, model = self._declared(spec), self._model(spec)
        embedder = self._settings.embedder.removeprefix("openai:")
        for answer in answers:
            cost = declared
            if cost is None:
                cost = estimate_answer_cost(answer.usage, self._prices, model=model, embedder=embedder, device=None)
            self._usd += cost or 0.0
            self._usd_of[arm.id] = self._usd_of.get(arm.id, 0.0) + (cost or 0.0)
            self._n_answers[arm.id] = self._n_answers.get(arm.id, 0) + 1

    def check(self, arm: Arm, questions: Sequence[object]) -> None:
        """Stop before a block of questions that would go beyond the limit, by what the arm's answers cost so far.

        Raises:
            ConfigError: it would; what was answered is kept, and a higher limit goes on from there.
        """
        if self._limit_usd is None or not self._is_paid(arm):
            return
        each = self._usd_of.get(arm.id, 0.0) / max(1, self._n_answers.get(arm.id, 0))
        if self._usd + each * len(questions) > self._limit_usd or self._usd >= self._limit_usd:
            raise ConfigError(
                f"stopped at max_spend_usd: {usd(self._usd)} of {usd(self._limit_usd)} is spent, and {arm.id} has "
                f"questions left; the answers are kept, and the same comparison with a higher limit goes on from them"
            )

    def _is_paid(self, arm: Arm) -> bool:
        spec = arm.spec
        if spec is None or spec.kind not in ARM_KINDS:
            return arm.device is None and arm.generates
        return is_hosted(spec, self._settings)

    def _model(self, arm: ArmSpec) -> str:
        name = arm.model if arm.kind == "external" else self._settings.model_of(arm)
        return name.removeprefix("openai:").partition("@")[0]

    def _declared(self, arm: ArmSpec) -> float | None:
        figures = self._settings.declared_figures.get(arm.id)
        return figures.usd_per_question if figures is not None else None
