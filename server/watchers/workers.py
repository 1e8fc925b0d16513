"""A watching worker's own row: it reports itself every two seconds, and heeds what it is told there."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert, select, update
from sqlalchemy.engine import CursorResult, Engine
from sqlalchemy.orm import Session

from server.clock import Clock
from server.domain.video import us_to_datetime
from server.errors import StorageError
from server.models import Camera, Lease, Worker
from server.models.base import db_now_ms
from server.services.transactions import translated, writing
from server.watchers import stuck

log = logging.getLogger(__name__)

BEAT_SECONDS = 2.0
"""Seconds between two reports; less where leases are shorter than five of them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who reports: its Celery name, its host, the queue that it alone consumes, most cameras it watches.

    `media_url`: where the web server of its host answers to those of others; empty: nowhere.
    """

    name: str
    node: str
    queue: str
    capacity: int
    media_url: str = ""


@dataclass(frozen=True, slots=True)
class Vitals:
    """How it is. load: by CPU. memory_bytes: resident. stuck: abandoned threads that still live."""

    load: float
    memory_bytes: int
    stuck: int


def register(engine: Engine, me: Identity, now_us: int, *, anew: bool = False) -> None:
    """Enter the worker as one that takes cameras. Raises StorageError.

    anew: its process has just started, so whatever a worker of its name held is held by nobody now.
    """
    values = {
        "node": me.node,
        "queue": me.queue,
        "capacity": me.capacity,
        "media_url": me.media_url,
        "started": us_to_datetime(now_us),
        "beat_ms": db_now_ms(),
        "asked_ms": 0,
        "stuck": 0,
        "drain": False,
    }
    with writing(engine) as session:
        if not _changed(session, me.name, values):
            session.execute(insert(Worker).values(name=me.name, **values))
        if anew:
            held = (Lease.worker == me.name, Lease.expires_ms > db_now_ms())
            session.execute(update(Lease).where(*held).values(expires_ms=0))


def report(engine: Engine, name: str, vitals: Vitals, *, consumed: bool, leaving: bool) -> bool | None:
    """Store that the worker lives; gives whether it is told to drain, None where its row is gone.

    consumed: a message has reached it since the last report. Raises StorageError.
    """
    values: dict[str, object] = {
        "beat_ms": db_now_ms(),
        "load": vitals.load,
        "memory_bytes": vitals.memory_bytes,
        "stuck": vitals.stuck,
    }
    if consumed:
        values["asked_ms"] = 0
    if leaving:
        values["drain"] = True
    with writing(engine) as session:
        if not _changed(session, name, values):
            return None
        return session.scalars(select(Worker.drain).where(Worker.name == name)).one()


def retire(engine: Engine, name: str) -> None:
    """The worker has ended: nobody is to wait for its silence to be noticed. Raises StorageError."""
    with writing(engine) as session:
        _changed(session, name, {"beat_ms": 0, "drain": True})


def is_wanted(engine: Engine, camera_id: int, until_ms: int) -> bool:
    """Whether a camera is still to be watched by whom it was offered to: enabled, held by nobody, in time.

    until_ms: when the offer ends, by the database's clock. Raises StorageError.
    """
    with translated(), Session(engine) as session:
        row = session.execute(
            select(Camera.enabled, (Lease.expires_ms > db_now_ms()).label("held"), db_now_ms().label("now"))
            .outerjoin(Lease, Lease.camera_id == Camera.id)
            .where(Camera.id == camera_id)
        ).one_or_none()
    return row is not None and row.enabled and not row.held and row.now <= until_ms


class Heartbeat:
    """Reports a worker from a thread of its own until `end`; the database being away does not end it.

    on_drain: called once, in that thread, when the row says that the worker is to end.
    pids: the processes whose memory is the worker's.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        me: Identity,
        lease_seconds: float,
        on_drain: Callable[[], None],
        pids: Callable[[], Iterable[int]] = lambda: (os.getpid(),),
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._me = me
        self._period = min(BEAT_SECONDS, lease_seconds / 5)
        self._on_drain = on_drain
        self._pids = pids
        self._leaving = threading.Event()
        self._ended = threading.Event()
        self._consumed = False
        self._registered = False
        self._new = True
        self._quiet = False
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self.errors = 0
        """Reports that failed so far."""

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def heard(self) -> None:
        """A message has been consumed. Takes no lock: also to be called where a signal may interrupt."""
        self._consumed = True

    def leave(self) -> None:
        """From now on the worker takes no more cameras; it reports on until it has ended."""
        self._leaving.set()

    def end(self, patience: float = 2.0) -> None:
        """The worker has ended: say so, but wait for the database no longer than `patience` seconds."""
        self._leaving.set()
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def beat(self) -> None:
        """Report once. Raises StorageError."""
        if not self._registered:
            register(self._engine, self._me, self._clock.now_us(), anew=self._new)
            self._registered, self._new = True, False
        consumed, self._consumed = self._consumed, False
        leaving = self._leaving.is_set()
        vitals = Vitals(_load(), sum(map(_resident_bytes, self._pids())), stuck.count())
        stored = False
        try:
            drain = report(self._engine, self._me.name, vitals, consumed=consumed, leaving=leaving)
            stored = True
        finally:
            if consumed and not stored:
                self._consumed = True
        if drain is None:
            self._registered = False
        elif drain and not leaving:
            self._leaving.set()
            self._on_drain()

    def _run(self) -> None:
        told = False
        while not self._ended.is_set():
            told = told or self._leaving.is_set()
            self._guarded(self.beat)
            # The first wish to leave is passed on at once.
            self._clock.wait(self._ended if told else self._leaving, self._period)
        self._guarded(lambda: retire(self._engine, self._me.name))

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
            self._quiet = False
        except StorageError as error:
            self.errors += 1
            if not self._quiet:
                log.warning("worker %s cannot report itself: %s", self._me.name, error)
            self._quiet = True
        except Exception:
            # A worker that is silent for whatever reason would lose its cameras.
            self.errors += 1
            if not self._quiet:
                log.exception("worker %s cannot report itself", self._me.name)
            self._quiet = True


def _changed(session: Session, name: str, values: dict[str, object]) -> bool:
    done = session.execute(update(Worker).where(Worker.name == name).values(**values))
    assert isinstance(done, CursorResult)
    return done.rowcount == 1


def _load() -> float:
    """Load average of one minute, by CPU."""
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where it has ended or the system does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0
