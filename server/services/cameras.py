"""Cameras and their processors: made, changed and deleted so that their watchers notice.

A watcher looks at its camera's `revision`, so every change of the camera or of one of its processors
raises it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from flask import current_app
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from server.domain.geometry import parse_polygon
from server.domain.shapes import parse_shapes
from server.errors import InvalidInput, NotFound
from server.log import redact
from server.media.addresses import check_address
from server.models import Camera, Processor, ProcessorEvent
from server.processors import KINDS, create
from server.services.audit import CAMERA, CHANGED, CREATED, DELETED, PROCESSOR, record
from server.services.naming import clean_name, unique_name
from server.services.transactions import writing

MIN_FPS, MAX_FPS = 0.2, 30.0
MAX_GRID = 8
TRANSPORTS = ("tcp", "udp")
"""How RTSP cameras send."""
MAX_ADDRESS = 2000
"""Characters of an address."""
MIN_PREVIEW_FPS, MAX_PREVIEW_FPS = 1.0, 30.0
MIN_PREVIEW_KBPS, MAX_PREVIEW_KBPS = 100, 8000
MIN_PREVIEW_WIDTH, MAX_PREVIEW_WIDTH = 160, 1920
PREVIEWS = ("watched", "always", "off")
"""When a processor's preview is made."""
_MASK = "***"
_BATCH = 5_000
"""Events deleted in one transaction: a longer one would make the watchers wait to store theirs."""
_COUNTS_BY = ("enabled", "confidence", "zones", "lines", "options")
"""What a processor counts by: a change of anything else, such as its name, leaves its memory alone."""


@dataclass(frozen=True, slots=True)
class CameraInput:
    """A camera as somebody describes it. Units as in `models.Camera`."""

    name: str
    stream_url: str
    loop: bool = False
    enabled: bool = True
    watch_fps: float = 5.0
    detection_grid: int = 1
    rtsp_transport: str = "tcp"
    masks: Any = field(default_factory=list)
    preview_fps: float = 15.0
    preview_kbps: int = 800
    preview_width: int = 960


@dataclass(frozen=True, slots=True)
class ProcessorInput:
    """A processor as somebody describes it: JSON values as `processors.create` takes them."""

    name: str
    enabled: bool = True
    confidence: float = 0.5
    zones: Any = field(default_factory=list)
    lines: Any = field(default_factory=list)
    options: Any = field(default_factory=dict)
    preview: str = "watched"


def kinds() -> list[tuple[str, str]]:
    """Every kind of processor and what it does, for people."""
    return [(kind, cls.title) for kind, cls in KINDS.items()]


def create_camera(given: CameraInput) -> int:
    """Store a camera and return its id. Raises InvalidInput naming the field."""
    checked = _checked_camera(given, given.stream_url)
    with unique_name(checked.name), writing() as session:
        camera = Camera(**asdict(checked))
        session.add(camera)
        session.flush()
        record(session, CREATED, CAMERA, camera.id, camera.name, after=_camera_fields(camera))
        return camera.id


def update_camera(camera_id: int, given: CameraInput, seen: str | None = None) -> None:
    """Change a camera. An address equal to the redacted one that was shown keeps the stored one.

    `seen`: `fingerprint` of the camera when the form was shown; where it no longer fits, somebody else
    has changed the camera. Raises InvalidInput naming the field, NotFound.
    """
    with unique_name(given.name), writing() as session:
        camera = _get(session, Camera, camera_id, "camera")
        _refuse_stale(camera, seen)
        checked = _checked_camera(given, address_meant(given.stream_url, camera.stream_url))
        before, address = _camera_fields(camera), camera.stream_url
        _assign(camera, asdict(checked))
        camera.revision += 1
        after = _camera_fields(camera)
        if address != camera.stream_url and before["stream_url"] == after["stream_url"]:
            after["stream_url"] += " (another password or key)"
        record(session, CHANGED, CAMERA, camera_id, camera.name, before, after)


