"""Arms that come from outside: a file of answers, a service that is asked over HTTP, an adapter of another trainer."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from advisor.audit.check import Check
from advisor.errors import EvaluationError
from advisor.money.prices import load_prices
from advisor.results.answer import Answer
from advisor.results.comparison import ArmRole, ArmSummary, Comparison
from lm.completion import FinishReason, Usage
from lm.errors import ConfigError
from service.cli.app import app
from service.contract.scope import Scope
from service.run.composition import LocalComposition
from service.run.progress import silent
from service.run.spending import Spending
from service.run.workflow import load_limited_dataset, run_comparison
from service.store.api_keys import create_key, list_keys
from service.store.comparisons.runs import home_database
from service.store.key_budget import KeyBudget, KeySpentError
from tests.service.conftest import OneHotEmbedder
from tests.service.serving.hosted_endpoint import HostedEndpoint


class Composition(LocalComposition):
    """The real one, with an embedder that takes no time."""

    @cached_property
    def embedder(self) -> Any:
        return OneHotEmbedder()


def candidates(comparison: Comparison) -> list[ArmSummary]:
    return [arm for arm in comparison.arms if arm.role is ArmRole.CANDIDATE]


# ---- Answers from a file


@pytest.fixture(scope="module")
def exported(workplace_class: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Comparison, Path, list[str]]:
    """A finished comparison, and its answers in files."""
    workplace = workplace_class(tmp_path_factory.mktemp("exported"))
    made = workplace.run()
    folder = workplace.directory.root / "answers"
    called = CliRunner().invoke(
        app, ["export", made.id, "--answers", str(folder), "--home", str(workplace.directory.root)]
    )
    assert called.exit_code == 0, called.output
    declared = [line.rpartition("--declared ")[2] for line in called.output.replace("\n", " ").split("Written: ")[1:]]
    return workplace, made, folder, [text.strip() for text in declared]


def again(workplace: Any, *arms: str, budget: KeyBudget | None = None, **changes: Any) -> Comparison:
    settings = replace(workplace.settings, arms=arms, **changes)
    return run_comparison(settings, workplace.directory, Composition, "", budget=budget)


def test_answers_taken_in_again_have_the_same_figures(exported: Any) -> None:
    workplace, made, folder, declared = exported
    ids = [arm.id for arm in candidates(made)]
    assert declared == [f"answers-{arm}.build_usd=0" for arm in ids]
    other = again(workplace, *(f"answers:{folder / arm}.jsonl" for arm in ids), declared=tuple(declared))
    for before, now in zip(candidates(made), candidates(other), strict=True):
        assert now.metrics == before.metrics
        assert now.usage_per_question == before.usage_per_question
        assert (now.cost is None) == (before.cost is None)
        if now.cost is not None and before.cost is not None:
            assert now.cost.serve_usd_per_query == pytest.approx(before.cost.serve_usd_per_query)
    for was, difference in zip(made.differences, other.differences, strict=True):
        assert replace(difference, first=was.first, second=was.second) == was
    assert other.recommendation.verdict is made.recommendation.verdict
    chances = made.recommendation.probability_best
    assert other.recommendation.probability_best == {f"answers-{arm}": p for arm, p in chances.items()}
    assert other.model == ""


def test_what_a_file_does_not_tell_is_unknown_and_not_nothing(exported: Any, tmp_path: Path) -> None:
    workplace, made, folder, _ = exported
    rows = [json.loads(line) for line in (folder / "base.jsonl").read_text().splitlines()]
    bare = tmp_path / "bare.csv"
    bare.write_text("id,text\n" + "".join(f"{row['id']},{row['text']}\n" for row in rows))
    comparison = again(workplace, f"app=answers:{bare}", f"few=answers:{folder / 'few-shot.jsonl'}")
    app_arm, few = candidates(comparison)
    assert app_arm.unknown == ("tokens", "seconds", "build time", "build cost")
    assert (app_arm.input_tokens, app_arm.questions_per_s, app_arm.build_s, app_arm.cost) == (None, None, None, None)
    assert app_arm.latency is None
    assert "tokens" not in few.unknown
    assert app_arm.metrics == candidates(made)[0].metrics
    outside = next(finding for finding in comparison.findings if finding.check == Check.OUTSIDE)
    assert outside.items == ("app: what it was made of is not known", "few: what it was made of is not known")
    report = (workplace.directory.comparison(comparison.id) / "report.md").read_text("utf-8")
    assert "Not known of arms made elsewhere: app (tokens, seconds, build time, build cost)" in report


def test_each_wrong_line_of_answers_is_named(exported: Any, tmp_path: Path) -> None:
    workplace, _, folder, _ = exported
    lines = (folder / "base.jsonl").read_text().splitlines()
    broken = tmp_path / "broken.jsonl"
    wrong = ['{"id": "x9", "text": "?"}', '{"id": "t3"}', "{", '{"id": "t3", "text": "", "seconds": -1}']
    wrong = [lines[0], lines[0], *wrong]
    broken.write_text("\n".join([*wrong, *lines[3:]]))
    with pytest.raises(EvaluationError) as raised:
        again(workplace, f"answers:{broken}")
    told = str(raised.value)
    first = json.loads(lines[0])["id"]
    assert f"line 2: {first!r} is answered in line 1 already" in told
    assert "line 3: 'x9' is no question of the dataset" in told
    assert "line 4: 't3' has no text" in told
    assert "line 5: not JSON" in told
    assert "line 6: seconds is -1" in told
    assert f"no answer to {json.loads(lines[1])['id']}, {json.loads(lines[2])['id']}" in told


def test_declared_figures_are_of_outside_arms_alone(workplace: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"declared has 'base.build_usd=1'; give ARM.FIGURE=USD"):
        replace(workplace.settings, declared=("base.build_usd=1",))
    with pytest.raises(ConfigError, match="is not there|cannot be read"):
        again(workplace, f"answers:{tmp_path / 'none.jsonl'}")


# ---- A service


@pytest.fixture
def service() -> Iterator[HostedEndpoint]:
    endpoint = HostedEndpoint()
    endpoint.say = lambda request: "c" + "".join(filter(str.isdigit, request["messages"][-1]["content"]))
    yield endpoint
    endpoint.stop()


def sources(request: Any) -> dict[str, Any]:
    number = "".join(filter(str.isdigit, request["messages"][-1]["content"]))
    return {"citations": [{"title": f"Thing {number}", "content": f"Thing {number} is coloured c{number}."}]}


def test_a_service_is_asked_the_bare_question_and_its_sources_are_scored(
    workplace: Any, service: HostedEndpoint
) -> None:
    service.beside = sources
    card = workplace.folder / "dataset.toml"
    card.write_text(card.read_text().replace('"abstention"]', '"abstention", "recall@3"]'))
    comparison = again(workplace, f"app=external:{service.url}@mine", limit=30)
    (app_arm,) = candidates(comparison)
    recall = app_arm.metric("recall@3")
    assert recall is not None and recall.interval is not None and recall.interval.estimate == 1
    assert app_arm.usage_per_question.input_tokens == 20
    assert app_arm.model == "mine"
    assert {request["model"] for request in service.requests} == {"mine"}
    assert {tuple(request) for request in service.requests} == {("messages", "model")}
    assert all(len(request["messages"]) == 1 for request in service.requests)
    assert app_arm.unknown == ("build time", "build cost")


@pytest.mark.parametrize("trouble", [429, 503])
def test_a_busy_service_is_tried_again_and_then_unscored(
    workplace: Any, service: HostedEndpoint, trouble: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lm.completion import FinishReason, GenerationConfig, Message, Role
    from lm.endpoint.external_service import ExternalService

    service.trouble = trouble
    asked = ExternalService(service.url, max_retries=2)
    completions = asked.generate([(Message(Role.USER, "Which?"),)] * 2, GenerationConfig())
    assert [one.finish_reason for one in completions] == [FinishReason.FAILED] * 2
    assert service.n_asked == 6


# ---- Answers that an endpoint withholds


def choice(ended: str, **message: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "finish_reason": ended, "message": {"role": "assistant", **message}}]}


FILTER = {"message": "The response was filtered due to the prompt.", "code": "content_filter", "param": "prompt"}
AZURE = {"message": "No.", "code": "400", "innererror": {"code": "ResponsibleAIPolicyViolation"}}
FILTERED, CUT = "the endpoint's content filter withheld it", "the output limit was reached before an answer began"
WITHHELD = [
    ({"status": 400, "error": FILTER}, FILTERED),
    ({"status": 400, "error": AZURE}, FILTERED),
    (choice("content_filter", content=None), FILTERED),
    (choice("content_filter", content="It is"), FILTERED),
    (choice("length", content=""), CUT),
    (choice("length", content="<think>Hm"), CUT),
]


@pytest.mark.parametrize("arm", ["base", "app=external:{url}"])
def test_what_an_endpoint_withholds_is_unscored_and_counted_and_the_rest_is_measured(
    workplace: Any, service: HostedEndpoint, arm: str
) -> None:
    told: dict[str, str] = {}

    def withhold(request: Any) -> dict[str, Any]:
        question = request["messages"][-1]["content"].strip().rpartition("\n")[2]
        if question not in told and len(told) < len(WITHHELD):
            beside, told[question] = WITHHELD[len(told)]
            return beside
        return {}

    service.beside = withhold
    given = {"model": f"openai:m@{service.url}", "limit": 30, "batch_size": 1}
    comparison = again(workplace, arm.format(url=service.url), **given)
    (measured,) = candidates(comparison)
    metric = measured.metric("exact_match")
    assert metric is not None
    assert (metric.n, metric.n_unscored) == (24, 6)
    lines = (workplace.directory.comparison(comparison.id) / "results.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["arm"] == measured.id]
    reasons = [row["scores"]["exact_match"]["reason"] for row in rows if row["scores"]["exact_match"]["value"] is None]
    assert sorted(reasons) == sorted(reason for _, reason in WITHHELD)
    empty = next((one for one in comparison.findings if one.check == Check.EMPTY), None)
    assert empty is None


# ---- The team's own prompt


def test_a_team_s_prompt_is_asked_as_it_is_written(workplace: Any, service: HostedEndpoint, tmp_path: Path) -> None:
    prompt = tmp_path / "ours.toml"
    prompt.write_text('system = "Read: {passages}"\nuser = "Like these: {examples}\\n\\nNow: {question}"\n')
    arms = (f"ours=prompt:{prompt}", "base")
    comparison = again(workplace, *arms, model=f"openai:m@{service.url}", limit=30, n_shots=2)
    ours, base = candidates(comparison)
    asked = [request["messages"] for request in service.requests if request["messages"][0]["role"] == "system"]
    assert asked
    for system, user in asked:
        assert system["content"].startswith("Read: [1] Thing ")
        assert user["content"].startswith("Like these: Question: Colour of thing ")
        assert user["content"].count("Answer: c") == 2
        assert "\n\nNow: W" in user["content"]
    assert ours.model == base.model
    noted = next(finding for finding in comparison.findings if finding.check == Check.OWN_PROMPT)
    assert "ours" in noted.message
    assert not any(finding.check == Check.UNEQUAL_PROMPT for finding in comparison.findings)


# ---- Money


PRICES = """
as_of = "2026-01-01"
source = "a test"

