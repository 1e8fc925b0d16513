"""Recordings that are saved for a camera: matched with its processors, stored whole, replaced whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from server.domain.events import Event
from server.domain.geometry import Polygon
from server.domain.masks import parse_masks
from server.domain.video import us_to_datetime
from server.errors import InvalidInput, NotFound
from server.extensions import db
from server.models import Camera, ClipImport, Observation, Processor, ProcessorEvent
from server.services.audit import CREATED, PROCESSOR, record
from server.services.cameras import processor_fields
from server.services.naming import unique_name
from server.services.recordings import Entry, Report
from server.services.rollups import spoil
from server.services.transactions import translated, writing

ENDED = "import"
"""Why every observation of a recording ended."""
_CHUNK = 1_000
"""Rows handed to the database at once: it bounds one statement, not the transaction."""
_MAX_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Target:
    """The camera that a recording is saved for."""

    camera_id: int
    name: str
    watch_fps: float
    detection_grid: int
    kinds: dict[str, str]
    """Name to kind of all its processors."""
    entries: tuple[Entry, ...]
    """Those of its processors that are enabled."""
    masks: tuple[Polygon, ...] = ()
    """What nobody is to see, the detector included."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored. `created`: names of processors that the camera did not have."""

    events: int
    observations: int
    replaced: bool
    created: tuple[str, ...]


def load_target(camera_id: int) -> Target:
    """The camera and its processors as they are now. Raises NotFound, InvalidInput, StorageError."""
    with translated():
        camera = db.session.get(Camera, camera_id) if 0 < camera_id <= _MAX_ID else None
        if camera is None:
            raise NotFound(f"there is no camera {camera_id}")
        rows = list(
            db.session.scalars(
                select(Processor).where(Processor.camera_id == camera_id).order_by(Processor.id)
            )
        )
        target = Target(
            camera.id,
            camera.name,
            camera.watch_fps,
            camera.detection_grid,
            {row.name: row.kind for row in rows},
            tuple(
                Entry(row.name, row.kind, row.zones, row.lines, row.options, row.confidence)
                for row in rows
                if row.enabled
            ),
            _masks(camera),
        )
        # The analysis takes long: no transaction stays open meanwhile.
        db.session.rollback()
    return target


def _masks(camera: Camera) -> tuple[Polygon, ...]:
    try:
        return parse_masks(camera.masks)
    except ValueError as error:
        raise InvalidInput("masks", f"those of {camera.name} are wrong; save them anew: {error}") from error


def missing_from(kinds: dict[str, str], entries: Sequence[Entry]) -> list[str]:
    """Names of entries that a camera with processors of these kinds does not have.

    Raises InvalidInput where one of the name is of another kind: its events would mean something else.
    """
    for index, entry in enumerate(entries):
        kind = kinds.get(entry.name, entry.kind)
        if kind != entry.kind:
            raise InvalidInput(
                f"processors[{index}].kind",
                f"the camera's processor {entry.name!r} is of the kind {kind}, not {entry.kind}",
            )
    return [entry.name for entry in entries if entry.name not in kinds]


def store(camera_id: int, file_name: str, digest: str, report: Report) -> Stored:
    """Store a recording's events and observations in one transaction.

    digest: SHA-256 of the file; what an earlier import of the same file left for this camera goes.
    Raises NotFound, InvalidInput, StorageError, and stores nothing then.
    """
    with writing() as session:
        # Two imports of one file at the same time: the second waits here and replaces the first.
        camera = session.scalar(select(Camera).where(Camera.id == camera_id).with_for_update())
        if camera is None:
            raise NotFound(f"there is no camera {camera_id} any more")
        ids, created = _match(session, camera, report.entries)
        _spoil(session, camera_id, digest, report)
        old = session.execute(
            delete(ClipImport).where(ClipImport.camera_id == camera_id, ClipImport.digest == digest)
        )
        clip = ClipImport(
            camera_id=camera_id,
            digest=digest,
            file_name=file_name.encode("utf-8", "replace").decode()[:255],
            start=us_to_datetime(report.anchor_us),
            stop=us_to_datetime(report.end_us),
        )
        session.add(clip)
        session.flush()
        events = [
            _event_row(event, digest) | {"processor_id": ids[rule], "clip_import_id": clip.id}
            for rule, event in report.events
        ]
        spans = [
            {
                "camera_id": camera_id,
                "processor_id": None if span.rule is None else ids[span.rule],
                "clip_import_id": clip.id,
                "start": us_to_datetime(span.start_us),
                "stop": us_to_datetime(span.stop_us),
                "ended": ENDED,
            }
            for span in report.spans
        ]
        _insert(session, ProcessorEvent, events)
        _insert(session, Observation, spans)
        replaced = bool(old.rowcount)  # type: ignore[attr-defined]
    return Stored(len(events), len(spans), replaced, tuple(created))