def delete_camera(camera_id: int) -> None:
    """Delete a camera with its processors and all their events. Raises NotFound.

    It is disabled first and the events go in small batches; interrupted, the same call goes on.
    """
    with writing() as session:
        camera = _get(session, Camera, camera_id, "camera")
        enabled, camera.enabled = camera.enabled, False
        camera.revision += 1
        rows = select(Processor).where(Processor.camera_id == camera_id).order_by(Processor.name)
        processors = list(session.scalars(rows))
        keys, names = [row.id for row in processors], [row.name for row in processors]
    for processor_id in keys:
        _delete_events(processor_id)
    with writing() as session:
        gone = session.get(Camera, camera_id, with_for_update=True)
        if gone is not None:
            before = {**_camera_fields(gone), "enabled": enabled, "processors": names}
            record(session, DELETED, CAMERA, camera_id, gone.name, before=before)
            session.execute(delete(Camera).where(Camera.id == camera_id))


def create_processor(camera_id: int, kind: str, given: ProcessorInput) -> int:
    """Store a processor of a camera and return its id. Raises InvalidInput naming the field."""
    checked = _checked_processor(kind, given)
    with unique_name(checked.name), writing() as session:
        if not _raise_revision(session, camera_id):
            raise InvalidInput("camera", "choose a camera")
        processor = Processor(camera_id=camera_id, kind=kind, **asdict(checked))
        session.add(processor)
        session.flush()
        record(session, CREATED, PROCESSOR, processor.id, processor.name, after=processor_fields(processor))
        return processor.id


def update_processor(processor_id: int, given: ProcessorInput, seen: str | None = None) -> None:
    """Change a processor; its camera and kind stay, for its events belong to them.

    `seen` as for `update_camera`. Raises InvalidInput naming the field, NotFound.
    """
    with unique_name(given.name), writing() as session:
        processor = _get(session, Processor, processor_id, "processor")
        _refuse_stale(processor, seen)
        before = processor_fields(processor)
        checked = asdict(_checked_processor(processor.kind, given))
        if any(getattr(processor, name) != checked[name] for name in _COUNTS_BY):
            processor.revision += 1
        _assign(processor, checked)
        _raise_revision(session, processor.camera_id)
        record(session, CHANGED, PROCESSOR, processor_id, processor.name, before, processor_fields(processor))


def delete_processor(processor_id: int) -> None:
    """Delete a processor and all its events. Raises NotFound."""
    with writing() as session:
        processor = _get(session, Processor, processor_id, "processor")
        enabled, processor.enabled = processor.enabled, False
        processor.revision += 1
        camera_id = processor.camera_id
        _raise_revision(session, camera_id)
    _delete_events(processor_id)
    with writing() as session:
        _raise_revision(session, camera_id)
        gone = session.get(Processor, processor_id, with_for_update=True)
        if gone is not None:
            before = {**processor_fields(gone), "enabled": enabled}
            record(session, DELETED, PROCESSOR, processor_id, gone.name, before=before)
            session.execute(delete(Processor).where(Processor.id == processor_id))


def fingerprint(row: Camera | Processor) -> str:
    """Stands for what a form shows of the row, so that a change by somebody else is noticed."""
    shown = _camera_fields(row) if isinstance(row, Camera) else _form_fields(row, ProcessorInput)
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:20]


def _camera_fields(row: Camera) -> dict[str, Any]:
    """What a form shows of the camera, which is also what the audit log keeps."""
    shown = {"stream_url": redact(row.stream_url), "masks": row.masks or []}
    return _form_fields(row, CameraInput) | shown


def processor_fields(row: Processor) -> dict[str, Any]:
    """What the audit log keeps of the processor."""
    return _form_fields(row, ProcessorInput) | {"camera": row.camera.name, "kind": row.kind}


def _form_fields(row: Camera | Processor, given: type[CameraInput | ProcessorInput]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in given.__dataclass_fields__}


