"""What a worker process shows of its cameras beside their events, from a thread that keeps nobody waiting.

Numbers and pictures go over Redis (`LiveBoard`), now and then a picture to the database. Neither is any
part's transaction: what fails here is tried later, or left.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref

from sqlalchemy.engine import Engine

from server.clock import Clock
from server.config import Settings
from server.errors import StorageError
from server.services.housekeeping import sweep_crops
from server.services.live import LiveBoard, Shot
from server.services.shots import store_shot

log = logging.getLogger(__name__)

AGAIN_SECONDS = 10.0
"""A database that did not take a picture is left alone for this long."""
SWEEP_SECONDS = 3600.0
"""How often the pictures of events on this host are looked through for those whose time is over."""
_FIRST_SWEEP_SECONDS = 60.0


class Showing:
    """One a worker process: its board, and a thread that stores pictures and sweeps old ones."""

    def __init__(self, engine: Engine, settings: Settings, clock: Clock) -> None:
        self.board = LiveBoard(settings.REDIS_URL, clock)
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: dict[int, Shot] = {}
        self._busy = False
        self._ended = False
        self._quiet = False
        self._thread = threading.Thread(target=self._run, name="showing", daemon=True)
        self.errors = 0
        """Pictures that the database did not take when they were offered, so far."""

    def start(self) -> None:
        """Begin to show."""
        self.board.start()
        self._thread.start()

    def close(self) -> None:
        """Show no more; what waits is offered once more."""
        self.flush()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self.board.close()

    def keep(self, camera_id: int, shot: Shot) -> None:
        """Store this picture of a camera soon. Cheap; of several only the last is stored."""
        with self._changed:
            self._waiting[camera_id] = shot
            self._changed.notify_all()

    def flush(self, patience: float = 1.0) -> bool:
        """Wait until everything is stored, but no longer than `patience` seconds; gives whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, patience)

    def _run(self) -> None:
        again_at = 0.0
        sweep_at = self._clock.monotonic() + _FIRST_SWEEP_SECONDS
        while True:
            with self._changed:
                now = self._clock.monotonic()
                if self._ended:
                    return
                if not self._waiting or now < again_at:
                    pause = (again_at if self._waiting else sweep_at) - now
                    self._changed.wait(max(0.05, min(pause, sweep_at - now)))
                taken = {}
                if self._clock.monotonic() >= again_at:
                    taken, self._waiting = self._waiting, {}
                self._busy = bool(taken)
            try:
                left = self._store(taken)
                if self._clock.monotonic() >= sweep_at:
                    sweep_at = self._clock.monotonic() + SWEEP_SECONDS
                    self._sweep()
            except Exception:
                # The edge of the thread: cameras are watched whether or not they are shown.
                log.exception("pictures of cameras are not stored")
                left = {}
            if left:
                again_at = self._clock.monotonic() + AGAIN_SECONDS
            with self._changed:
                self._waiting = left | self._waiting
                self._busy = False
                self._changed.notify_all()

    def _store(self, shots: dict[int, Shot]) -> dict[int, Shot]:
        """Store pictures; gives those that are to be tried again."""
        left = dict(shots)
        for id_, shot in shots.items():
            try:
                store_shot(self._engine, id_, shot)
            except StorageError as error:
                self.errors += 1
                if not self._quiet:
                    log.warning("camera %d: its picture is stored later: %s", id_, error)
                self._quiet = True
                return left
            del left[id_]
        if shots:
            self._quiet = False
        return left

    def _sweep(self) -> None:
        try:
            sweep_crops(
                self._engine,
                self._settings.CROPS_DIR,
                self._settings.CROPS_KEEP_DAYS,
                self._settings.CROPS_MAX_BYTES,
                self._clock.now_us(),
            )
        except StorageError as error:
            log.warning("old pictures of events stay for now: %s", error)


_lock = threading.Lock()
_showings: weakref.WeakKeyDictionary[Engine, tuple[int, Showing]] = weakref.WeakKeyDictionary()


def showing_of(engine: Engine, settings: Settings, clock: Clock) -> Showing:
    """That of this process, begun at the first call. A forked child begins its own."""
    with _lock:
        known = _showings.get(engine)
        if known is None or known[0] != os.getpid():
            made = Showing(engine, settings, clock)
            made.start()
            known = _showings[engine] = os.getpid(), made
        return known[1]
