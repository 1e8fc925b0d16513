"""Previews as pages see them: the files, or why there are none."""

from __future__ import annotations

import time
from dataclasses import dataclass

from flask import current_app
from sqlalchemy import select

from server.config import Settings
from server.errors import NotFound
from server.extensions import db
from server.media.preview_encoder import FILE_NAME, PLAYLIST, TROUBLE
from server.models import Camera, Lease, Processor
from server.models.base import db_now_ms
from server.services.node_media import Answer, NodeSilent, content_type, fetch, local_file
from server.services.status import camera_statuses
from server.services.transactions import translated

STALE_SECONDS = 10.0
"""A playlist that has not changed for so long is what a killed worker left, or shows a camera that stands."""

OFF = "off"
WATCHED_ELSEWHERE = "elsewhere"
NOT_WATCHED = "not watched"
STARTING = "starting"
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Preview:
    """A processor's preview. `node`: where it is made; empty where nobody watches the camera."""

    processor_id: int
    camera_id: int
    when: str
    enabled: bool
    camera_enabled: bool
    node: str

    @property
    def possible(self) -> bool:
        """Whether it is made at all."""
        return self.enabled and self.when != "off"


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is nothing to show: a word for programs, a sentence for people."""

    state: str
    reason: str


def get_preview(processor_id: int) -> Preview:
    """The preview of a processor. Raises NotFound."""
    query = (
        select(
            Processor.camera_id,
            Processor.preview,
            Processor.enabled,
            Camera.enabled.label("camera_enabled"),
            Lease.node,
            (Lease.expires_ms > db_now_ms()).label("held"),
        )
        .join(Camera, Camera.id == Processor.camera_id)
        .outerjoin(Lease, Lease.camera_id == Processor.camera_id)
        .where(Processor.id == processor_id)
    )
    with translated():
        row = db.session.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"there is no processor {processor_id}")
    return Preview(
        processor_id,
        row.camera_id,
        row.preview,
        row.enabled,
        row.camera_enabled,
        (row.node or "") if row.held else "",
    )


def is_file_name(name: str) -> bool:
    """Whether an encoder makes files of such a name."""
    return FILE_NAME.fullmatch(name) is not None


def read_file(preview: Preview, name: str) -> Answer | Missing:
    """A file of the preview, from whichever node makes it, or why it is not there.

    Needs an application context. Raises NotFound for a name that no encoder makes.
    """
    if not is_file_name(name):
        raise NotFound(f"there is no {name!r}")
    if not preview.possible:
        return Missing(
            OFF, "The preview of this processor is switched off." if preview.enabled else _DISABLED
        )
    if not preview.node:
        return Missing(NOT_WATCHED, _why_not_watched(preview))
    settings: Settings = current_app.extensions["hypersight"]
    path = f"previews/{preview.processor_id}/{name}"
    if preview.node == settings.NODE_NAME:
        answer = read_local(settings, path)
    else:
        try:
            answer = fetch(preview.node, path)
        except NodeSilent as error:
            return Missing(WATCHED_ELSEWHERE, f"The preview cannot be shown: {error}.")
    if answer.status == 200:
        return answer
    if answer.body:
        return Missing(FAILED, answer.body.decode("utf-8", "replace"))
    return Missing(STARTING, _why_not_yet(preview))


def read_local(settings: Settings, path: str) -> Answer:
    """What this node has under a path of `node_media`; 404 with the trouble, if there is any, as text.

    Raises NotFound for a path that names nothing.
    """
    file = local_file(settings, path)
    try:
        if file.name == PLAYLIST and time.time() - file.stat().st_mtime > STALE_SECONDS:
            raise FileNotFoundError
        return Answer(200, content_type(path), file.read_bytes())
    except OSError:
        pass
    try:
        trouble = (file.parent / TROUBLE).read_bytes() if path.startswith("previews/") else b""
    except OSError:
        trouble = b""
    return Answer(404, "text/plain", trouble)


_DISABLED = "The processor is disabled."


def _why_not_watched(preview: Preview) -> str:
    status = camera_statuses().get(preview.camera_id)
    return f"The camera is not watched. {status.reason}".strip() if status else "The camera is not watched."


def _why_not_yet(preview: Preview) -> str:
    """It is watched, but there is no picture: as the camera says, or because it has only been asked for."""
    status = camera_statuses().get(preview.camera_id)
    if status is not None and status.state == "starting":
        return "The camera is being connected."
    if status is not None and status.state not in ("watching", "blind"):
        return f"The camera gives no picture: {status.reason or status.state}."
    return "The preview is starting."