def _checked_camera(given: CameraInput, address: str) -> CameraInput:
    address = address.strip()
    if len(address) > MAX_ADDRESS:
        raise InvalidInput("stream_url", f"{len(address)} characters are too many; {MAX_ADDRESS} fit")
    check_address(address, current_app.extensions["hypersight"].stream_networks)
    if given.rtsp_transport not in TRANSPORTS:
        raise InvalidInput("rtsp_transport", "tcp or udp")
    if not MIN_FPS <= given.watch_fps <= MAX_FPS:
        raise InvalidInput("watch_fps", f"from {MIN_FPS} to {MAX_FPS:g} frames a second")
    if not 1 <= given.detection_grid <= MAX_GRID:
        raise InvalidInput("detection_grid", f"from 1 to {MAX_GRID}")
    _check_preview(given)
    return CameraInput(
        clean_name(given.name),
        address,
        bool(given.loop),
        bool(given.enabled),
        float(given.watch_fps),
        int(given.detection_grid),
        given.rtsp_transport,
        _checked_masks(given.masks),
        float(given.preview_fps),
        int(given.preview_kbps),
        int(given.preview_width),
    )


def _check_preview(given: CameraInput) -> None:
    if not MIN_PREVIEW_FPS <= given.preview_fps <= MAX_PREVIEW_FPS:
        raise InvalidInput(
            "preview_fps", f"from {MIN_PREVIEW_FPS:g} to {MAX_PREVIEW_FPS:g} pictures a second"
        )
    if not MIN_PREVIEW_KBPS <= given.preview_kbps <= MAX_PREVIEW_KBPS:
        raise InvalidInput(
            "preview_kbps", f"from {MIN_PREVIEW_KBPS} to {MAX_PREVIEW_KBPS} thousand bits a second"
        )
    if not MIN_PREVIEW_WIDTH <= given.preview_width <= MAX_PREVIEW_WIDTH:
        raise InvalidInput("preview_width", f"from {MIN_PREVIEW_WIDTH} to {MAX_PREVIEW_WIDTH} pixels")


def _checked_masks(value: object) -> list[Any]:
    """Masks as they are stored: a list of polygons, each a list of points or an object with a name."""
    if not value:
        return []
    try:
        parse_shapes(value, parse_polygon)
    except ValueError as error:
        raise InvalidInput("masks", str(error)) from error
    return list(cast("Sequence[Any]", value))


def address_meant(typed: str, stored: str) -> str:
    """The stored address where the one typed is what was shown of it. Raises InvalidInput where *** was
    left in another."""
    shown = redact(stored)
    if typed.strip() == shown:
        return stored
    if shown != stored and _MASK in typed:
        raise InvalidInput(
            "stream_url", f"was changed: type the password (or key) again in the place of {_MASK}"
        )
    return typed


def _checked_processor(kind: str, given: ProcessorInput) -> ProcessorInput:
    if given.preview not in PREVIEWS:
        raise InvalidInput("preview", f"one of {', '.join(PREVIEWS)}")
    create(kind, zones=given.zones, lines=given.lines, options=given.options, confidence=given.confidence)
    return ProcessorInput(
        clean_name(given.name),
        bool(given.enabled),
        float(given.confidence),
        given.zones,
        given.lines,
        given.options or {},
        given.preview,
    )


def _get(session: Session, model: type[Any], key: int, what: str) -> Any:
    row = session.get(model, key)
    if row is None:
        raise NotFound(f"there is no {what} {key} any more")
    return row


def _refuse_stale(row: Camera | Processor, seen: str | None) -> None:
    if seen is not None and seen != fingerprint(row):
        raise InvalidInput(
            "seen", "somebody else has changed this meanwhile; open it anew and make your change again"
        )


def _assign(row: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)


def _raise_revision(session: Session, camera_id: int) -> bool:
    """Tell the camera's watcher. False where there is no such camera."""
    result = session.execute(
        update(Camera).where(Camera.id == camera_id).values(revision=Camera.revision + 1)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]


def _delete_events(processor_id: int) -> None:
    oldest = (
        select(ProcessorEvent.id)
        .where(ProcessorEvent.processor_id == processor_id)
        .order_by(ProcessorEvent.ts)
        .limit(_BATCH)
    )
    while True:
        with writing() as session:
            ids = list(session.scalars(oldest))
            session.execute(delete(ProcessorEvent).where(ProcessorEvent.id.in_(ids)))
        if len(ids) < _BATCH:
            return
