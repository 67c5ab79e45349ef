"""What a comparison told of itself so far, collected once an event and kept for this browser session."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from service.contract.client import ServiceClient, StreamedEvent
from service.contract.schemas import ComparisonDetail

STAGES_OF_ARMS = frozenset({"answer", "form", "tune"})
"""Each arm has its own; other stages go through the arms one by one."""

_STATE = "events of "


def events_so_far(client: ServiceClient, detail: ComparisonDetail) -> list[StreamedEvent]:
    """All events up to the newest that `detail` knows; those read before are not read again.

    Raises:
        ServiceError: the service refused or cannot be reached.
    """
    known: list[StreamedEvent] = st.session_state.setdefault(_STATE + detail.id, [])
    after = known[-1].id if known and known[-1].id is not None else 0
    if after < detail.last_event:
        # Waiting here for a service that is away would hold up the whole page; the next look comes by itself.
        for event in client.stream_events(detail.id, after=after, reconnects=False):
            known.append(event)
            if event.id is not None and event.id >= detail.last_event:
                break
    return known


@dataclass(frozen=True, slots=True)
class StageStart:
    """The first word of a stage.

    Attributes:
        at: Seconds since 1970.
        arm: "" where the stage serves all arms.
    """

    at: float
    stage: str
    arm: str


def training_points(events: Sequence[StreamedEvent]) -> list[Mapping[str, Any]]:
    """Steps of each training with their losses; those trained again after an interruption as they were last."""
    trainings: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        if event.type == "training":
            points = trainings.setdefault(str(event.data.get("arm", "")), [])
            is_step = event.data.get("validation_loss") is None  # otherwise the epoch's, with the number of its last
            while points and points[-1]["done"] + is_step > event.data["done"]:
                points.pop()
            points.append(event.data)
    return [point for points in trainings.values() for point in points]


def resource_points(events: Sequence[StreamedEvent]) -> list[Mapping[str, Any]]:
    """What the comparison's processes took of their machines since it was last queued."""
    return [event.data for event in _since_queued(events) if event.type == "resources"]


def stage_starts(events: Sequence[StreamedEvent]) -> list[StageStart]:
    """When each stage began since the comparison was last queued; of stages that go through all arms only the first."""
    starts: dict[tuple[str, str], StageStart] = {}
    for event in _since_queued(events):
        if event.type not in ("progress", "block", "training"):
            continue
        stage = str(event.data.get("stage", ""))
        arm = str(event.data.get("arm", "")) if stage in STAGES_OF_ARMS else ""
        starts.setdefault((stage, arm), StageStart(float(event.data["at"]), stage, arm))
    return list(starts.values())


def _since_queued(events: Sequence[StreamedEvent]) -> Iterator[StreamedEvent]:
    queued = [i for i, event in enumerate(events) if event.type == "state" and event.data.get("state") == "queued"]
    yield from events[queued[-1] if queued else 0 :]
