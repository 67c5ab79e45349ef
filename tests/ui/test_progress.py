import json
from collections.abc import Iterator
from typing import Any

import pytest

from service.contract.client import StreamedEvent
from service.contract.comparison_state import ComparisonState
from service.contract.schemas import (
    ComparisonDetail,
    ComparisonList,
    Estimate,
    RunningScore,
    StageEstimate,
    StageProgress,
)
from tests.ui.conftest import OpenPage, healthy, press, said
from tests.ui.fake_client import AWAY, FakeClient
from ui.comparison.running import training_points
from ui.figures import live_losses, resource_curves


def detail(state: ComparisonState, **others: Any) -> ComparisonDetail:
    fields = {"id": "c", "name": "n", "dataset": "tiny", "model": "smollm2", "arms": ["base", "rag"]}
    rest = {"cancel_requested": False, "created_at": 0.0, "settings": {}}
    return ComparisonDetail(**{**fields, **rest, "state": state, **others})


def estimate(*stages: tuple[str, str]) -> Estimate:
    each = [StageEstimate(stage=stage, arm=arm, time_s=60.0, basis="") for stage, arm in stages]
    sums = {"time_s": 60.0 * len(each), "input_tokens": 0, "output_tokens": 0, "embedding_tokens": 0, "usd": None}
    return Estimate(**sums, n_questions=12, is_rough=False, basis=[], stages=each)


@pytest.mark.parametrize(
    ("eta_s", "told"),
    [(1.18, "less than a minute"), (90.4, "about 2 min"), (7_100, "about 118 min"), (9_000, "about 2 h")],
)
def test_time_left_is_told_no_finer_than_it_is_known(show: Any, eta_s: float, told: str) -> None:
    assert f"Running: {told} left." in said(show(detail(ComparisonState.RUNNING, eta_s=eta_s)))


@pytest.fixture
def show(client: FakeClient, open_page: OpenPage) -> Any:
    def call(shown: ComparisonDetail) -> Any:
        client.replies["list_comparisons"] = lambda **_: ComparisonList(items=[shown], total=1)
        client.replies["get_comparison"] = lambda _: shown
        return open_page("progress", client, comparison="c")

    return call


def test_time_left_rises_only_with_a_reason(show: Any, client: FakeClient) -> None:
    progress = [StageProgress(stage="answer", arm="rag", done=1, total=12)]

    def at(eta_s: float) -> ComparisonDetail:
        return detail(ComparisonState.RUNNING, eta_s=eta_s, progress=progress)

    page = show(at(600))
    told = []
    for eta_s in (660, 540, 1500, 1440):
        client.replies["get_comparison"] = lambda _, eta_s=eta_s: at(eta_s)
        page = healthy(page.run())
        told.append(next(one.value for one in page.info if one.value.startswith("Running")))
    assert [text.split(": ", 1)[1].split(" left")[0] for text in told] == [
        "about 10 min", "about 9 min", "about 25 min", "about 24 min"
    ]  # fmt: skip
    assert ["more than was said before" in text for text in told] == [False, False, True, False]


@pytest.mark.parametrize(("ahead", "told"), [(0, "It is next."), (2, "2 comparisons before it")])
def test_a_queued_one_says_when_its_turn_comes(show: Any, ahead: int, told: str) -> None:
    page = show(detail(ComparisonState.QUEUED, queue_position=ahead))
    assert told in said(page)
    assert "No stage has begun yet." in said(page)


def test_a_running_one_shows_stages_scores_losses_and_time_left(show: Any, client: FakeClient) -> None:
    def events(_: str, *, after: int, reconnects: bool) -> Iterator[StreamedEvent]:
        # A page that waits for a service would not hear its visitor meanwhile.
        assert (after, reconnects) == (0, False)
        for step in (1, 2):
            losses = {"train_loss": 2.0 / step, "validation_loss": 3.0 / step}
            yield StreamedEvent(step, "training", {"at": 1.0, "done": step, "total": 9, "arm": "rag", **losses})
        raise AssertionError("what is known already is not waited for")

    client.replies["stream_events"] = events
    page = show(
        detail(
            ComparisonState.RUNNING,
            estimate=estimate(("index", ""), ("answer", "rag"), ("latency", "")),
            eta_s=90.4,
            last_event=2,
            progress=[StageProgress(stage="answer", arm="rag", done=3, total=12, detail="<b>x</b>")],
            running_scores=[RunningScore(arm="rag", metric="exact_match", mean=0.25, n=3, n_questions=12)],
        )
    )
    assert "Running, stage 2 of 3: about 2 min left." in said(page)
    scores = next(one.value for one in page.dataframe if "questions scored" in one.value)
    assert list(scores.iloc[0]) == ["rag", "25.0", "3 of 12"]
    losses = next(one.value for one in page.dataframe if "training step" in one.value)
    assert sorted(losses["training step"]) == [1, 1, 2, 2]
    assert not any("<b>" in one.value for one in (*page.markdown, *page.caption))


