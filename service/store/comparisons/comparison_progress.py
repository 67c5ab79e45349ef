"""How far a comparison is, read out of its events."""

import threading
from dataclasses import dataclass, field

from sqlalchemy import Engine

from service.contract.schemas import RunningScore, StageProgress
from service.store.comparisons.events import Event, read_events
from service.store.recently_used import RecentlyUsed

N_FOLLOWED = 256
"""Comparisons of which the standing is kept; another one is read from its first event."""

_PAGE = 1000
# Each of them tells how far a stage is.
_STEPS = frozenset({"progress", "block", "training"})


@dataclass
class Standing:
    """What the events of a comparison come to.

    Attributes:
        last_event: Sequence number of the last one that counts here.
        answer_stages: The stage in which each arm's answers are stored, by arm.
    """

    last_event: int = 0
    answer_stages: dict[str, str] = field(default_factory=dict)
    _steps: dict[tuple[str, str], StageProgress] = field(default_factory=dict)
    _scored: dict[str, tuple[float, int, int]] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Take in the next event."""
        self.last_event = event.sequence
        data = event.data
        if event.type == "state" and data.get("state") == "queued":
            self._steps.clear()
        if event.type not in _STEPS:
            return
        stage, arm = str(data.get("stage", "")), str(data.get("arm", ""))
        done, total = int(data.get("done", 0)), int(data.get("total", 0))
        detail = str(data.get("detail", ""))
        self._steps[stage, arm] = StageProgress(stage=stage, arm=arm, done=done, total=total, detail=detail)
        if event.type == "block":
            self.answer_stages[arm] = str(data["key"])
            if (score := data.get("score")) is not None:
                self._scored[arm] = float(score), done, total

    def progress(self) -> list[StageProgress]:
        """The last word of every stage, in the order in which they began, since the comparison was last queued."""
        return list(self._steps.values())

    def running_scores(self, metric: str) -> list[RunningScore]:
        """Each arm's mean score so far, for metrics that need no model."""
        return [
            RunningScore(arm=arm, metric=metric, mean=mean, n=done, n_questions=total)
            for arm, (mean, done, total) in self._scored.items()
        ]

    def copy(self) -> "Standing":
        """As it is now, whatever is added later."""
        return Standing(self.last_event, dict(self.answer_stages), dict(self._steps), dict(self._scored))


@dataclass
class _Followed:
    standing: Standing = field(default_factory=Standing)
    reading: threading.Lock = field(default_factory=threading.Lock)


class FollowedComparisons:
    """Where the comparisons stand that were looked at last.

    Events are added and never changed, so that each is read once, however often somebody looks: hours of training are
    tens of thousands.
    """

    def __init__(self, n_followed: int = N_FOLLOWED) -> None:
        self._followed: RecentlyUsed[str, _Followed] = RecentlyUsed(n_followed, lambda _: 1)

    def find(self, engine: Engine, comparison_id: str) -> Standing:
        """Where a comparison stands now; at its beginning where there is none of that id."""
        followed = self._followed.find(comparison_id, _Followed)
        with followed.reading:
            standing = followed.standing
            while events := read_events(engine, comparison_id, after=standing.last_event, limit=_PAGE):
                for event in events:
                    standing.add(event)
                if len(events) < _PAGE:
                    break
            return standing.copy()
