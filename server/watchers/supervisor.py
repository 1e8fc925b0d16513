"""The reconciler: sees to it that every enabled camera has a watcher, and that workers consume."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import select, update
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from server.clock import Clock
from server.errors import BrokerError, HypersightError
from server.models import Camera, Lease, Worker
from server.models.base import db_now_ms
from server.services.fleet import WorkerStanding, lack_of_room, worker_standings
from server.services.transactions import translated, writing
from server.watchers.lease import ENDED

log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between two looks."""
PATIENCE = 10.0
"""Seconds a worker has to take up a camera before another is asked. What it is told is void then."""
SWEEP_EVERY = 600.0
"""Seconds between two sweeps of segments that nobody owns."""
HEAR_EVERY = 10.0
"""Seconds between two messages that only show whether a worker consumes."""
DEAF_AFTER = 30.0
"""Seconds without consuming, while Redis answers, after which a worker is told to end."""


class Messages(Protocol):
    """What the reconciler sends. Each raises BrokerError."""

    def watch(self, queue: str, camera_id: int, until_ms: int) -> None:
        """Ask a worker to watch a camera; void after `until_ms`, by the database's clock."""

    def hear(self, queue: str) -> None:
        """See whether a worker consumes."""

    def sweep(self) -> None:
        """Ask for a sweep."""


@dataclass(frozen=True, slots=True)
class Unwatched:
    """An enabled camera without a live lease. `owner`: of the lease that ran out, if one did."""

    camera_id: int
    owner: str | None
    expired_ms: int


@dataclass(frozen=True, slots=True)
class Asked:
    """Which worker a camera was offered to, and when, on the monotonic clock."""

    worker: str
    at: float


class Supervisor:
    """Compares what should run with what does, again and again. Several may run at once."""

    def __init__(self, engine: Engine, clock: Clock, lease_seconds: float, messages: Messages) -> None:
        self._engine = engine
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._messages = messages
        self._asked: dict[int, Asked] = {}
        self._swept = self._heard = -SWEEP_EVERY
        self._seen: tuple[float, int] | None = None
        # Leases that ran out after this time of the database's may still be renewed, until then on ours.
        self._spared: tuple[int, float] = (0, float("-inf"))
        self._broker_since: float | None = None
        self._said = ""
        self.errors = 0
        """Looks that failed so far."""

    def run(self, stop: threading.Event) -> None:
        """Look every `PERIOD` until told to stop. Neither the database nor Redis being away ends it."""
        quiet = False
        while not stop.is_set():
            try:
                self.look()
                if quiet:
                    log.info("reconciling again")
                quiet = False
            except HypersightError as error:
                self.errors += 1
                if not quiet:
                    log.warning("cannot reconcile: %s", error)
                quiet = True
            except Exception:
                # Whatever it is, the next look may succeed; nobody else would start watchers.
                self.errors += 1
                if not quiet:
                    log.exception("cannot reconcile")
                quiet = True
            self._clock.wait(stop, PERIOD)

    def look(self) -> list[int]:
        """Ask for a watcher for each camera that lacks one; gives those asked for now.

        Raises StorageError, BrokerError.
        """
        with translated(), Session(self._engine) as session:
            now_ms, missing = _unwatched(session)
            workers = worker_standings(session, self._lease_seconds)
        now = self._clock.monotonic()
        self._mind_outage(now, now_ms)
        try:
            asked = self._place(self._unspared(missing, now), workers, now, now_ms)
            self._listen(workers, now)
            if now - self._swept >= SWEEP_EVERY:
                self._messages.sweep()
                self._swept = now
        except BrokerError:
            self._broker_since = None
            raise
        return asked

    def _mind_outage(self, now: float, now_ms: int) -> None:
        """After a spell in which the database did not answer, leases that ran out in it may be renewed."""
        if self._seen is not None and now - self._seen[0] > self._lease_seconds / 2:
            log.warning(
                "the database did not answer for %.0f s; watchers may renew first", now - self._seen[0]
            )
            self._spared = (self._seen[1], now + self._lease_seconds)
        self._seen = (now, now_ms)

    def _unspared(self, missing: Iterable[Unwatched], now: float) -> list[Unwatched]:
        since_ms, until = self._spared
        if now >= until:
            return list(missing)
        return [camera for camera in missing if camera.owner is None or camera.expired_ms < since_ms]

    def _place(
        self, missing: Sequence[Unwatched], workers: Sequence[WorkerStanding], now: float, now_ms: int
    ) -> list[int]:
        """Offer each camera to the worker with most room; gives those offered now."""
        wanted = {camera.camera_id for camera in missing}
        self._asked = {id_: asked for id_, asked in self._asked.items() if id_ in wanted}
        used = {worker.name: worker.watched for worker in workers if worker.open}
        waiting = {id_ for id_, asked in self._asked.items() if self._is_waiting(asked, used, now)}
        for id_ in waiting:
            used[self._asked[id_].worker] += 1
        offered, left = [], 0
        for camera_id in sorted(wanted - waiting):
            before = self._asked.get(camera_id)
            worker = choose(workers, used, before.worker if before else None)
            if worker is None:
                left += 1
                continue
            self._messages.watch(worker.queue, camera_id, now_ms + int(PATIENCE * 1000))
            used[worker.name] += 1
            self._asked[camera_id] = Asked(worker.name, now)
            offered.append(camera_id)
        self._tell(left, workers)
        return offered

    @staticmethod
    def _is_waiting(asked: Asked, used: dict[str, int], now: float) -> bool:
        """Whether the worker that was asked is there and may still take it up."""
        return now - asked.at < PATIENCE and asked.worker in used

    def _tell(self, left: int, workers: Sequence[WorkerStanding]) -> None:
        """Say once that cameras find no worker, and once that they do again."""
        words = (lack_of_room(workers) or "No worker has room for it.") if left else ""
        if words and words != self._said:
            log.warning("%d cameras are not watched: %s", left, words)
        elif self._said and not words:
            log.info("every camera has been given to a worker")
        self._said = words

    def _listen(self, workers: Sequence[WorkerStanding], now: float) -> None:
        """Send each worker a message now and then; tell those to end that consume none."""
        for worker in workers:
            if worker.open and self._is_deaf(worker, now):
                log.warning("worker %s no longer consumes its queue; it is told to end", worker.name)
                drain(self._engine, worker.name)
        if now - self._heard < HEAR_EVERY:
            return
        self._heard = now
        for worker in workers:
            if worker.open:
                ask(self._engine, worker.name)
                self._messages.hear(worker.queue)
        if self._broker_since is None:
            self._broker_since = now

    def _is_deaf(self, worker: WorkerStanding, now: float) -> bool:
        """Messages that Redis itself did not take say nothing about the worker."""
        answering = now - self._broker_since if self._broker_since is not None else 0.0
        return min(worker.unheard_ms / 1000, answering) >= DEAF_AFTER