def test_running_scores_beyond_1_are_told_as_measured(show: Any) -> None:
    scores = [RunningScore(arm=arm, metric="perplexity", mean=x, n=3, n_questions=12) for arm, x in MEANS.items()]
    page = show(detail(ComparisonState.RUNNING, running_scores=scores))
    table = next(one.value for one in page.dataframe if "questions scored" in one.value)
    assert list(table["perplexity (units of the metric)"]) == ["12.5", "0.9", "–"]


MEANS = {"rag": 12.5, "base": 0.9, "raft": None}
GIGABYTE = 10**9


def told(*events: tuple[str, dict[str, Any]]) -> list[StreamedEvent]:
    return [StreamedEvent(i, type_, data) for i, (type_, data) in enumerate(events, 1)]


def resources(at: float, cores: float, *, memory: float = 1.0, gpu: float | None = None, process: str = "p") -> Any:
    data = {"at": at, "process": process, "interval_s": 2.0, "cores_busy": cores, "n_cores": 4}
    held = {"resident_bytes": int(memory * GIGABYTE), "gpu_bytes": None if gpu is None else int(gpu * GIGABYTE)}
    return "resources", data | held


def stage(at: float, name: str, arm: str = "") -> Any:
    return "progress", {"at": at, "stage": name, "arm": arm, "done": 0, "total": 9}


@pytest.fixture
def running_with(show: Any, client: FakeClient) -> Any:
    def call(*events: tuple[str, dict[str, Any]]) -> Any:
        client.replies["stream_events"] = lambda *_, **__: iter(told(*events))
        return show(detail(ComparisonState.RUNNING, last_event=len(events)))

    return call


def tables_of(page: Any, name: str) -> list[Any]:
    return [one.value for one in page.dataframe if name in one.value]


def test_a_running_one_shows_what_it_takes_of_the_machine_by_stage(running_with: Any) -> None:
    page = running_with(
        ("state", {"at": 90.0, "state": "queued"}),
        stage(100.0, "index"),
        resources(104.0, 3.0, memory=1.5),
        stage(105.0, "answer", "base"),
        resources(106.0, 1.0, memory=2.0, gpu=7.0),
        stage(106.5, "answer", "rag"),
    )
    (processor,) = tables_of(page, "processor time (%)")
    assert list(processor["processor time (%)"]) == [75.0, 25.0]
    assert list(processor["seconds since the start"]) == [4.0, 6.0]
    assert list(processor["stage"]) == ["1 Index the documents", "2 Answer the test questions · base"]
    (memory,) = tables_of(page, "memory (GB)")
    assert list(zip(memory["of"], memory["memory (GB)"], strict=True)) == [
        ("main memory", 1.5), ("main memory", 2.0), ("GPU memory", 7.0),
    ]  # fmt: skip
    assert "3 Answer the test questions · rag" in said(page)
    specs = [json.loads(one.proto.spec) for one in page.get("vega_lite_chart")]
    drawn = [layer for spec in specs for layer in spec["layer"]]
    rules = [one for layer in drawn for one in layer.get("layer", []) if one["mark"]["type"] == "rule"]
    assert len(rules) == 2
    axes = [layer["encoding"]["y"]["title"] for layer in drawn if "encoding" in layer]
    assert axes == ["processor time (%)", "memory (GB)"]


def test_one_that_takes_longer_than_estimated_says_so_and_what_is_done_has_no_bar(show: Any) -> None:
    stages = [StageProgress(stage=stage, arm="", done=9, total=total) for stage, total in (("index", 9), ("tune", 12))]
    page = show(detail(ComparisonState.RUNNING, eta_s=0.0, progress=stages))
    assert "Running: longer than was estimated." in said(page)
    assert any(":material/check: Index the documents: 9 of 9" in one.value for one in page.markdown)
    assert [one.proto.text for one in page.get("progress")] == ["Tune the model: 9 of 12"]


