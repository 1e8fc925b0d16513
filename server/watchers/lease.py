"""One watcher a camera: a lease in the database's own time, with a fencing number.

Whatever the broker delivers twice, only one task gets the lease; and a watcher that was given up cannot
write, because every transaction begins with an UPDATE that names its fence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.engine import CursorResult, Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from server.domain.video import us_to_datetime
from server.errors import LeaseLost
from server.models import Camera, Lease
from server.models.base import db_now_ms
from server.services.states import note_state
from server.services.transactions import writing

STARTING, WATCHING, BLIND, UNREACHABLE, ENDED, STOPPED = (
    "starting",
    "watching",
    "blind",
    "unreachable",
    "ended",
    "stopped",
)
LOST = "its worker ended without a word"
"""Reason of the state that a lost watcher leaves."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A held lease. `fence` is larger than that of every claim before it.

    `strikes`: how often the part after the checkpoint had been begun before, without being finished.
    """

    camera_id: int
    fence: int
    owner: str
    ttl_ms: int
    strikes: int = 0
    node: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the camera stands, read in the transaction that renewed the claim."""

    revision: int
    enabled: bool
    drain: bool


def claim(engine: Engine, camera_id: int, owner: str, node: str, seconds: float, now_us: int) -> Claim | None:
    """Take the camera if nobody holds it; None where somebody does, or the camera is gone.

    owner: unique for this attempt: the worker's name, a slash, something else. seconds: how long the
    claim lasts without renewal.
    """
    ttl_ms = int(seconds * 1000)
    try:
        with writing(engine) as session:
            found = session.get(Lease, camera_id)
            strikes = found.strikes if found is not None else 0
            before = _lost(found, now_us) if found is not None else None
            if found is None:
                session.execute(insert(Lease).values(camera_id=camera_id, fence=0, expires_ms=0, drain=False))
            taken = session.execute(
                update(Lease)
                .where(Lease.camera_id == camera_id, Lease.expires_ms <= db_now_ms())
                .values(
                    fence=Lease.fence + 1,
                    owner=owner,
                    worker=owner.partition("/")[0],
                    node=node,
                    expires_ms=db_now_ms() + ttl_ms,
                    drain=False,
                    strikes=max(1, strikes),
                    state=STARTING,
                    reason="",
                    since=us_to_datetime(now_us),
                )
            )
            if not _changed_one(taken):
                return None
            fence = session.scalars(select(Lease.fence).where(Lease.camera_id == camera_id)).one()
            if before is not None:
                note_state(session, camera_id, *before)
            note_state(session, camera_id, us_to_datetime(now_us), STARTING, "", node)
    except IntegrityError:
        # Another worker made the row in the same moment, or the camera has been deleted.
        return None
    return Claim(camera_id, fence, owner, ttl_ms, strikes, node)


def renew(
    session: Session,
    held: Claim,
    state: tuple[str, str, datetime] | None = None,
    revision: int | None = None,
    strikes: int | None = None,
) -> Standing:
    """Hold on to the camera: the first statement of every transaction of a watcher.

    state: (state, reason, since) to show from now on. strikes: see `Lease.strikes`. Raises LeaseLost
    where the claim is no longer ours.
    """
    values: dict[str, object] = {"expires_ms": db_now_ms() + held.ttl_ms}
    if state is not None:
        values |= {"state": state[0], "reason": state[1][:500], "since": state[2]}
    if revision is not None:
        values["revision"] = revision
    if strikes is not None:
        values["strikes"] = strikes
    done = session.execute(update(Lease).where(*_mine(held)).values(**values))
    if not _changed_one(done):
        raise LeaseLost(f"camera {held.camera_id} is watched by another worker")
    row = session.execute(
        select(Camera.revision, Camera.enabled, Lease.drain)
        .join(Lease, Lease.camera_id == Camera.id)
        .where(Camera.id == held.camera_id)
    ).one_or_none()
    if row is None:
        raise LeaseLost("the camera has been deleted")
    return Standing(row.revision, row.enabled, row.drain)


def release(engine: Engine, held: Claim, state: str, reason: str, now_us: int, *, clean: bool = True) -> None:
    """Let go of the camera. Nothing happens where it is no longer ours.

    clean: the watcher ended in order, so nothing that it had begun is suspect.
    """
    values: dict[str, object] = {"strikes": 0} if clean else {}
    since = us_to_datetime(now_us)
    with writing(engine) as session:
        done = session.execute(
            update(Lease)
            .where(*_mine(held))
            .values(
                expires_ms=0,
                owner=None,
                state=state,
                reason=reason[:500],
                since=since,
                **values,
            )
        )
        if _changed_one(done):
            note_state(session, held.camera_id, since, state, reason, held.node)


def _lost(found: Lease, now_us: int) -> tuple[datetime, str, str, str] | None:
    """What is to be said of a watcher that did not let go of the camera; None where it did."""
    if found.owner is None or found.state in (STOPPED, ENDED):
        return None
    # The database's clock and this host's may differ a little; nothing comes after this moment.
    ended_us = min(found.expires_ms * 1000 or now_us, now_us)
    return us_to_datetime(ended_us), STOPPED, LOST, found.node or ""


def _mine(held: Claim) -> tuple[ColumnElement[bool], ...]:
    return (
        Lease.camera_id == held.camera_id,
        Lease.fence == held.fence,
        Lease.owner == held.owner,
    )


def _changed_one(result: object) -> bool:
    assert isinstance(result, CursorResult)
    return result.rowcount == 1
