"""The demo camera: made once, for those who have no camera yet."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from server.extensions import db
from server.media.demo.choreography import MIDDLE
from server.models import Camera, Processor, ProcessorEvent
from server.processors import KINDS
from server.services.cameras import CameraInput, ProcessorInput, create_camera, create_processor
from server.services.transactions import translated

NAME = "Demo"
RIGHT_EDGE = [[0.9, 0.0], [1.0, 0.0], [1.0, 1.0], [0.9, 1.0]]
"""The zone of exit: whoever leaves over the right edge goes through it."""
MIDDLE_LINE = [[MIDDLE, 1.0], [MIDDLE, 0.0]]
"""Drawn upwards, so that walking to the left is in and walking to the right is out."""


def add_demo_camera(clip: Path) -> int | None:
    """Make the camera that plays `clip` for ever, with one processor of each kind, and return its id.

    Where an earlier call was interrupted, what is missing is added. None where another camera has the
    name already. Raises StorageError.
    """
    with translated():
        row = db.session.execute(select(Camera.id, Camera.stream_url).where(Camera.name == NAME)).first()
        db.session.rollback()
    if row is not None and row.stream_url != str(clip):
        return None
    camera_id = row.id if row is not None else create_camera(CameraInput(NAME, str(clip), loop=True))
    with translated():
        there = set(db.session.scalars(select(Processor.kind).where(Processor.camera_id == camera_id)))
        db.session.rollback()
    for kind in KINDS.keys() - there:
        create_processor(camera_id, kind, _processor(kind))
    return camera_id


def is_used(clip: Path) -> bool:
    """Whether a camera plays `clip`. Raises StorageError."""
    with translated():
        found = db.session.scalar(select(Camera.id).where(Camera.stream_url == str(clip)).limit(1))
        db.session.rollback()
    return found is not None


def first_event(since: datetime) -> str | None:
    """The first thing that was noticed from `since` (aware) on, for people. Raises StorageError."""
    wanted = (
        select(Camera.name, Processor.name, ProcessorEvent.passes, ProcessorEvent.count)
        .join_from(ProcessorEvent, Processor)
        .join(Camera)
        .where(ProcessorEvent.ts >= since)
        .order_by(ProcessorEvent.ts)
        .limit(1)
    )
    with translated():
        row = db.session.execute(wanted).first()
        db.session.rollback()
    if row is None:
        return None
    camera, processor, passes, count = row
    what = f"{count} here" if count is not None else f"{passes} passed" if passes else "an event"
    return f"camera {camera}, {processor}: {what}"


def _processor(kind: str) -> ProcessorInput:
    """A processor of the kind that has something to do in the demo clip."""
    if kind == "traffic":
        return ProcessorInput("Exit on the right", zones=[RIGHT_EDGE], lines=[MIDDLE_LINE])
    if kind == "persons":
        return ProcessorInput("People in the hall")
    whole = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    cls = KINDS[kind]
    return ProcessorInput(
        kind.capitalize(),
        zones=[whole] if cls.uses_zones else [],
        lines=[MIDDLE_LINE] if cls.uses_lines else [],
    )