def test_processes_that_share_the_work_are_told_apart(running_with: Any) -> None:
    page = running_with(resources(10.0, 1.0, process="x"), resources(11.0, 2.0, process="y"))
    (processor,) = tables_of(page, "processor time (%)")
    assert list(processor["of"]) == ["processor, process 1", "processor, process 2"]


def test_what_an_earlier_start_took_is_not_shown(running_with: Any) -> None:
    page = running_with(resources(10.0, 1.0), ("state", {"at": 50.0, "state": "queued"}), resources(60.0, 2.0))
    (processor,) = tables_of(page, "processor time (%)")
    assert list(processor["processor time (%)"]) == [50.0]


def test_a_machine_that_tells_of_no_memory_gets_no_picture_of_it(running_with: Any) -> None:
    type_, data = resources(10.0, 1.0)
    page = running_with((type_, data | {"resident_bytes": None}))
    assert tables_of(page, "processor time (%)")
    assert not tables_of(page, "memory (GB)")


def test_nothing_is_said_of_resources_before_they_were_measured(running_with: Any) -> None:
    page = running_with(stage(100.0, "index"))
    assert "Use of the machine" not in said(page)


@pytest.mark.parametrize(("span_s", "expected"), [(100.0, "seconds"), (600.0, "minutes"), (40_000.0, "hours")])
def test_the_axis_of_time_has_the_unit_that_fits(span_s: float, expected: str) -> None:
    points = [resources(at, 1.0)[1] for at in (2.0, span_s)]
    assert f"{expected} since the start" in resource_curves(points, [])[0].table


def test_numbers_of_stages_without_room_stand_as_a_range() -> None:
    points = [resources(at, 1.0)[1] for at in (2.0, 100.0)]
    starts = [0.0, 1.0, 2.0, 50.0, 99.0]
    figure = resource_curves(points, [(at, "stage") for at in starts])[0]
    rules = figure.chart.to_dict()
    rows = next(rows for rows in rules["datasets"].values() if "number" in rows[0])
    assert [row["number"] for row in rows] == ["1–3", "", "", "4", "5"]


def test_the_loss_of_an_epoch_is_not_joined_to_those_of_its_steps() -> None:
    points = [
        {"done": 1, "train_loss": 3.0, "validation_loss": None, "arm": ""},
        {"done": 1, "train_loss": 2.0, "validation_loss": 2.5, "arm": ""},
    ]
    figure = live_losses(points)
    assert figure is not None
    assert list(figure.table["of"]) == ["training, one step", "training, whole epoch", "validation"]
    assert "arm" not in figure.table
    both = live_losses([*points, points[0] | {"arm": "raft"}])
    assert both is not None
    assert list(both.table["arm"]) == ["fine-tuned"] * 3 + ["raft"]
    assert both.chart.to_dict()["encoding"]["color"]["field"] == "arm"


def test_every_trial_has_a_curve_and_what_is_trained_again_is_drawn_once() -> None:
    def step(trial: str, done: int, loss: float | None = None) -> StreamedEvent:
        return StreamedEvent(1, "training", {"arm": trial, "done": done, "train_loss": 1.0, "validation_loss": loss})

    before = [step("trial 1", 1), step("trial 1", 1, 2.0), step("trial 1", 2), step("trial 2", 1)]
    queued = StreamedEvent(1, "state", {"state": "queued"})
    points = training_points([*before, queued, step("trial 1", 2), step("trial 1", 2, 1.5)])
    assert [(point["arm"], point["done"], point["validation_loss"]) for point in points] == [
        ("trial 1", 1, None), ("trial 1", 1, 2.0), ("trial 1", 2, None), ("trial 1", 2, 1.5), ("trial 2", 1, None)
    ]  # fmt: skip


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
    assert "Finished. Ship rag." in said(page)
    assert any(one.label == "Read the decision" for one in page.page_link)


def test_a_service_that_restarts_meanwhile_is_waited_for(show: Any, client: FakeClient) -> None:
    page = show(detail(ComparisonState.RUNNING))
    client.replies["get_comparison"] = AWAY
    page = page.run()
    assert any("trying again" in one.value for one in page.error)
    client.replies["get_comparison"] = lambda _: detail(ComparisonState.RUNNING)
    assert not page.run().error
