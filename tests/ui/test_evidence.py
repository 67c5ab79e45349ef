from typing import Any

from tests.ui.conftest import FINISHED, OpenPage, healthy, said
from tests.ui.fake_client import FakeClient


def grid(page: Any) -> Any:
    return next(one.value for one in page.dataframe if "right answer" in one.value)


def test_filters_are_asked_of_the_service(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("evidence", client, comparison=FINISHED)
    whole = client.real.list_questions(FINISHED)
    assert f"{whole.total:,} questions" in said(page)
    failure = next(iter(whole.failures))
    page.selectbox(key="evidence arm").set_value("base")
    page.selectbox(key="evidence failure").set_value(failure)
    page.text_input(key="evidence text").set_value("number 7")
    page = healthy(page.run())
    asked = client.asked("list_questions")[-1].options
    assert (asked["arm"], asked["failure"], asked["contains"]) == ("base", failure, "number 7")
    assert all("number 7" in question for question in grid(page)["question"])
    assert "What usually helps" in said(page)


def test_only_what_differs_can_be_shown(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("evidence", client, comparison=FINISHED)
    page = healthy(page.toggle(key="evidence differing").set_value(True).run())
    rows = grid(page)
    assert 0 < len(rows) == client.real.list_questions(FINISHED, differing=True).total
    arms = client.real.list_questions(FINISHED).arms
    assert (rows[arms].nunique(axis="columns") > 1).all()


def test_a_filter_without_a_match_says_so(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("evidence", client, comparison=FINISHED)
    page = healthy(page.text_input(key="evidence text").set_value("no such words").run())
    assert "Take a filter off." in said(page)


def test_one_question_is_shown_with_every_answer(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("evidence", client, comparison=FINISHED)
    first = client.real.list_questions(FINISHED).items[0]
    answers = client.real.list_results(FINISHED, example_id=first.example_id).items
    assert f"Question: {first.question}" in said(page)
    assert {f"**{one.arm}**" for one in answers} <= {one.value for one in page.markdown}
    assert {one.answer.text for one in answers} <= {one.value for one in page.text}
