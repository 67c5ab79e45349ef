import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from advisor.decision.constraints import Constraints
from advisor.decision.freshness import Freshness, Refresh, summarise_state
from advisor.decision.record import Recheck, RecheckOutcome
from advisor.report.facts import facts_table
from advisor.results.answer_values import AnswerValues
from advisor.results.comparison import Verdict
from advisor.results.json_report import read_comparison
from service.contract.comparison_state import ComparisonState
from service.contract.schemas import FreshnessRunView, LastRecheck, StageProgress, WhatIfReply
from tests.service.conftest import Workplace
from tests.ui.conftest import EARLIER, FINISHED, OpenPage, healthy, press, said, service_of
from tests.ui.fake_client import AWAY, FakeClient
from ui.untrusted import shown


def last_request(client: FakeClient) -> dict[str, Any]:
    """What was declared in the last request, apart from which parts were asked for."""
    request = client.asked("decide_again")[-1].args[1]
    return dict(request.model_dump(exclude_none=True, exclude={"parts"}))


def reply(client: FakeClient) -> WhatIfReply:
    return client.real.decide_again(*client.asked("decide_again")[-1].args)


def control(page: Any, kind: str, name: str) -> Any:
    return next(one for one in getattr(page, kind) if one.key and one.key.startswith(name))