def choose(
    workers: Sequence[WorkerStanding], used: dict[str, int], before: str | None
) -> WorkerStanding | None:
    """The worker with the smallest share of its places in use, then the lowest load; None where all are full.

    used: places in use or promised, by the names of open workers. before: who was asked and did not take it
    up, asked again only where nobody else has room.
    """
    free = [worker for worker in workers if worker.name in used and used[worker.name] < worker.capacity]
    return min(
        free,
        key=lambda worker: (
            worker.name == before,
            used[worker.name] / worker.capacity,
            worker.load,
            worker.name,
        ),
        default=None,
    )


def ask(engine: Engine, name: str) -> None:
    """Note that a worker is sent a message, unless an older one is still unanswered."""
    with writing(engine) as session:
        session.execute(
            update(Worker).where(Worker.name == name, Worker.asked_ms == 0).values(asked_ms=db_now_ms())
        )


def drain(engine: Engine, name: str) -> None:
    """Tell a worker to end."""
    with writing(engine) as session:
        session.execute(update(Worker).where(Worker.name == name).values(drain=True))


def _unwatched(session: Session) -> tuple[int, list[Unwatched]]:
    """The database's time, and enabled cameras without a live lease, but for files played to their end."""
    now_ms = session.scalars(select(db_now_ms())).one()
    rows = session.execute(
        select(
            Camera.id, Camera.revision, Lease.state, Lease.owner, Lease.expires_ms, Lease.revision.label("at")
        )
        .outerjoin(Lease, Lease.camera_id == Camera.id)
        .where(Camera.enabled, (Lease.camera_id.is_(None)) | (Lease.expires_ms <= db_now_ms()))
        .order_by(Camera.id)
    ).all()
    return now_ms, [
        Unwatched(row.id, row.owner, row.expires_ms or 0)
        for row in rows
        if not (row.state == ENDED and row.at == row.revision)
    ]


def unwatched(engine: Engine) -> list[int]:
    """Cameras that should be watched and are not. Raises StorageError."""
    with translated(), Session(engine) as session:
        return [camera.camera_id for camera in _unwatched(session)[1]]


def progress(engine: Engine) -> tuple[int, int]:
    """How many cameras are watched, and how many should be and are not, or by a watcher that is to end.

    Raises StorageError.
    """
    with translated(), Session(engine) as session:
        draining = session.scalars(
            select(Lease.drain)
            .join(Camera, Camera.id == Lease.camera_id)
            .where(Camera.enabled, Lease.expires_ms > db_now_ms())
        ).all()
        missing = len(_unwatched(session)[1])
    return draining.count(False), missing + draining.count(True)


def restart(engine: Engine) -> int:
    """Tell all watchers to end, so that new ones take over; gives how many were told."""
    with writing(engine) as session:
        live = session.scalars(select(Lease.camera_id).where(Lease.expires_ms > db_now_ms())).all()
        session.execute(update(Lease).where(Lease.camera_id.in_(live)).values(drain=True))
    return len(live)
