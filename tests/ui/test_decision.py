from typing import Any

from service.api.schemas import WhatIfReply
from tests.ui.conftest import FINISHED, OpenPage, healthy, press, said
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


def test_a_moved_slider_decides_anew_without_a_run(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("decision", client, comparison=FINISHED)
    before = {one.label: one.value for one in page.metric}
    slider = control(page, "select_slider", "queries_per_month")
    assert slider.value == 10_000
    highest = next(one.high for one in reply(client).axes if one.axis == "queries_per_month")
    page = healthy(slider.set_value(float(f"{highest:.2g}")).run())
    assert last_request(client) == {"queries_per_month": highest}
    assert shown(reply(client).recommendation.headline) in said(page)
    after = {one.label: one.value for one in page.metric}
    assert after["Cost a month"] != before["Cost a month"]
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
