import json
from typing import Any

from tests.ui.conftest import EARLIER, FINISHED, OpenPage, healthy, press, said
from tests.ui.fake_client import FakeClient


def matrix(page: Any) -> Any:
    """What the table of answers is drawn from."""
    return json.loads(page.get("bidi_component")[0].proto.json)


def test_filters_are_asked_of_the_service(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("evidence", client, comparison=FINISHED)
    whole = client.real.list_questions(FINISHED)
    assert f"{whole.total:,} questions" in said(page)
    failure = next(iter(whole.failures))
    page.selectbox(key="arm").set_value("base")
    page.selectbox(key="failure").set_value(failure)
    page.text_input(key="search").set_value("number 7")
    page = healthy(page.run())
    asked = client.asked("list_questions")[-1].options
    assert (asked["arm"], asked["failure"], asked["contains"]) == ("base", failure, "number 7")
    assert all("number 7" in row["question"] for row in matrix(page)["rows"])
    assert "What usually helps" in said(page)


def test_only_where_arms_disagree_can_be_shown(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("evidence", client, comparison=FINISHED)
    page = healthy(page.selectbox(key="show").set_value("arms disagree").run())
    rows = matrix(page)["rows"]
    assert 0 < len(rows) <= client.real.list_questions(FINISHED, differing=True).total
    assert all(len({cell["sign"] for cell in row["cells"]}) > 1 for row in rows)


def test_only_what_changed_since_a_baseline_can_be_shown(open_page: OpenPage, client: FakeClient) -> None:
    held = [{"name": "main", "comparison_id": EARLIER}, {"name": "itself", "comparison_id": FINISHED}]
    client.replies["list_baselines"] = lambda: held
    page = open_page("evidence", client, comparison=FINISHED)
    field = page.selectbox(key="show")
    assert field.options == ["arms disagree", "changed since main"]
    client.replies["list_questions"] = lambda *_, since, **options: client.real.list_questions(FINISHED, limit=1)
    healthy(field.set_value("changed since main").run())
    assert client.asked("list_questions")[-1].options["since"] == "main"


def test_next_and_page_lead_through_the_questions(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("evidence", client, comparison=FINISHED)
    questions = client.real.list_questions(FINISHED, limit=1000).items
    assert len(questions) > 50
    page = press(page, "Next question")
    assert matrix(page)["open"] == questions[1].example_id
    assert f"Question: {questions[1].question}" in said(page)
    page = healthy(page.number_input[0].set_value(2).run())
    assert matrix(page)["open"] == matrix(page)["rows"][0]["id"] == questions[50].example_id
    page = press(page, "Previous question")
    assert matrix(page)["open"] == matrix(page)["rows"][-1]["id"] == questions[49].example_id


def test_a_filter_without_a_match_says_so(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("evidence", client, comparison=FINISHED)
    page = healthy(page.text_input(key="search").set_value("no such words").run())
    assert "Remove a filter." in said(page)


def test_one_question_is_shown_with_every_answer(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("evidence", client, comparison=FINISHED)
    first = client.real.list_questions(FINISHED).items[0]
    answers = client.real.list_results(FINISHED, example_id=first.example_id).items
    assert f"Question: {first.question}" in said(page)
    assert {f"**{one.arm}**" for one in answers} <= {one.value for one in page.markdown}
    assert {one.answer.text for one in answers} <= {one.value for one in page.text}


def test_filters_are_those_of_the_address(open_page: OpenPage, client: FakeClient) -> None:
    open_page(
        "evidence", client, comparison=FINISHED, arm="base", failure="any failure", search="7", show="arms disagree"
    )
    asked = client.asked("list_questions")[-1].options
    assert (asked["arm"], asked["failure"], asked["contains"], asked["differing"]) == ("base", "any", "7", True)
    page = open_page("evidence", client, comparison=FINISHED, arm="nobody", failure="<b>", slice="x", show="?")
    asked = client.asked("list_questions")[-1].options
    assert (asked["arm"], asked["failure"], asked["part"], asked["differing"]) == (None, None, None, False)
    assert not page.error


def test_votes_are_among_the_evidence(open_page: OpenPage, client: FakeClient) -> None:
    tally = {"first": "base", "second": "few-shot", "n_first": 1, "n_second": 3, "n_ties": 2, "n_voters": 5}
    share = {"first_share": 0.25, "first_share_low": 0.046, "first_share_high": 0.699}
    client.replies["list_votes"] = lambda _: [tally | share]
    page = open_page("evidence", client, comparison=FINISHED)
    votes = next(one.value for one in page.dataframe if "voters" in one.value)
    assert list(votes.iloc[0]) == ["base against few-shot", "25% [5%, 70%]", 1, 3, 2, 5]


def test_scores_beyond_1_are_no_points(open_page: OpenPage, client: FakeClient) -> None:
    report = json.loads(client.real.get_report(FINISHED))
    for summary in (one for arm in report["arms"] for one in arm["metrics"] if one["interval"]):
        summary["interval"]["estimate"] = 3.25
    client.replies["get_report"] = lambda *_: json.dumps(report).encode()
    page = open_page("evidence", client, comparison=FINISHED)
    assert "3.25" in next(one.value for one in page.dataframe if "Arm" in one.value).to_string()
    assert "points" not in said(page)


def test_what_the_form_alone_brings_is_shown_where_it_was_measured(open_page: OpenPage, client: FakeClient) -> None:
    report = json.loads(client.real.get_report(FINISHED))
    interval = {"estimate": 0.12, "low": 0.05, "high": 0.19}
    gain = {"held": 0.32, "free": 0.2, "gain": interval, "n_outside_held": 0, "n_outside_free": 21}
    gains = [gain | {"arm": arm} for arm in ("base", "few-shot")]
    report["form_gains"] = {"metric": "accuracy", "n_questions": 53, "n_clusters": 50, "gains": gains}
    client.replies["get_report"] = lambda *_: json.dumps(report).encode()
    page = open_page("evidence", client, comparison=FINISHED)
    assert "Holding answers to the schema brings" in said(page)
    table = next(one.value for one in page.dataframe if "Gain" in one.value)
    assert set(table["Gain"]) == {"+12.0 [+5.0, +19.0]"}