[models.m]
source = "a test"
usd_per_million_input_tokens = 1000
usd_per_million_output_tokens = 1000
as_of = "2026-01-01"
"""


def test_a_comparison_stops_at_what_it_may_spend_and_goes_on_with_more(
    workplace: Any, service: HostedEndpoint, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    given = {"model": f"openai:m@{service.url}", "prices": prices}
    # An answer of 20 tokens in and 2 out costs $0.022; 99 questions make a block of 64 and one of 35.
    with pytest.raises(
        ConfigError, match=r"stopped at max_spend_usd: \$1.41 of \$2.00 is spent, and base has questions"
    ):
        again(workplace, "base", max_spend_usd=2.0, **given)
    asked = service.n_asked
    assert asked == 64
    with pytest.raises(ConfigError, match="stopped at max_spend_usd"):
        again(workplace, "base", max_spend_usd=1.9, **given)
    assert service.n_asked == asked
    comparison = again(workplace, "base", max_spend_usd=100.0, **given)
    assert candidates(comparison)[0].n_questions == 99


def test_a_key_pays_for_new_answers_alone_and_stops_at_its_limit(
    workplace: Any, service: HostedEndpoint, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    given = {"model": f"openai:m@{service.url}", "prices": prices}
    with home_database(workplace.directory) as engine:
        limited = KeyBudget(engine, create_key(engine, "limited", [Scope.RUN], max_spend_usd=2.0)[0].id)
        # A block of 64 costs $1.41, so the next one of 35 would go beyond the limit.
        with pytest.raises(KeySpentError, match=r"may spend \$0\.59 more"):
            again(workplace, "base", budget=limited, **given)
        assert service.n_asked == 64
        other = KeyBudget(engine, create_key(engine, "other", [Scope.RUN])[0].id)
        again(workplace, "base", budget=other, **given)
        spent = {key.name: key.spent_usd for key in list_keys(engine)}
    assert spent == {"limited": pytest.approx(64 * 0.022), "other": pytest.approx((service.n_asked - 64) * 0.022)}


def test_comparisons_at_once_go_beyond_the_limit_of_their_key_by_a_block_each(workplace: Any, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(PRICES)
    settings = replace(workplace.settings, arms=("base",), model="openai:m@http://127.0.0.1:1/v1")
    composition = Composition(settings, workplace.directory, silent)
    arm = composition.arm("base", load_limited_dataset(settings))
    with home_database(workplace.directory) as engine:
        budget = KeyBudget(engine, create_key(engine, "limited", [Scope.RUN], max_spend_usd=1.0)[0].id)
        both = [Spending(settings, load_prices(path), budget) for _ in range(2)]
        for one in both:
            one.check(arm, range(64))
        for one in both:
            one.add(arm, [Answer("a", Usage(500, 500), FinishReason.STOP, (), "")])
        for one in both:
            with pytest.raises(KeySpentError):
                one.check(arm, range(1))
        assert budget.left_usd() == pytest.approx(-1.0)
    composition.close()


def test_what_has_no_price_is_refused_where_a_limit_is_set(workplace: Any, service: HostedEndpoint) -> None:
    with pytest.raises(ConfigError, match="app has no price.*declare app.usd_per_question"):
        again(workplace, f"app=external:{service.url}", max_spend_usd=1.0)
    assert service.n_asked == 0
