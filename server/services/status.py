"""Whether each camera is being watched, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask import current_app
from sqlalchemy import select

from server.config import Settings
from server.extensions import db
from server.log import redact
from server.models import Camera, Lease
from server.models.base import db_now_ms
from server.services.fleet import lack_of_room, worker_standings
from server.services.transactions import translated

_RUNNING = ("starting", "watching", "blind", "unreachable")


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """One camera as it stands. `url` is redacted; `since` is when `state` began, where known."""

    id: int
    name: str
    url: str
    enabled: bool
    watching: bool
    state: str
    reason: str
    since: datetime | None


def camera_statuses() -> dict[int, CameraStatus]:
    """Every camera by id. `watching`: a running watcher holds a lease that is valid now, by the
    database's own clock. Needs an application context."""
    query = (
        select(
            Camera.id,
            Camera.name,
            Camera.stream_url,
            Camera.enabled,
            Lease.state,
            Lease.reason,
            Lease.since,
            (Lease.expires_ms > db_now_ms()).label("held"),
        )
        .outerjoin(Lease, Lease.camera_id == Camera.id)
        .order_by(Camera.id)
    )
    with translated():
        rows = db.session.execute(query).all()
        room = _room() if any(row.enabled and not row.held for row in rows) else ""
    return {
        row.id: CameraStatus(
            row.id,
            row.name,
            redact(row.stream_url),
            row.enabled,
            bool(row.held),
            *_state(row.enabled, bool(row.held), row.state, row.reason, room),
            row.since,
        )
        for row in rows
    }


def _room() -> str:
    """Why no worker can take a further camera; empty where one can."""
    settings: Settings = current_app.extensions["hypersight"]
    return lack_of_room(worker_standings(db.session(), settings.LEASE_SECONDS))


def _state(enabled: bool, held: bool, state: str | None, reason: str | None, room: str) -> tuple[str, str]:
    """What the lease says, unless nobody is there to keep it true. room: why nobody will soon be."""
    if held and state is not None:
        return state, reason or ""
    if not enabled:
        return "stopped", "The camera is disabled."
    if room and state != "ended":
        return "stopped", room
    if state is None:
        return "stopped", "No worker has taken it yet."
    if state in _RUNNING:
        return "stopped", "Its watcher has stopped answering; another takes over as soon as a worker is free."
    return state, reason or ""
