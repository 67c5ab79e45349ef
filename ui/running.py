"""What a comparison told of itself so far, collected once an event and kept for this browser session."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from service.api.schemas import ComparisonDetail
from service.client import ServiceClient, StreamedEvent

_STATE = "events of "


def events_so_far(client: ServiceClient, detail: ComparisonDetail) -> list[StreamedEvent]:
    """All events up to the newest that `detail` knows; those read before are not read again.

    Raises:
        ServiceError: the service refused or cannot be reached.
    """
    known: list[StreamedEvent] = st.session_state.setdefault(_STATE + detail.id, [])
    after = known[-1].id if known and known[-1].id is not None else 0
    if after < detail.last_event:
        for event in client.stream_events(detail.id, after=after):
            known.append(event)
            if event.id is not None and event.id >= detail.last_event:
                break
    return known


def training_points(events: list[StreamedEvent]) -> list[Mapping[str, Any]]:
    """Steps of tuning since the comparison was last queued, with their losses."""
    points: list[Mapping[str, Any]] = []
    for event in events:
        if event.type == "state" and event.data.get("state") == "queued":
            points.clear()
        if event.type == "training":
            points.append(event.data)
    return points