def _spoil(session: Session, camera_id: int, digest: str, report: Report) -> None:
    """Throw away roll-ups of the time that the recording, or an earlier import of it, has something for.

    Before any event is inserted: MariaDB would lock the processors' rows for those, and two that hold such
    a lock could not both go on to change them.
    """
    moments = [us_to_datetime(report.anchor_us), us_to_datetime(report.end_us)]
    moments += [us_to_datetime(event.ts_us) for _, event in report.events]
    moments += [us_to_datetime(us) for span in report.spans for us in (span.start_us, span.stop_us)]
    old = select(ClipImport.id).where(ClipImport.camera_id == camera_id, ClipImport.digest == digest)
    for columns, clip in (
        ((ClipImport.start, ClipImport.stop), ClipImport.id),
        ((ProcessorEvent.ts, ProcessorEvent.ts), ProcessorEvent.clip_import_id),
        ((Observation.start, Observation.stop), Observation.clip_import_id),
    ):
        first, last = columns
        row = session.execute(select(func.min(first), func.max(last)).where(clip.in_(old))).one()
        moments += [moment for moment in row if moment is not None]
    ids = session.scalars(select(Processor.id).where(Processor.camera_id == camera_id)).all()
    spoil(session, ids, min(moments), max(moments))


def _match(session: Session, camera: Camera, entries: Sequence[Entry]) -> tuple[list[int], list[str]]:
    """The id of each entry's processor, and the names of those made for it: disabled, so that the live
    camera goes on as before."""
    rows = {
        row.name: row for row in session.scalars(select(Processor).where(Processor.camera_id == camera.id))
    }
    missing = missing_from({name: row.kind for name, row in rows.items()}, entries)
    for entry in entries:
        if entry.name in missing:
            rows[entry.name] = Processor(
                camera_id=camera.id,
                name=entry.name,
                kind=entry.kind,
                enabled=False,
                confidence=float(entry.confidence),
                zones=list(entry.zones),
                lines=list(entry.lines),
                options=entry.options or {},
            )
            session.add(rows[entry.name])
    if missing:
        camera.revision += 1
    # MariaDB takes "Exit" and "exit" for the same name.
    with unique_name(", ".join(missing), "processors"):
        session.flush()
    for name in missing:
        made = rows[name]
        record(session, CREATED, PROCESSOR, made.id, name, after=processor_fields(made))
    return [rows[entry.name].id for entry in entries], missing


def _event_row(event: Event, digest: str) -> dict[str, Any]:
    """The columns of an event. Its key never meets one of the live camera's or of another clip's."""
    row: dict[str, Any] = {
        "ts": us_to_datetime(event.ts_us),
        "key": f"clip{digest[:16]}.{event.key}",
        "direction": event.direction,
        "passes": event.passes,
        "count": event.count,
        "track": event.track,
        "zone": event.zone,
        "score": event.score,
    }
    # Left out, the column is NULL; None would become the JSON value null.
    return row | {"data": event.data} if event.data else row


def _insert(session: Session, model: type[Any], rows: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(rows), _CHUNK):
        session.execute(insert(model), rows[start : start + _CHUNK])
