"""What judges and embedders at endpoints cost is part of what may be spent."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from advisor.data.dataset import Split
from advisor.data.files import load_dataset
from advisor.data.prompt import QuestionOnly
from advisor.money.prices import PriceList, read_prices
from advisor.results.answer import TOKENS, Answer, BuildUsage, Pipeline
from advisor.results.comparison import ArmRole
from lm.completion import Completion, FinishReason, GenerationConfig, Likelihood, Message, Messages, Role, Usage
from lm.errors import ConfigError
from lm.fake import FakeLM
from service.contract.scope import Scope
from service.run.arm import Arm, IndexFacts
from service.run.measuring import ArmMeasurement, ask_for_likelihoods
from service.run.progress import EMBEDDED_TOKENS, Progress
from service.run.settings import ComparisonSettings
from service.run.spending import Spending
from service.store.api_keys import create_key
from service.store.comparisons.runs import home_database
from service.store.data_directory import DataDirectory
from service.store.key_budget import KeyBudget

DAY = {"as_of": "2026-01-01", "source": "a test"}
PRICES = read_prices(
    DAY
    | {
        "models": {"j": DAY | {"usd_per_million_input_tokens": 1e6, "usd_per_million_output_tokens": 0}},
        "embedders": {"e": DAY | {"usd_per_million_tokens": 1e6}},
    },
    "prices",
)
JUDGE, EMBEDDER = "openai:j@http://127.0.0.1:9/v1", "openai:e@http://127.0.0.1:9/v1"
QUESTION: Messages = (Message(Role.USER, "Is it right?"),)


def spending(limit_usd: float = 10, prices: PriceList = PRICES, **changes: str) -> Spending:
    return Spending(ComparisonSettings("x", max_spend_usd=limit_usd, **changes), prices)


class OneDollarJudge(FakeLM):
    """Each reply costs a dollar by the prices above."""

    def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        return [Completion("yes", Usage(1, 1), FinishReason.STOP) for _ in prompts]


def local_rag(n_tokens: int) -> Arm:
    """With an index of so many embedded tokens."""
    build = BuildUsage(embedding_tokens=n_tokens)
    pipeline = Pipeline("rag", FakeLM({}), QuestionOnly(""), GenerationConfig(), build)
    return Arm(pipeline, ArmRole.CANDIDATE, "", device="cpu", index=IndexFacts("documents", 1))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"judge": "openai:other"}, "the judge openai:other"),
        ({"embedder": "openai:other"}, "the embedder openai:other"),
    ],
)
def test_what_has_no_price_is_refused_where_a_limit_is_set(changes: dict[str, str], what: str) -> None:
    with pytest.raises(ConfigError, match=f"{what} has no price.*add one to the price list, or leave max_spend_usd"):
        spending(**changes)
    Spending(ComparisonSettings("x", **changes), PRICES)


def test_a_judge_is_asked_no_more_once_the_limit_is_reached() -> None:
    kept = spending(limit_usd=10, judge=JUDGE)
    judge = kept.metered(OneDollarJudge({}))
    assert judge is not None
    for _ in range(2):
        judge.generate([QUESTION] * 4, GenerationConfig())
    kept.check_judge()
    with pytest.raises(ConfigError, match=r"\$8.00 of \$10.00 is spent, and the judge has answers left"):
        judge.generate([QUESTION] * 4, GenerationConfig())
    assert judge.usage.input_tokens == 8
    # A metric takes the failure for one of its own, so that it is raised again where scoring ends.
    with pytest.raises(ConfigError, match="stopped at max_spend_usd"):
        kept.check_judge()


def test_a_judge_on_this_machine_costs_nothing_and_none_is_none() -> None:
    kept = spending(limit_usd=0.5)
    judge = kept.metered(OneDollarJudge({}))
    assert judge is not None
    judge.generate([QUESTION] * 4, GenerationConfig())
    kept.check_judge()
    assert kept.metered(None) is None


def test_embeddings_count_for_local_arms_too_and_a_shared_index_once() -> None:
    kept = spending(limit_usd=10, embedder=EMBEDDER)
    rag = local_rag(4)
    hybrid = replace(rag, index_usage=BuildUsage(embedding_tokens=4), tuned=True)
    answer = Answer("yes", Usage(100, 1, embedding_tokens=1), FinishReason.STOP, (), "")
    kept.add(rag, [answer] * 2)
    kept.add(hybrid, [answer] * 2)
    kept.check(rag, [1])
    with pytest.raises(ConfigError, match=r"\$8.00 of \$10.00 is spent, and rag has questions left"):
        kept.check(rag, [1, 2, 3])


def test_an_index_that_is_being_built_stops_before_the_part_that_would_go_beyond() -> None:
    kept = spending(limit_usd=10, embedder=EMBEDDER)
    seen: list[Progress] = []
    tell = kept.watching(seen.append)
    for done in range(3):
        tell(Progress("index", "", done, 9, values={EMBEDDED_TOKENS: 3 * (done > 0)}))
    kept.add(local_rag(6), [])
    with pytest.raises(ConfigError, match=r"\$9.00 of \$10.00 is spent, and documents are left to embed; what"):
        tell(Progress("index", "", 3, 9, values={EMBEDDED_TOKENS: 3}))
    assert [progress.done for progress in seen] == [0, 1, 2, 3]


def test_a_key_pays_for_what_is_embedded_for_it_alone(tmp_path: Path) -> None:
    with home_database(DataDirectory(tmp_path)) as engine:
        budget = KeyBudget(engine, create_key(engine, "limited", [Scope.RUN], max_spend_usd=10.0)[0].id)
        kept = Spending(ComparisonSettings("x", embedder=EMBEDDER), PRICES, budget)
        kept.watching(lambda _: None)(Progress("index", "", 9, 9, values={EMBEDDED_TOKENS: 3}))
        # Eight tokens were in the index before.
        kept.add(local_rag(11), [])
        assert budget.left_usd() == 7.0


def test_a_service_that_hides_its_tokens_is_asked_one_block_where_a_limit_is_set() -> None:
    settings = ComparisonSettings("x", arms=("app=external:http://h/v1@j",), max_spend_usd=1.0)
    pipeline = Pipeline("app", FakeLM({}), QuestionOnly(""), GenerationConfig())
    arm = Arm(pipeline, ArmRole.CANDIDATE, "", generates=False, spec=settings.arm_specs[0])
    kept = Spending(settings, PRICES)
    failed, told = (
        Answer("a", Usage(), reason, (), "", unknown=(TOKENS,)) for reason in (FinishReason.FAILED, FinishReason.STOP)
    )
    kept.add(arm, [failed])
    with pytest.raises(ConfigError, match="app does not tell the tokens.*declare app.usd_per_question"):
        kept.add(arm, [told])


class TellsLikelihoods(FakeLM):
    """Of each answer two tokens."""

    def likelihoods(self, prompts: Sequence[Messages], answers: Sequence[str]) -> list[Likelihood | None]:
        return [Likelihood(-1.0, 2) for _ in prompts]


def test_perplexity_at_an_endpoint_reads_each_prompt_once_more(workplace: Any) -> None:
    prices = read_prices(
        DAY | {"models": {"m": DAY | {"usd_per_million_input_tokens": 1e6, "usd_per_million_output_tokens": 0}}}, "p"
    )
    settings = ComparisonSettings("x", model="openai:m", arms=("base",), max_spend_usd=100)
    kept = Spending(settings, prices)
    pipeline = Pipeline("base", TellsLikelihoods({}), QuestionOnly(""), GenerationConfig())
    arm = Arm(pipeline, ArmRole.CANDIDATE, "", spec=settings.arm_specs[0])
    questions = load_dataset(workplace.folder).split(Split.TEST)[:3]
    answer = Answer("yes", Usage(10, 1), FinishReason.STOP, (), "")
    one = ArmMeasurement(arm, questions, [answer] * 3, 1.0)
    kept.add(arm, one.answers)
    ask_for_likelihoods(one, kept)
    # 3 times 10 tokens, and 3 times those and the reference's 2.
    with pytest.raises(ConfigError, match=r"\$66.00 of \$100"):
        kept.check(arm, range(9))
