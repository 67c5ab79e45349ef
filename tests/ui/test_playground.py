from collections.abc import Iterator
from typing import Any

from advisor.report.facts import facts_table
from advisor.results.json_report import read_comparison
from service.contract.client import ServiceError, StreamedEvent
from tests.ui.conftest import FINISHED, OpenPage, healthy, press, said
from tests.ui.fake_client import FakeClient

HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1))"


def answer(text: str, sources: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    tokens = {"input_tokens": 1200, "output_tokens": 3, "embedding_tokens": 0}
    return {
        "text": text,
        "sources": sources or [],
        "tokens": tokens,
        "model_s": 0.5,
        "latency_s": 2.5,
        "cost_usd": None,
    }


def streamed(_: str, kind: str, question: str) -> Iterator[StreamedEvent]:
    if kind == "few-shot":
        yield StreamedEvent(None, "problem", {"detail": f"no model {HOSTILE}"})
        return
    yield StreamedEvent(None, "piece", {"text": "two "})
    yield StreamedEvent(None, "piece", {"text": "years"})
    source = {"title": HOSTILE, "document_id": "d", "text": f"It lasts two years. {HOSTILE}"}
    yield StreamedEvent(None, "answer", answer(f"two years of {question}", [source]))


def ask(page: Any, question: str) -> Any:
    page.text_area(key="playground question").set_value(question)
    return press(page, "Ask")


def test_all_arms_answer_and_one_that_cannot_says_why(open_page: OpenPage, client: FakeClient) -> None:
    client.replies["stream_answer"] = streamed
    page = ask(open_page("playground", client, comparison=FINISHED), " အာမခံ 😀? ")
    assert [call.args for call in client.asked("stream_answer")] == [
        (FINISHED, "base", "အာမခံ 😀?"),
        (FINISHED, "few-shot", "အာမခံ 😀?"),
    ]
    assert "two years of အာမခံ 😀?" in {one.value for one in page.text}
    assert "you waited 2.50 s, 0.500 s of it in the model" in said(page)
    assert "1,200 tokens read, 3 written" in said(page)
    assert any("no model" in one.value for one in page.warning)
    for text in (*page.markdown, *page.caption, *page.warning):
        assert "<script" not in text.value
        assert "[x](" not in text.value.replace("\\[x](", "")


def test_what_is_lost_on_the_way_is_told_arm_by_arm(open_page: OpenPage, client: FakeClient) -> None:
    client.replies["stream_answer"] = ServiceError("Busy: ask again", status=503)
    page = ask(open_page("playground", client, comparison=FINISHED), "How long?")
    assert [one.value for one in page.warning] == ["Busy: ask again"] * 2


def test_an_empty_question_is_not_asked(open_page: OpenPage, client: FakeClient) -> None:
    page = ask(open_page("playground", client, comparison=FINISHED), "  ")
    assert "Write a question first." in said(page)
    assert not client.asked("stream_answer")


def test_an_empty_question_gets_no_vote(open_page: OpenPage, client: FakeClient) -> None:
    page = press(open_page("playground", client, comparison=FINISHED), "Show two answers")
    assert "Write a question for the vote first." in said(page)
    assert not client.asked("ask")


def test_what_an_arm_costs_is_what_the_decision_says(open_page: OpenPage, client: FakeClient) -> None:
    def answers(*_: str) -> Iterator[StreamedEvent]:
        yield StreamedEvent(None, "answer", answer("two years") | {"cost_usd": 0.0000037})

    client.replies["stream_answer"] = answers
    comparison = read_comparison(client.real.get_report(FINISHED).decode())
    table = facts_table(comparison)
    at = next(i for i, column in enumerate(table.columns) if column.startswith("$"))
    price = next(row.cells[at].text for row in table.rows if row.cells[0].text.split()[0] == "base")
    page = ask(open_page("playground", client, comparison=FINISHED), "How long?")
    assert f"{price} {table.columns[at].removeprefix('$ ')}" in said(page)


def test_a_vote_is_blind_and_counted(open_page: OpenPage, client: FakeClient) -> None:
    client.replies["ask"] = lambda _, arm, questions: [answer("same words")]
    page = open_page("playground", client, comparison=FINISHED)
    assert "No vote has been cast" in said(page)
    page.text_input(key="duel question").set_value("How long?")
    page = press(page, "Show two answers")
    blind = [one.value for one in page.text] + [one.value for one in page.markdown if "Answer" in one.value]
    assert blind == ["Question: How long?", "same words", "same words", "**Answer A**", "**Answer B**"]
    page = press(page, "A is better")
    vote = client.asked("cast_vote")[0].options
    assert vote["preferred"] == vote["arms"][0]
    assert f"A was {vote['arms'][0]}, B was {vote['arms'][1]}" in said(page)
    tally = next(one.value for one in page.dataframe if "voters" in one.value)
    assert (len(tally), tally["voters"].iloc[0]) == (1, 1)
    assert not any(one.label == "A is better" for one in healthy(page.run()).button)


def test_no_arm_to_ask_is_told(open_page: OpenPage, client: FakeClient) -> None:
    page = open_page("playground", client, comparison=FINISHED)
    next(one for one in page.button_group if one.proto.label == "Arms").set_value([])
    page = ask(page, "How long?")
    assert "Choose at least one arm to ask." in said(page)
    assert not client.asked("stream_answer")
