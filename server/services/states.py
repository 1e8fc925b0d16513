"""The log of a camera's states: when it was watched, when it was not, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, insert, or_, select
from sqlalchemy.orm import Session

from server.extensions import db
from server.models import CameraState
from server.services.transactions import translated

LONGEST_REASON = 500
"""Characters of a reason that are kept."""


@dataclass(frozen=True, slots=True)
class StateEntry:
    """From `ts` on (aware, UTC) the camera was in `state`, as in `Lease.state`. `node`: who says so."""

    id: int
    ts: datetime
    state: str
    reason: str
    node: str


def state_log(camera_id: int, limit: int = 50, before_id: int | None = None) -> list[StateEntry]:
    """A camera's states, newest first. before_id: only those before this entry, to turn pages by.

    Needs an application context. Raises StorageError.
    """
    query = select(CameraState).where(CameraState.camera_id == camera_id)
    with translated():
        if before_id is not None:
            last = db.session.get(CameraState, before_id)
            if last is None or last.camera_id != camera_id:
                return []
            query = query.where(
                or_(CameraState.ts < last.ts, and_(CameraState.ts == last.ts, CameraState.id < last.id))
            )
        rows = db.session.scalars(query.order_by(CameraState.ts.desc(), CameraState.id.desc()).limit(limit))
        return [StateEntry(row.id, row.ts, row.state, row.reason, row.node) for row in rows]


def note_state(
    session: Session, camera_id: int, ts: datetime, state: str, reason: str, node: str, *, late: bool = False
) -> None:
    """Write down a state in the caller's transaction, unless it is the one that the camera is in already.

    It is never put before the last one, though clocks of hosts differ. late: it may be, because others have
    gone on since.
    """
    query = select(CameraState.ts, CameraState.state, CameraState.reason).where(
        CameraState.camera_id == camera_id
    )
    if late:
        query = query.where(CameraState.ts <= ts)
    last = session.execute(query.order_by(CameraState.ts.desc(), CameraState.id.desc()).limit(1)).first()
    reason = reason[:LONGEST_REASON]
    if last is not None and (last.state, last.reason) == (state, reason):
        return
    moment = ts if last is None else max(ts, last.ts)
    session.execute(
        insert(CameraState).values(
            camera_id=camera_id, ts=moment, state=state, reason=reason, node=node[:120]
        )
    )
