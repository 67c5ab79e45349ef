"""How far a comparison is, read out of its events."""

from collections.abc import Sequence

from service.api.schemas import RunningScore, StageProgress
from service.events import Event

# Each of them tells how far a stage is.
_STEPS = frozenset({"progress", "block", "training"})


def read_progress(events: Sequence[Event]) -> list[StageProgress]:
    """The last word of every stage, in the order in which the stages began, since the comparison was last queued."""
    stages: dict[tuple[str, str], StageProgress] = {}
    for event in events:
        if event.type == "state" and event.data.get("state") == "queued":
            stages.clear()
        if event.type not in _STEPS:
            continue
        one = StageProgress(
            stage=str(event.data.get("stage", "")),
            arm=str(event.data.get("arm", "")),
            done=int(event.data.get("done", 0)),
            total=int(event.data.get("total", 0)),
            detail=str(event.data.get("detail", "")),
        )
        stages[one.stage, one.arm] = one
    return list(stages.values())


def read_running_scores(events: Sequence[Event], metric: str) -> list[RunningScore]:
    """Each arm's mean score so far, for metrics that need no model."""
    scores: dict[str, RunningScore] = {}
    for event in events:
        score = event.data.get("score")
        if event.type != "block" or score is None:
            continue
        arm = str(event.data.get("arm", ""))
        done, total = int(event.data.get("done", 0)), int(event.data.get("total", 0))
        scores[arm] = RunningScore(arm=arm, metric=metric, mean=float(score), n=done, n_questions=total)
    return list(scores.values())


def answer_stages(events: Sequence[Event]) -> dict[str, str]:
    """The stage in which each arm's answers are stored, by arm."""
    return {str(event.data["arm"]): str(event.data["key"]) for event in events if event.type == "block"}
