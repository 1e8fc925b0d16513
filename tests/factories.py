"""Rows for tests, with what does not matter filled in."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone
from typing import Any

from server.extensions import db
from server.models import Camera, Lease, Observation, Processor, ProcessorEvent

_numbers = itertools.count(1)
NOON = datetime(2026, 3, 27, 12, tzinfo=timezone.utc)


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def save(row: Any) -> Any:
    """Store one row."""
    db.session.add(row)
    db.session.commit()
    return row


def camera(**values: Any) -> Camera:
    """A camera."""
    defaults = {"name": f"camera {next(_numbers)}", "stream_url": "file:///clips/a.mp4"}
    return save(Camera(**(defaults | values)))


def processor(kind: str = "traffic", on: Camera | None = None, **values: Any) -> Processor:
    """A processor, on a camera of its own unless told otherwise."""
    defaults: dict[str, Any] = {"name": f"processor {next(_numbers)}", "kind": kind}
    defaults["camera_id"] = (on or camera()).id
    return save(Processor(**(defaults | values)))


def event(of: Processor, ts: datetime, **values: Any) -> ProcessorEvent:
    """An event; by default one that says nothing."""
    defaults: dict[str, Any] = {"key": f"key {next(_numbers)}", "passes": 0}
    return save(ProcessorEvent(processor_id=of.id, ts=ts, **(defaults | values)))


def observation(
    of: Processor, start: datetime, stop: datetime, ended: str | None = "stopped", **values: Any
) -> Observation:
    """A span in which the processor watched; `ended=None` for one that goes on."""
    return save(
        Observation(camera_id=of.camera_id, processor_id=of.id, start=start, stop=stop, ended=ended, **values)
    )


def lease(on: Camera, seconds_left: float, state: str = "watching", **values: Any) -> Lease:
    """A watcher's claim that lasts so long from now; below 0 for one that has run out."""
    expires = datetime.now(timezone.utc) + timedelta(seconds=seconds_left)
    return save(
        Lease(
            camera_id=on.id, state=state, expires_ms=int(expires.timestamp() * 1000), owner="test", **values
        )
    )
