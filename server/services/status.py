"""Whether each camera is being watched, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from server.extensions import db
from server.log import redact
from server.models import Camera, Lease
from server.models.base import db_now_ms
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
    """Every camera by id, in one query. `watching`: a running watcher holds a lease that is valid now,
    by the database's own clock."""
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
    return {
        row.id: CameraStatus(
            row.id,
            row.name,
            redact(row.stream_url),
            row.enabled,
            bool(row.held),
            *_state(row.enabled, bool(row.held), row.state, row.reason),
            row.since,
        )
        for row in rows
    }


def _state(enabled: bool, held: bool, state: str | None, reason: str | None) -> tuple[str, str]:
    """What the lease says, unless nobody is there to keep it true."""
    if held and state is not None:
        return state, reason or ""
    if not enabled:
        return "stopped", "The camera is disabled."
    if state is None:
        return "stopped", "No worker has taken it yet."
    if state in _RUNNING:
        return "stopped", "Its watcher has stopped answering; another takes over as soon as a worker is free."
    return state, reason or ""
