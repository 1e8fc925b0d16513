"""Where a watcher's results go: the database, or the spool for as long as that is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from server.clock import Clock
from server.domain.video import us_to_datetime
from server.errors import LeaseLost, StorageError
from server.log import CameraLogger, redact
from server.services.analysis import Outcome
from server.watchers import stuck
from server.watchers.lease import Claim, Standing
from server.watchers.spool import Spool, spooled_cameras
from server.watchers.store import Entry, Saved, WatchStore

PROBE_SECONDS = 2.0
"""While the database is away, one watcher of a process tries it this often, and no other waits for it."""
HOLD_SECONDS = 1.0
"""A lease is renewed at least this often."""
_BATCH = 100
"""Entries stored in one transaction when the database is back."""
_SERIALS_A_CLAIM = 1 << 32


class Outage:
    """Whether the database is away, as all watchers of a process know it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 0.0
        self.away = False
        """Whether the last attempt failed."""

    @contextmanager
    def attempt(self) -> Iterator[bool]:
        """Gives whether the database is to be tried now; the attempt's StorageError passes through."""
        probing = self.away
        if probing and (self._clock.monotonic() < self._next or not self._lock.acquire(blocking=False)):
            yield False
            return
        try:
            yield True
        except StorageError:
            self.away = True
            self._next = self._clock.monotonic() + PROBE_SECONDS
            raise
        else:
            self.away = False
        finally:
            if probing:
                self._lock.release()


class Ledger:
    """Stores what came of each part, once and in order, whether or not the database answers just now."""

    def __init__(
        self, held: Claim, store: WatchStore, spool: Spool, outage: Outage, clock: Clock, log: CameraLogger
    ) -> None:
        self._held = held
        self._store = store
        self._spool = spool
        self._outage = outage
        self._clock = clock
        self._log = log
        self._serial = held.fence * _SERIALS_A_CLAIM
        self._shown = ("", "")
        self._committed_at = clock.monotonic()
        self._news: tuple[str, str, datetime] | None = None
        self.saved: Saved | None = None
        """The last checkpoint that was handed in, stored or not."""

    @property
    def shown(self) -> tuple[str, str]:
        """The state and reason that were told last."""
        return self._shown

    @property
    def away(self) -> bool:
        """Whether the database did not answer when it was last tried."""
        return self._outage.away

    def settle(self) -> None:
        """Store what an earlier watcher of this host had to hold back. Raises StorageError, LeaseLost."""
        waiting = self._spool.entries()
        if not waiting:
            return
        stored = self._store.serial(self._held.camera_id)
        fresh = [entry for entry in waiting if entry.serial > stored]
        if fresh:
            self._store_all(fresh)
            self._log.info("%d parts that were held back for the database are stored", len(fresh))
        elif waiting[-1].serial // _SERIALS_A_CLAIM < stored // _SERIALS_A_CLAIM:
            self._deliver_late(waiting)
        self._spool.clear()

    def show(self, state: str, reason: str) -> None:
        """Tell with the next commit how the camera stands, where that is new."""
        if (state, reason) != self._shown:
            self._shown = (state, reason)
            self._news = state, redact(reason), us_to_datetime(self._clock.now_us())

    def commit(
        self, outcome: Outcome, saved: Saved | None, revision: int, *, advances: bool = True
    ) -> Standing:
        """Store what came of a part, now or once the database is back.

        advances: whether the part had never been finished before. Raises LeaseLost, and StorageError
        where neither the database nor the spool takes it.
        """
        self._serial += 1
        entry = Entry(self._serial, outcome, saved, self._news, revision, advances)
        standing = self._store_or_spool(entry)
        self._committed_at = self._clock.monotonic()
        stuck.progress()
        self._news = None
        self.saved = saved or self.saved
        return standing

    def hold(self, revision: int) -> None:
        """Hold on to the lease while nothing else is stored. Raises LeaseLost, StorageError."""
        if self._clock.monotonic() - self._committed_at >= HOLD_SECONDS:
            self.commit(Outcome(), None, revision)

    def mark(self, strikes: int) -> Standing:
        """Write down how often the next part has been begun. Raises LeaseLost, StorageError."""
        with self._outage.attempt() as may_try:
            if not may_try:
                raise StorageError("the database does not answer")
            return self._store.mark(self._held, strikes)

    def close(self) -> None:
        """Let go of the spool; what waits in it is stored by the camera's next watcher here."""
        self._spool.close()

    def _store_or_spool(self, entry: Entry) -> Standing:
        waiting = self._spool.count
        try:
            with self._outage.attempt() as may_try:
                if may_try:
                    if not waiting:
                        return self._store.commit(self._held, [entry])
                    return self._catch_up(entry)
        except StorageError as error:
            if not waiting:
                self._log.warning("events are held back: %s", redact(str(error)))
        except LeaseLost:
            # Nobody could claim the camera while the database was away: until then it was ours alone.
            self._deliver_late(self._spool.entries())
            self._spool.clear()
            raise
        if _says_something(entry):
            self._spool.append(entry)
        return Standing(entry.revision, enabled=True, drain=False)

    def _catch_up(self, entry: Entry) -> Standing:
        waiting = self._spool.entries()
        stored = self._store.serial(self._held.camera_id)
        standing = self._store_all([*(old for old in waiting if old.serial > stored), entry])
        self._spool.clear()
        self._log.info("the database is back: %d parts that were held back are stored", len(waiting))
        return standing

    def _store_all(self, entries: list[Entry]) -> Standing:
        for at in range(0, len(entries), _BATCH):
            standing = self._store.commit(self._held, entries[at : at + _BATCH])
        return standing

    def _deliver_late(self, entries: list[Entry]) -> None:
        if entries:
            count = self._store.deliver_late(self._held.camera_id, entries, self._held.node)
            self._log.warning("%d events that were held back are stored late", count)


def _says_something(entry: Entry) -> bool:
    """Whether anything is lost with the entry."""
    return bool(entry.outcome.events or entry.outcome.spans or entry.saved or entry.news)


def settle_orphans(store: WatchStore, directory: Path, node: str) -> int:
    """Store what was held back on this node for cameras that others watch by now, or that are gone.

    Gives how many cameras that were. Raises StorageError.
    """
    done = 0
    waiting = spooled_cameras(directory)
    elsewhere = store.not_of(node, waiting) if waiting else set()
    for camera_id in waiting:
        spool = Spool(directory, camera_id, 0)
        if camera_id in elsewhere and spool.take():
            store.deliver_late(camera_id, spool.entries(), node)
            spool.clear()
            done += 1
        spool.close()
    return done