def test_the_recorded_decision_is_shown_as_it_stands(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    assert last_request(client) == {}
    assert shown(reply(client).recommendation.headline) in said(page)
    assert all(shown(reason) in said(page) for reason in reply(client).recommendation.reasons)
    assert {"What if …", "Audit", "What would change it", "What is not known"} <= {one.value for one in page.header}


def test_the_first_table_has_the_rows_of_the_report(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    (drawn,) = [one.proto.body for one in page.get("html") if "facts" in one.proto.body and "<table" in one.proto.body]
    comparison = read_comparison(client.real.get_report(FINISHED).decode())
    table = facts_table(comparison, client.real.first_look(FINISHED).tally)
    assert drawn.count("<tr class=") == len(table.rows)
    for row in table.rows:
        assert all(escape(cell.text) in drawn for cell in row.cells)
    assert drawn.count("class='recommended'") == 1


def test_next_steps_lead_to_where_they_are_taken(open_page: OpenPage, client: FakeClient) -> None:
    decided = client.real.decide_again(FINISHED, {})
    undecided = replace(decided.recommendation, verdict=Verdict.NO_CLEAR_WINNER, questions_needed=1000)
    poor = replace(decided.recommendation, verdict=Verdict.NOT_READY)
    asked = client.real.get_comparison(FINISHED)
    links = {}
    for recommendation in (undecided, poor):
        reply = decided.model_copy(update={"recommendation": recommendation})
        client.replies["decide_again"] = lambda *_, reply=reply: reply
        page = open_page("decision", client, comparison=FINISHED)
        links |= {one.proto.label: one.proto for one in page.get("page_link")}
    more = next(link for label, link in links.items() if re.fullmatch("Add [0-9]+ questions", label))
    assert more.page.endswith("data")
    assert parse_qs(more.query_string)["dataset"] == [asked.dataset]
    stronger = links["Try a stronger model"]
    assert stronger.page.endswith("new_comparison")
    assert parse_qs(stronger.query_string)["arms"] == asked.arms


def test_the_recommended_arm_is_deployed_after_one_question(open_page: OpenPage, client: FakeClient) -> None:
    client.replies["deploy"] = lambda *_: {}
    page = open_page("decision", client, comparison=FINISHED)
    assert not client.asked("deploy")
    press(page, "Deploy it now")
    recommended = json.loads(client.real.get_report(FINISHED))["recommendation"]["arm"]
    assert [call.args for call in client.asked("deploy")] == [("production", FINISHED, recommended)]


def test_a_verdict_is_shared_by_a_link_that_can_be_ended(open_page: OpenPage, client: FakeClient) -> None:
    page = press(open_page("decision", client, comparison=FINISHED), "Make a link")
    (link,) = [one.value for one in page.code if "/v1/shared/" in one.value]
    assert client.asked("share_comparison")[0].args == (FINISHED,)
    assert link.startswith(client.url)
    press(page, "End the link")
    assert client.asked("unshare_comparison")[0].args == (FINISHED,)


def test_an_arm_is_handed_over_as_a_zip(open_page: OpenPage, client: FakeClient) -> None:
    client.replies["hand_over"] = lambda *_, **__: b"zip"
    page = open_page("decision", client, comparison=FINISHED)
    page = healthy(page.selectbox(key="handover target").set_value("ollama").run())
    assert not client.asked("hand_over")
    page = press(page, "Write the files")
    recommended = json.loads(client.real.get_report(FINISHED))["recommendation"]["arm"]
    assert [call.args for call in client.asked("hand_over")] == [(FINISHED, recommended, "ollama")]
    assert "Download the zip" in [one.label for one in page.get("download_button")]
    page = healthy(page.selectbox(key="handover target").set_value("peft").run())
    assert "Download the zip" not in [one.label for one in page.get("download_button")]


def test_whether_it_still_holds_is_told_in_words(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    assert not client.asked("recheck")
    assert "Last checked by the service itself" not in said(page)
    holds = Recheck(
        outcome=RecheckOutcome.CHANGED, explanation="base is the choice now.", decided="rag", recommended="base",
        changes=("a price rose",), reruns=("fine-tuned",), monthly=(), expires_on="2027-01-01", expired=True,
    )  # fmt: skip
    client.replies["recheck"] = lambda *_: holds
    page = press(page, "Does the decision still hold?")
    assert client.asked("recheck")[0].args == (FINISHED, {})
    told = said(page)
    assert "base is the choice now." in told
    assert "Changed: a price rose" in told
    assert "To be run again: fine-tuned" in told
    assert "expired on 2027-01-01" in told
    client.replies["last_recheck"] = lambda *_: LastRecheck(checked_at=0.0, found=holds)
    told = said(healthy(page.run()))
    assert "Last checked by the service itself on 1970-01-01: no longer holds." in told


def test_arms_are_asked_again_with_changed_documents(open_page: OpenPage, client: FakeClient) -> None:
    state = summarise_state("rag", Refresh.NOTHING, [], margin=0.05)
    found = Freshness(
        FINISHED, "2026-11-30", "tiny", "smollm2", "exact_match", 0.05, "0" * 64, 2, 3, "2026", "a list", 1.0, (state,)
    )
    told = {"state": ComparisonState.RUNNING, "progress": [StageProgress(stage="tune", arm="raft", done=3, total=9)]}
    runs = [told, {"state": ComparisonState.FAILED, "error": "no room"}, {"state": "succeeded", "result": found}]

    def run(**fields: Any) -> FreshnessRunView:
        common = {"id": "a" * 16, "name": "tiny", "dataset": "x", "settings": {}, "comparison_id": FINISHED}
        return FreshnessRunView(**common, cancel_requested=False, created_at=0.0, **fields)

    client.replies |= {
        "measure_freshness": lambda _: run(state="queued"),
        "get_run": lambda *_: run(**runs[0]),
        "resume_run": lambda *_: runs.pop(0),
    }
    page = open_page("decision", client, comparison=FINISHED)
    page = press(page, "Ask again")
    assert client.asked("measure_freshness")[0].args == ({"comparison_id": FINISHED, "files": None},)
    assert "Tune the model · raft (3 of 9)" in said(page)
    runs.pop(0)
    page = healthy(page.run())
    assert "no room" in said(page)
    page = press(page, "Try again")
    assert "rag was asked no changed question." in said(page)
    assert "Facts changed: 3, in 2 documents" in said(page)
    assert "Close" not in said(open_page("decision", client, comparison=EARLIER, freshness="a" * 16))


def test_the_verdict_can_be_copied(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    given = json.loads(page.get("bidi_component")[0].proto.json)
    headline = json.loads(client.real.get_report(FINISHED))["recommendation"]["headline"]
    assert given["summary"].startswith(f"{FINISHED}: {headline}")


def test_a_moved_slider_decides_anew_without_a_run(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    before = said(page)
    slider = control(page, "select_slider", "queries_per_month")
    assert slider.value == 10_000
    highest = next(one.high for one in reply(client).axes if one.axis == "queries_per_month")
    page = healthy(slider.set_value(float(f"{highest:.2g}")).run())
    assert last_request(client) == {"queries_per_month": highest}
    assert shown(reply(client).recommendation.headline) in said(page)
    costs = re.compile(r"It costs \S+ .*a month\.")
    assert costs.findall(said(page)) != costs.findall(before) != []
    assert "What if: as decided" in said(page)
    assert not client.asked("create_comparison")


def test_the_way_back(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    page = healthy(control(page, "slider", "margin").set_value(30.0).run())
    assert last_request(client) == {"margin": 0.3}
    page = press(page, "Back to what was decided")
    assert last_request(client) == {}
    assert control(page, "slider", "margin").value == 2.0
    assert "What if:" not in said(page)


def test_a_constraint_that_no_arm_meets_flips_the_verdict(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    recorded = reply(client).recommendation
    assert recorded.arm is not None
    page = healthy(control(page, "toggle", "cite ").set_value(True).run())
    assert last_request(client)["constraints"]["must_cite_sources"] is True
    changed = reply(client).recommendation
    assert changed.arm != recorded.arm
    assert shown(changed.headline) in said(page)
    assert f"flipped from {recorded.arm}" in said(page)


def test_a_budget_is_a_limit_that_is_switched_on(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    page = healthy(control(page, "toggle", "on Most it may cost").set_value(True).run())
    assert last_request(client)["constraints"]["monthly_budget_usd"] == 100.0
    healthy(control(page, "number_input", "Most it may cost").set_value(5.0).run())
    assert last_request(client)["constraints"]["monthly_budget_usd"] == 5.0


def test_answers_can_be_given_a_worth(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    healthy(control(page, "toggle", "worth").set_value(True).run())
    assert last_request(client)["values"] == {"right_usd": 0.01, "wrong_usd": 0.0, "abstention_usd": 0.0}


def test_a_service_that_goes_away_leaves_the_controls(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    client.replies["decide_again"] = AWAY
    page = healthy(control(page, "slider", "margin").set_value(5.0).run())
    assert any("It could not be decided" in one.value for one in page.error)
    del client.replies["decide_again"]
    assert not press(page, "Try again").error


def address(page: Any) -> dict[str, str]:
    return {name: value[0] if isinstance(value, list) else value for name, value in page.query_params.items()}


def test_what_is_tried_stands_in_the_address(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    control(page, "slider", "margin").set_value(4.5)
    control(page, "toggle", "worth").set_value(True)
    page = healthy(control(page, "toggle", "cite ").set_value(True).run())
    tried = last_request(client)
    link = address(page)
    assert json.loads(link["what_if"]) == tried
    page = open_page("decision", client, **link)
    assert last_request(client) == tried
    assert address(page) == link
    page = press(page, "Back to what was decided")
    assert last_request(client) == {}
    assert address(page) == {"comparison": FINISHED}


@pytest.mark.parametrize("told", ["", "{", "[]", '{"margin": 7}', '{"parts": ["x"]}', '{"unknown": 1}'])
def test_an_address_that_asks_the_impossible_is_passed_over(open_page: OpenPage, client: FakeClient, told: str) -> None:
    page = open_page("decision", client, comparison=FINISHED, what_if=told)
    assert last_request(client) == {}
    assert not page.error


def test_values_that_no_control_stands_at_become_the_nearest(open_page: OpenPage, client: FakeClient) -> None:
    told = {"queries_per_month": 1.02e6, "margin": 0.9, "refreshes_per_month": 1e12}
    open_page("decision", client, comparison=FINISHED, what_if=json.dumps(told))
    assert last_request(client) == {"queries_per_month": 1e6, "margin": 0.3, "refreshes_per_month": 1e4}


def test_what_is_tried_is_not_carried_to_another_comparison(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    page = healthy(control(page, "slider", "margin").set_value(4.5).run())
    page = healthy(next(one for one in page.selectbox if one.label == "Comparison").set_value(EARLIER).run())
    assert last_request(client) == {}
    assert address(page) == {"comparison": EARLIER}


@pytest.fixture
def declared(tmp_path: Path) -> Callable[..., Any]:
    """The client of a service with one comparison that was declared in a way of its own."""

    @contextmanager
    def call(**settings: Any) -> Iterator[FakeClient]:
        workplace = Workplace(tmp_path / "work")
        folder = workplace.directory.comparison(workplace.run(replace(workplace.settings, **settings)).id)
        for api in service_of(tmp_path):
            api.finish(api.add_comparison(FINISHED), {path.name: path.read_bytes() for path in folder.iterdir()})
            yield FakeClient(api.app)

    return call


def test_a_declared_worth_is_that_of_the_decision(open_page: OpenPage, declared: Callable[..., Any]) -> None:
    with declared(values=AnswerValues(0.05, wrong_usd=0.5, abstention_usd=0.01)) as client:
        page = open_page("decision", client)
        assert last_request(client) == {}
        assert "What if:" not in said(page)
        assert control(page, "number_input", "wrong ").value == 0.5
        healthy(control(page, "number_input", "right ").set_value(0.1).run())
        assert last_request(client)["values"] == {"right_usd": 0.1, "wrong_usd": 0.5, "abstention_usd": 0.01}


def test_limits_may_be_as_small_as_may_be_declared(open_page: OpenPage, declared: Callable[..., Any]) -> None:
    limits = Constraints(max_p95_latency_s=0.0005, monthly_budget_usd=0.0, min_abstention_recall=0.0)
    with declared(constraints=limits) as client:
        page = open_page("decision", client)
        assert last_request(client) == {}
        assert control(page, "number_input", "p95 latency").value == 0.0005


def test_after_a_race_only_what_it_was_run_for_can_be_asked(open_page: OpenPage, declared: Callable[..., Any]) -> None:
    with declared(race=True) as client:
        page = open_page("decision", client, what_if='{"margin": 0.1, "values": {"right_usd": 1}}')
        assert last_request(client) == {}
        assert control(page, "slider", "margin").disabled
        assert control(page, "slider", "coverage").disabled
        assert not page.error


def test_another_verdict_for_the_same_arm_is_told(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    other = reply(client)
    changed = replace(other.recommendation, verdict="no clear winner")
    client.replies["decide_again"] = lambda *_: other.model_copy(update={"recommendation": changed})
    page = healthy(control(page, "slider", "margin").set_value(5.0).run())
    assert "What if: as decided, but now no clear winner" in said(page)


def test_the_map_is_made_when_it_is_looked_at(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    assert not any(one.args[1].parts for one in client.asked("decide_again"))
    page.session_state["decision pictures"] = "Map of decisions"
    page = healthy(page.run())
    flip_map = reply(client).flip_map
    assert flip_map is not None
    assert not any("you are here" in one.value for one in page.dataframe)
    assert any("everywhere on the map" in one.value for one in page.info)
    arms = (("base", *flip_map.arms[0][1:]), *flip_map.arms[1:])
    mixed = reply(client).model_copy(update={"flip_map": replace(flip_map, arms=arms)})
    client.replies["decide_again"] = lambda *_: mixed
    page = healthy(control(page, "toggle", "cite ").set_value(True).run())
    drawn = next(one.value for one in page.dataframe if "you are here" in one.value)
    assert drawn["you are here"].sum() == 1


def test_the_margin_can_be_moved_past_its_flip(open_page: OpenPage, client: FakeClient) -> None:
    report = json.loads(client.real.get_report(FINISHED))
    margin = next(flip for flip in report["flips"] if flip["axis"] == "margin")
    margin["above"] = {"value": 0.475, "arm": "base"}
    client.replies["get_report"] = lambda *_: json.dumps(report).encode()
    page = open_page("decision", client, comparison=FINISHED)
    assert control(page, "slider", "margin").max == 49.0


def test_no_questions_at_all_are_a_volume(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    page = healthy(control(page, "select_slider", "queries_per_month").set_value(0.0).run())
    curve = next(one.value for one in page.dataframe if "questions a month" in one.value)
    assert curve["questions a month"].min() > 0
