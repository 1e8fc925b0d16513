"""The workers that can watch cameras, as the database knows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from server.models import Lease, Worker
from server.models.base import db_now_ms


@dataclass(frozen=True, slots=True)
class WorkerStanding:
    """A worker as it stands. `watched`: cameras it holds; times in milliseconds, by the database's clock."""

    name: str
    node: str
    queue: str
    capacity: int
    watched: int
    load: float
    memory_bytes: int
    stuck: int
    started: datetime
    silent_ms: int
    """How long ago it last reported."""
    unheard_ms: int
    """How long a message to it has been waiting to be consumed; 0: none does."""
    drain: bool
    alive: bool

    @property
    def open(self) -> bool:
        """Whether it may be given cameras, if it has room."""
        return self.alive and not self.drain


def worker_standings(session: Session, within_seconds: float) -> list[WorkerStanding]:
    """All workers by name. within_seconds: how recent the report of a living one is."""
    held = (
        select(Lease.worker, func.count().label("watched"))
        .where(Lease.expires_ms > db_now_ms())
        .group_by(Lease.worker)
        .subquery()
    )
    rows = session.execute(
        select(Worker, func.coalesce(held.c.watched, 0).label("watched"), db_now_ms().label("now_ms"))
        .outerjoin(held, held.c.worker == Worker.name)
        .order_by(Worker.name)
    ).all()
    return [_standing(worker, watched, now_ms, within_seconds) for worker, watched, now_ms in rows]


def _standing(row: Worker, watched: int, now_ms: int, within_seconds: float) -> WorkerStanding:
    return WorkerStanding(
        name=row.name,
        node=row.node,
        queue=row.queue,
        capacity=row.capacity,
        watched=int(watched),
        load=row.load,
        memory_bytes=row.memory_bytes,
        stuck=row.stuck,
        started=row.started,
        silent_ms=max(0, now_ms - row.beat_ms),
        unheard_ms=max(0, now_ms - row.asked_ms) if row.asked_ms else 0,
        drain=row.drain,
        alive=now_ms - row.beat_ms <= within_seconds * 1000,
    )


def lack_of_room(workers: Sequence[WorkerStanding]) -> str:
    """Why nobody can take a further camera, in a sentence; empty where somebody can."""
    ready = [worker for worker in workers if worker.open]
    if not ready:
        return "No worker is running."
    if all(worker.watched >= worker.capacity for worker in ready):
        return "No worker has room for it."
    return ""
