import json
import re
import shlex
import tomllib
from collections.abc import Mapping
from typing import Any

from streamlit.testing.v1 import AppTest

from service.contract.client import REPORT_NAMES, ServiceError
from service.contract.schemas import KeyCreated, KeyList, PricedQualityView
from tests.ui.conftest import EARLIER, FINISHED, OpenPage, healthy, press, said
from tests.ui.fake_client import NO_KEY, FakeClient


def test_every_report_can_be_downloaded(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("reports", client, comparison=FINISHED)
    assert {one.key for one in page.download_button} == {f"download {name}" for name in REPORT_NAMES}
    # What is downloaded is read when it is asked for; the page itself needs the report alone.
    assert {call.args[1] for call in client.asked("get_report")} == {"report.json"}


def test_a_gate_is_tried_and_written_out(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("reports", client, comparison=FINISHED)
    page.selectbox(key="gate arm 0").set_value("base")
    page.number_input(key="gate limit 0 at least").set_value(0.9)
    page = press(healthy(page.run()), "Try the gate on this comparison")
    rule = {"arm": "base", "measure": "exact_match", "at_least": 0.9}
    assert client.asked("check_gate")[-1].args == (FINISHED, {"thresholds": [rule]})
    assert any(one.value.startswith("Fail") for one in page.error)
    file = next(tomllib.loads(one.value) for one in page.code if "[[gate.threshold]]" in one.value)
    assert file["gate"]["threshold"] == [rule]
    page.number_input(key="gate limit 0 at least").set_value(0.0)
    page = press(healthy(page.run()), "Try the gate on this comparison")
    assert any(one.value.startswith("Pass") for one in page.success)


def test_a_baseline_that_is_not_there_is_told(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("reports", client, comparison=FINISHED)
    field = next(one for one in page.text_input if one.label.startswith("Name of a baseline"))
    page = press(healthy(field.set_value("nope").run()), "Try the gate on this comparison")
    assert page.error or page.warning
    assert "nope" in said(page)


def test_a_deployment_that_fails_is_told(open_page: OpenPage, client: FakeClient) -> None:
    client.replies["deploy"] = ServiceError("Not servable: the adapter is gone", status=409)
    page = press(open_page("reports", client, comparison=FINISHED), "Deploy")
    assert any("Not servable" in one.value for one in page.error)
    recommended = json.loads(client.real.get_report(FINISHED))["recommendation"]["arm"]
    assert client.asked("deploy")[0].args == ("production", FINISHED, recommended)


def test_what_is_deployed_is_told_with_its_time(open_page: OpenPage, client: FakeClient) -> None:
    one = {"alias": "production", "revision": 2, "comparison_id": "c", "kind": "rag", "created_at": 1_800_000_000.0}
    client.replies["list_deployments"] = lambda: [one]
    page = open_page("reports", client, comparison=FINISHED)
    table = next(one.value for one in page.dataframe if "alias" in one.value)
    assert list(table.iloc[0]) == ["production", "rag", "c", 2, "2027-01-15 08:00"]
    next(one for one in page.text_input if one.label == "Alias").set_value("it's")
    call = next(one.value for one in healthy(page.run()).code if one.value.startswith("curl"))
    assert json.loads(shlex.split(call)[-1])["model"] == "it's"


def test_keys_are_made_once_and_hidden_from_who_may_not(open_page: OpenPage, client: FakeClient) -> None:
    created = {"id": "k", "name": "ci", "scopes": ["read"], "workspace": "default", "created_at": 0.0, "spent_usd": 0.0}
    created |= {"requests_per_minute": None, "max_spend_usd": None}
    client.replies["list_keys"] = lambda: KeyList(items=[])
    client.replies["create_key"] = lambda *_, **__: KeyCreated(**created, revoked_at=None, secret="tf_secret")
    page = open_page("reports", client, comparison=FINISHED)
    next(one for one in page.text_input if one.label == "Name of a new key").set_value("ci")
    page = press(page, "Make the key")
    assert "tf_secret" in {one.value for one in page.code}
    assert "tf_secret" not in said(healthy(page.run()))
    client.replies["list_keys"] = NO_KEY
    page = open_page("reports", client, comparison=FINISHED)
    assert "whose own key has the scope admin" in said(page)
    assert not page.error


def test_runs_are_set_side_by_side(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("compare_runs", client)
    settings = next(one.value for one in page.dataframe if "setting" in one.value)
    assert list(settings["setting"]) == ["seed"]
    assert sorted(settings.iloc[0, 1:]) == ["0", "7"]
    page = healthy(page.multiselect[0].set_value([EARLIER]).run())
    assert "Choose at least two." in said(page)
    page = healthy(page.multiselect[0].set_value([EARLIER, FINISHED]).run())
    assert page.query_params["run"] == [EARLIER, FINISHED]
    assert not page.error


def with_settings(client: FakeClient, changes: Mapping[str, Mapping[str, object]]) -> None:
    """Let the reports of comparisons say other settings."""

    def report(comparison: str, _: str) -> bytes:
        found = json.loads(client.real.get_report(comparison))
        found["settings"] |= changes[comparison]
        return json.dumps(found).encode()

    client.replies["get_report"] = report


def test_long_settings_that_begin_alike_are_told_apart(open_page: OpenPage, client: FakeClient) -> None:
    five = ["base", "few-shot", "rag", "fine-tuned", "hybrid"]
    with_settings(client, {FINISHED: {"pipelines": five}, EARLIER: {"pipelines": [*five[:-1], "raft"]}})
    page = open_page("compare_runs", client)
    settings = next(one.value for one in page.dataframe if "setting" in one.value).set_index("setting")
    assert list(settings.index) == ["pipelines", "seed"]
    assert {text.split(", ")[-1] for text in settings.loc["pipelines"]} == {"hybrid", "raft"}


def better_later(client: FakeClient) -> None:
    """Let the arm base be 12 points better in the later comparison."""

    def report(comparison: str, _: str) -> bytes:
        found = json.loads(client.real.get_report(comparison))
        if comparison == FINISHED:
            deciding = next(arm for arm in found["arms"] if arm["kind"] == "base")["metrics"]
            for summary in (one for one in deciding if one["interval"]):
                summary["interval"]["estimate"] += 0.12
        return json.dumps(found).encode()

    client.replies["get_report"] = report


def test_scores_of_runs_bear_interval_number_and_change(open_page: OpenPage, client: FakeClient) -> None:
    better_later(client)
    page = open_page("compare_runs", client, run=EARLIER)
    page = healthy(page.multiselect[0].set_value([EARLIER, FINISHED]).run())
    scores = next(one.value for one in page.dataframe if f"{FINISHED}, change" in one.value).set_index("arm")
    assert list(scores[f"{FINISHED}, change"][["base", "few-shot"]]) == ["▲ +12.0", "= 0.0"]
    pattern = r"\d+\.\d \[\d+\.\d, \d+\.\d\] \(n 99\)"
    assert all(re.fullmatch(pattern, text) for text in scores[[EARLIER, FINISHED]].to_numpy().ravel())
    assert "exact_match in points" in said(page)
    drawn = next(one.value for one in page.dataframe if "comparison" in one.value and "low" in one.value)
    assert set(drawn["comparison"]) == {EARLIER, FINISHED}


def test_scores_on_different_data_have_no_change(open_page: OpenPage, client: FakeClient) -> None:
    found = iter(range(100))
    report = client.real.get_report
    client.replies["get_report"] = lambda one, _: json.dumps(
        json.loads(report(one)) | {"dataset_hash": str(next(found))}
    ).encode()
    page = open_page("compare_runs", client)
    assert not any("change" in column for one in page.dataframe for column in one.value)
    assert "They are of different data" in said(page)


def test_lists_of_comparisons_tell_date_data_winner_and_score(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("compare_runs", client)
    told = next(one for one in page.multiselect[0].options if one.startswith(FINISHED))
    assert re.fullmatch(rf"{FINISHED} · \d{{4}}-\d\d-\d\d \d\d:\d\d · appliance-support · .+ \d+\.\d", told)


def test_runs_of_an_address_that_are_not_there_are_told(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("compare_runs", client, run="<img src=x>")
    assert any("is left out" in one.value and "<img" not in one.value for one in page.warning)
    listed = client.real.list_comparisons
    client.replies["list_comparisons"] = lambda **options: listed(**options | {"limit": 1})
    page = open_page("compare_runs", client, run=EARLIER)
    assert page.multiselect[0].value == [EARLIER]
    assert len(page.multiselect[0].options) == 2


def test_models_are_filtered_by_family(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("models", client)
    listed = client.real.get_catalogue().models
    family = listed[0].family
    page = healthy(page.button_group(key="families").set_value([family]).run())
    table = next(one.value for one in page.dataframe if "licence" in one.value)
    assert set(table["family"]) == {family}
    assert len(table) == sum(one.family == family for one in listed)


def measured(arm: str, score: float, **others: Any) -> PricedQualityView:
    fields = {"comparison_id": "c", "dataset": "d", "metric": "exact_match", "model": "smollm2", "catalogue_name": ""}
    scores = {"score": score, "score_low": score - 0.125, "score_high": score + 0.125, "is_share": score <= 1}
    price = {"usd_per_1000_queries": 2.0, "usd_per_1000_queries_low": 1.5, "usd_per_1000_queries_high": 2.5}
    rest = {"n": 40, "n_unscored": 0, "is_recommended": False}
    return PricedQualityView(arm=arm, **{**fields, **scores, **price, **rest, **others})


def show_measured(open_page: OpenPage, client: FakeClient, *points: PricedQualityView) -> AppTest:
    catalogue = client.real.get_catalogue().model_copy(update={"measured": list(points)})
    client.replies["get_catalogue"] = lambda: catalogue
    return open_page("models", client)


def test_measured_arms_bear_interval_number_and_spread_of_the_price(open_page: OpenPage, client: FakeClient) -> None:
    page = show_measured(open_page, client, measured("rag", 0.5, n_unscored=3))
    table = next(one.value for one in page.dataframe if "comparison" in one.value)
    assert table["score, 95 % interval"][0] == "50.0 [37.5, 62.5] points"
    assert table["questions"][0] == "40, unscored 3"
    assert table["price of 1,000 questions, 95 % interval"][0] == "$2.00 [$1.50, $2.50]"
    behind = next(one.value for one in page.dataframe if "price, low" in one.value)
    assert list(behind.loc[0, ["price, low", "price, high", "quality, low", "questions"]]) == [1.5, 2.5, 37.5, 40]


def test_a_metric_beyond_1_is_not_told_in_points(open_page: OpenPage, client: FakeClient) -> None:
    points = [measured("rag", 12.5, metric="perplexity"), measured("base", 0.5, metric="perplexity")]
    page = show_measured(open_page, client, *points)
    table = next(one.value for one in page.dataframe if "comparison" in one.value)
    assert table["score, 95 % interval"][0] == "12.5 [12.4, 12.6] units of the metric"
    behind = next(one.value for one in page.dataframe if "price, low" in one.value)
    assert list(behind["perplexity (units of the metric)"]) == [12.5, 0.5]


def test_other_metrics_and_arms_without_a_price_are_told(open_page: OpenPage, client: FakeClient) -> None:
    without = {"usd_per_1000_queries": None, "usd_per_1000_queries_low": None, "usd_per_1000_queries_high": None}
    points = [measured("rag", 0.5), measured("base", 0.5, **without), measured("raft", 0.5, metric="token_f1")]
    page = show_measured(open_page, client, *points)
    assert "decided by several metrics" in said(page)
    assert "no price is known: 1 arm" in said(page)
    page = healthy(next(one for one in page.selectbox if "Metric" in one.label).set_value("token_f1").run())
    assert any("token_f1 (points)" in one.value for one in page.dataframe)
