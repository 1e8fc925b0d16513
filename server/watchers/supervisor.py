"""The reconciler: sees to it that every enabled camera has a watcher."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sqlalchemy import select, update
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from server.clock import Clock
from server.errors import HypersightError
from server.models import Camera, Lease
from server.models.base import db_now_ms
from server.services.transactions import translated, writing
from server.watchers.lease import ENDED

log = logging.getLogger(__name__)

PERIOD = 1.0
"""Seconds between two looks."""
PATIENCE = 10.0
"""Seconds a worker has to take up a camera before it is asked for again. The task expires then."""
SWEEP_EVERY = 600.0
"""Seconds between two sweeps of segments that nobody owns."""

Send = Callable[[int], None]
"""Asks the workers to watch a camera."""


class Supervisor:
    """Compares what should run with what does, again and again."""

    def __init__(self, engine: Engine, clock: Clock, watch: Send, sweep: Callable[[], None]) -> None:
        self._engine = engine
        self._clock = clock
        self._watch = watch
        self._sweep = sweep
        self._asked: dict[int, float] = {}
        self._swept = -SWEEP_EVERY
        self.errors = 0
        """Looks that failed so far."""

    def run(self, stop: threading.Event) -> None:
        """Look every `PERIOD` until told to stop. Neither the database nor Redis being away ends it."""
        quiet = False
        while not stop.is_set():
            try:
                self.look()
                quiet = False
            except HypersightError as error:
                self.errors += 1
                if not quiet:
                    log.warning("cannot reconcile: %s", error)
                quiet = True
            except Exception:
                # The broker's client raises what it likes; whatever it is, the next look may succeed.
                self.errors += 1
                if not quiet:
                    log.exception("cannot reconcile")
                quiet = True
            self._clock.wait(stop, PERIOD)

    def look(self) -> list[int]:
        """Ask for a watcher for each camera that lacks one; gives those asked for now."""
        now = self._clock.monotonic()
        missing = unwatched(self._engine)
        self._asked = {id_: at for id_, at in self._asked.items() if id_ in missing}
        asked = []
        for camera_id in missing:
            if now - self._asked.get(camera_id, -PATIENCE) >= PATIENCE:
                self._watch(camera_id)
                self._asked[camera_id] = now
                asked.append(camera_id)
        if now - self._swept >= SWEEP_EVERY:
            self._swept = now
            self._sweep()
        return asked


def unwatched(engine: Engine) -> list[int]:
    """Enabled cameras without a live lease, but for files that have been played to their end."""
    with translated(), Session(engine) as session:
        rows = session.execute(
            select(Camera.id, Camera.revision, Lease.state, Lease.revision.label("ended_at"))
            .outerjoin(Lease, Lease.camera_id == Camera.id)
            .where(Camera.enabled, (Lease.camera_id.is_(None)) | (Lease.expires_ms <= db_now_ms()))
            .order_by(Camera.id)
        ).all()
    return [row.id for row in rows if not (row.state == ENDED and row.ended_at == row.revision)]


def restart(engine: Engine) -> int:
    """Tell all watchers to end, so that new ones take over; gives how many were told."""
    with writing(engine) as session:
        live = session.scalars(select(Lease.camera_id).where(Lease.expires_ms > db_now_ms())).all()
        session.execute(update(Lease).where(Lease.camera_id.in_(live)).values(drain=True))
    return len(live)
