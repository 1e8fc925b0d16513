"""What a Celery worker runs for a camera: claim it, watch it, let go of it."""

from __future__ import annotations

import functools
import logging
import threading
import uuid

from sqlalchemy.engine import Engine

from server.clock import Clock
from server.config import Settings
from server.errors import StorageError
from server.services.detection import detector_for
from server.watchers import lease
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
    owner = f"{worker}/{uuid.uuid4().hex[:12]}"
    held = lease.claim(engine, camera_id, owner, settings.NODE_NAME, settings.LEASE_SECONDS, clock.now_us())
    if held is None:
        log.info("camera %s: watched already", camera_id)
        return
    state, reason = lease.STOPPED, "the watcher failed; the log says why"
    try:
        detectors = functools.partial(detector_for, settings)
        state, reason = Watcher(held, WatchStore(engine), settings, detectors, clock, stop).run()
    finally:
        try:
            lease.release(engine, held, state, reason, clock.now_us())
        except StorageError as error:
            log.warning("camera %s: the lease runs out by itself: %s", camera_id, error)
