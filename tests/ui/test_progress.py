from collections.abc import Iterator
from typing import Any

import pytest

from advisor.report.quantities import seconds
from service.api.schemas import ComparisonDetail, ComparisonList, RunningScore, StageProgress
from service.client import StreamedEvent
from service.comparison_state import ComparisonState
from tests.ui.conftest import OpenPage, press, said
from tests.ui.fake_client import AWAY, FakeClient


def detail(state: ComparisonState, **others: Any) -> ComparisonDetail:
    fields = {"id": "c", "name": "n", "dataset": "tiny", "model": "pocket", "pipelines": ["base", "rag"]}
    rest = {"cancel_requested": False, "created_at": 0.0, "settings": {}}
    return ComparisonDetail(**{**fields, **rest, "state": state, **others})


@pytest.fixture
def show(client: FakeClient, open_page: OpenPage) -> Any:
    def call(shown: ComparisonDetail) -> Any:
        client.replies["list_comparisons"] = lambda **_: ComparisonList(items=[shown], total=1)
        client.replies["get_comparison"] = lambda _: shown
        return open_page("progress", client, comparison="c")

    return call


@pytest.mark.parametrize(("ahead", "told"), [(0, "It is next."), (2, "2 before it")])
def test_a_queued_one_says_when_its_turn_comes(show: Any, ahead: int, told: str) -> None:
    page = show(detail(ComparisonState.QUEUED, queue_position=ahead))
    assert told in said(page)
    assert "No stage has begun yet." in said(page)


def test_a_running_one_shows_stages_scores_losses_and_time_left(show: Any, client: FakeClient) -> None:
    def events(_: str, *, after: int) -> Iterator[StreamedEvent]:
        assert after == 0
        for step in (1, 2):
            losses = {"train_loss": 2.0 / step, "validation_loss": 3.0 / step}
            yield StreamedEvent(step, "training", {"done": step, "total": 9, "arm": "rag", **losses})
        raise AssertionError("what is known already is not waited for")

    client.replies["stream_events"] = events
    page = show(
        detail(
            ComparisonState.RUNNING,
            eta_s=90.0,
            last_event=2,
            progress=[StageProgress(stage="answer", arm="rag", done=3, total=12, detail="<b>x</b>")],
            running_scores=[RunningScore(arm="rag", metric="exact_match", mean=0.25, n=3, n_questions=12)],
        )
    )
    assert f"It runs: about {seconds(90.0)} left" in said(page)
    scores = next(one.value for one in page.dataframe if "questions scored" in one.value)
    assert list(scores.iloc[0]) == ["rag", "25.0", "3 of 12"]
    losses = next(one.value for one in page.dataframe if "training step" in one.value)
    assert sorted(losses["training step"]) == [1, 1, 2, 2]
    assert not any("<b>" in one.value for one in (*page.markdown, *page.caption))


def test_a_running_one_can_be_cancelled(show: Any, client: FakeClient) -> None:
    client.replies["cancel_comparison"] = lambda _: detail(ComparisonState.RUNNING, cancel_requested=True)
    press(show(detail(ComparisonState.RUNNING)), "Cancel")
    assert client.asked("cancel_comparison")[0].args == ("c",)
    page = show(detail(ComparisonState.RUNNING, cancel_requested=True))
    assert "It stops at the end of the block it is at." in said(page)
    assert next(one for one in page.button if one.label == "Cancel").disabled


@pytest.mark.parametrize(
    ("state", "told"),
    [(ComparisonState.FAILED, "It failed: out of memory"), (ComparisonState.CANCELLED, "What was measured is kept")],
)
def test_one_that_stopped_can_go_on(show: Any, client: FakeClient, state: ComparisonState, told: str) -> None:
    client.replies["resume_comparison"] = lambda _: detail(ComparisonState.QUEUED)
    page = show(detail(state, error="out of memory"))
    assert told in said(page)
    press(page, "Resume")
    assert client.asked("resume_comparison")[0].args == ("c",)


def test_one_that_is_done_leads_to_its_decision(show: Any) -> None:
    page = show(detail(ComparisonState.SUCCEEDED, headline="Ship rag."))
    assert "It is done. Ship rag." in said(page)
    assert any(one.label == "Read the decision" for one in page.page_link)


def test_a_service_that_restarts_meanwhile_is_waited_for(show: Any, client: FakeClient) -> None:
    page = show(detail(ComparisonState.RUNNING))
    client.replies["get_comparison"] = AWAY
    page = page.run()
    assert any("it is tried again by itself" in one.value for one in page.error)
    client.replies["get_comparison"] = lambda _: detail(ComparisonState.RUNNING)
    assert not page.run().error
