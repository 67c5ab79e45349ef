from dataclasses import replace
from types import SimpleNamespace

import pytest

from advisor.data.dataset import Split
from service.handover.winner import Winner
from service.run import merged_speed
from service.run.merged_speed import measure_slowdown, with_measured_slowdown

pytestmark = pytest.mark.slow


def test_the_slowdown_is_the_median_over_questions_and_never_below_one(
    winner: Winner, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = [example.question for example in winner.dataset.split(Split.TEST)]
    asked: list[tuple[bool, str]] = []

    def seconds(pipeline: object, question: str) -> float:
        is_beside = pipeline is winner.pipeline
        asked.append((is_beside, question))
        # The first is to warm up, the third met a busy moment.
        beside = {questions[0]: 90.0, questions[2]: 60.0}.get(question, 1.5)
        return beside if is_beside else 1.0

    monkeypatch.setattr(merged_speed, "_seconds", seconds)
    assert measure_slowdown(winner.pipeline, questions) == 1.5
    assert asked[:2] == [(True, questions[0]), (False, questions[0])]
    monkeypatch.setattr(merged_speed, "_seconds", lambda pipeline, _: 1.0 if pipeline is winner.pipeline else 2.0)
    assert measure_slowdown(winner.pipeline, questions) == 1.0


def test_it_is_measured_where_merged_adapters_are_costed_and_nothing_was_declared(winner: Winner) -> None:
    tuned = SimpleNamespace(
        arm=SimpleNamespace(tuned=True, pipeline=winner.pipeline), questions=winner.dataset.split(Split.TEST)[:2]
    )
    settings = winner.settings
    assert with_measured_slowdown(settings, [tuned]) is settings  # type: ignore[list-item]
    merging = replace(settings, traffic=replace(settings.traffic, merge_adapter=True))
    assert with_measured_slowdown(merging, [tuned]).adapter_slowdown >= 1.0  # type: ignore[list-item]
    declared = replace(merging, adapter_slowdown=1.7)
    assert with_measured_slowdown(declared, [tuned]) is declared  # type: ignore[list-item]
    bare = SimpleNamespace(arm=SimpleNamespace(tuned=True, pipeline=replace(winner.pipeline, model=winner.base)))
    bare.questions = tuned.questions
    assert with_measured_slowdown(merging, [bare]) is merging  # type: ignore[list-item]
