"""What a Celery worker runs for a camera: claim it, watch it, let go of it."""

from __future__ import annotations

import functools
import logging
import threading
import uuid
import weakref

from sqlalchemy.engine import Engine

from server.clock import Clock
from server.config import Settings
from server.errors import LeaseLost, StorageError
from server.services.detection import detector_for
from server.watchers import lease, stuck
from server.watchers.ledger import Outage, settle_orphans
from server.watchers.showing import showing_of
from server.watchers.store import WatchStore
from server.watchers.watcher import Watcher

log = logging.getLogger(__name__)


def watch_camera(
    engine: Engine, settings: Settings, clock: Clock, stop: threading.Event, camera_id: int, worker: str
) -> None:
    """Watch a camera until it is switched off, its file ends or `stop` is set.

    Does nothing where another watcher holds the camera. worker: begins the owner's name, so that a
    worker's watchers can be told to end together.
    """
    try:
        settle_orphans(WatchStore(engine), settings.SPOOL_DIR, settings.NODE_NAME)
    except StorageError as error:
        log.warning("events that were held back for other cameras go on waiting: %s", error)
    owner = f"{worker}/{uuid.uuid4().hex[:12]}"
    held = lease.claim(engine, camera_id, owner, settings.NODE_NAME, settings.LEASE_SECONDS, clock.now_us())
    if held is None:
        log.info("camera %s: watched already", camera_id)
        return
    showing = showing_of(engine, settings, clock)
    state, reason, clean = lease.STOPPED, "the watcher failed; the log says why", False
    try:
        detectors = functools.partial(detector_for, settings)
        watcher = Watcher(
            held, WatchStore(engine), settings, detectors, clock, stop,
            outage=_outage_of(engine, clock), showing=showing,
        )  # fmt: skip
        with stuck.watching():
            state, reason = watcher.run()
        clean = True
    except LeaseLost as error:
        log.info("camera %s: %s", camera_id, error)
    finally:
        try:
            lease.release(engine, held, state, reason, clock.now_us(), clean=clean)
        except StorageError as error:
            log.warning("camera %s: the lease runs out by itself: %s", camera_id, error)
        # The process may end next: its last picture is to be stored, if the database takes it at once.
        showing.flush()


_lock = threading.Lock()
_outages: weakref.WeakKeyDictionary[Engine, Outage] = weakref.WeakKeyDictionary()


def _outage_of(engine: Engine, clock: Clock) -> Outage:
    """What all watchers of this process know of their database."""
    with _lock:
        if engine not in _outages:
            _outages[engine] = Outage(clock)
        return _outages[engine]
