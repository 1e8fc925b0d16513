"""The loop that works one camera: connection after connection, for as long as it is enabled."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from collections.abc import Callable

from server.clock import Clock
from server.config import Settings
from server.errors import CheckpointError, HypersightError, LeaseLost, SourceError, StorageError
from server.log import CameraLogger, redact
from server.media.source import LiveSource
from server.media.sources import is_file, source_for
from server.services.analysis import Analysis, Outcome
from server.watchers.connection import FINISHED, SHUTTING_DOWN, SWITCHED_OFF, Connection, DetectorFor, Replan
from server.watchers.disk import SegmentKeeper
from server.watchers.eyes import Eyes
from server.watchers.ingest import MOST_ABANDONED, Feed, FileFeed, Ingest
from server.watchers.lease import STARTING, STOPPED, UNREACHABLE, Claim
from server.watchers.ledger import Ledger, Outage
from server.watchers.plan import Plan
from server.watchers.showing import Showing
from server.watchers.spool import Spool
from server.watchers.store import Saved, WatchStore
from server.watchers.suspicion import Suspicion

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Pauses between attempts grow from the first to the longest, in seconds, each shortened by chance …"""
HEALTHY_SECONDS = 60.0
"""… and begin again after the camera was watched for this long."""
_TICK = 1.0
"""Seconds between two looks at the settings while there is nothing to analyse."""

FeedFor = Callable[[Plan, int, int | None], Feed]
"""Gives the feed of a camera: its plan, the anchor and the last known tick."""


class Watcher:
    """Works one camera under one claim.

    `run` retries for ever and ends only when told to; `run_once` works one connection and raises.
    """

    def __init__(
        self,
        held: Claim,
        store: WatchStore,
        settings: Settings,
        detector_for: DetectorFor,
        clock: Clock,
        stop: threading.Event,
        *,
        outage: Outage | None = None,
        feed_for: FeedFor | None = None,
        showing: Showing | None = None,
    ) -> None:
        """outage, showing: shared by the watchers of a process. feed_for: how cameras are read, if not as
        usual."""
        self._held = held
        self._store = store
        self._settings = settings
        self._detector_for = detector_for
        self._clock = clock
        self._stop = stop
        self._log = CameraLogger(logging.getLogger(__name__), held.camera_id)
        self._spool = Spool(settings.SPOOL_DIR, held.camera_id, settings.SPOOL_MAX_BYTES)
        self._ledger = Ledger(held, store, self._spool, outage or Outage(clock), clock, self._log)
        self._feed_for = feed_for or self._usual_feed
        self._showing = showing
        self._strikes = held.strikes
        self._plan: Plan | None = None
        self._settled = False
        self._stuck: list[threading.Thread] = []
        self.errors = 0
        """Attempts that ended with an error so far."""

    def run(self) -> tuple[str, str]:
        """Watch until stopped, disabled or at the end of the source; gives the last state and reason."""
        pause = FIRST_PAUSE
        with contextlib.closing(self._ledger):
            while not self._stop.is_set():
                started = self._clock.monotonic()
                try:
                    return self.run_once()
                except Replan:
                    continue
                except LeaseLost as error:
                    self._log.warning("%s", error)
                    return STOPPED, ""
                except HypersightError as error:
                    self.errors += 1
                    if self._clock.monotonic() - started > HEALTHY_SECONDS:
                        pause = FIRST_PAUSE
                    ended = self._rest(pause * random.uniform(0.5, 1.0), error)
                    if ended is not None:
                        return ended
                    pause = min(LONGEST_PAUSE, pause * 2)
        return SHUTTING_DOWN

    def run_once(self) -> tuple[str, str]:
        """Work one connection. Raises SourceError, DecodeError, ModelError, StorageError, LeaseLost."""
        if not self._settled:
            self._ledger.settle()
            self._settled = True
        plan = self._fresh_plan()
        if plan is None or not plan.enabled:
            return SWITCHED_OFF
        repeatable = is_file(plan.address)
        suspicion = Suspicion(self._strikes, repeatable, self._ledger.mark)
        if not self._begin(suspicion):
            return SHUTTING_DOWN
        self._strikes = 0
        try:
            state = self._connect(plan, suspicion, repeatable)
        except (HypersightError, Replan):
            # An end in order, too: what was begun is no suspect.
            self._acquit(suspicion)
            raise
        except BaseException:
            suspicion.let_go()
            raise
        self._acquit(suspicion)
        return state

    def _acquit(self, suspicion: Suspicion) -> None:
        with contextlib.suppress(StorageError, LeaseLost):
            suspicion.end()

    def _connect(self, plan: Plan, suspicion: Suspicion, repeatable: bool) -> tuple[str, str]:
        saved, analysis = self._resume(plan, repeatable)
        if saved is not None and saved.finished:
            return FINISHED
        anchor_us = saved.anchor_us if saved is not None else self._clock.now_us()
        if not repeatable:
            self._refuse_more_threads()
        feed = self._feed_for(plan, anchor_us, saved.cursor if saved is not None else None)
        keeper = SegmentKeeper(
            self._settings.SEGMENTS_DIR,
            self._held.camera_id,
            self._held.fence,
            self._settings.SEGMENTS_KEEP_SECONDS,
            self._clock,
        )
        eyes = Eyes(
            plan, analysis, self._settings, self._showing, self._clock, self._log, self._counted_today
        )
        work = Connection(
            plan,
            analysis,
            feed,
            keeper,
            self._ledger,
            self._store,
            self._detector_for,
            self._clock,
            self._log,
            eyes,
        )
        self._ledger.show(STARTING, "connecting")
        try:
            with contextlib.closing(keeper), contextlib.closing(eyes):
                keeper.open()
                backlog_us = int(self._settings.BACKLOG_SECONDS * 1e6)
                return work.work(self._stop, saved, suspicion, anchor_us, backlog_us)
        finally:
            self._plan = work.plan
            feed.close()
            if isinstance(feed, Ingest) and feed.left_behind is not None:
                self._stuck.append(feed.left_behind)

    def _counted_today(self, processor_id: int) -> tuple[int, int, int]:
        """A processor's in and out today. Raises StorageError, at once while the database is away."""
        if self._ledger.away:
            raise StorageError("the database does not answer")
        return self._store.counted_today(processor_id, self._settings.timezone, self._clock.now_us())

    def _usual_feed(self, plan: Plan, anchor_us: int, after: int | None) -> Feed:
        source = source_for(
            plan.address,
            loop=plan.loop,
            transport=plan.transport,
            anchor_us=anchor_us,
            after=after,
            clock=self._clock,
            networks=self._settings.stream_networks,
            working=lambda: self._ledger.hold(plan.revision),
        )
        if is_file(plan.address):
            return FileFeed(source, self._clock, after)
        live: LiveSource = source  # type: ignore[assignment]
        return Ingest(
            live,
            self._clock,
            self._log,
            self._settings.INGEST_MAX_BYTES,
            3 * self._settings.BACKLOG_SECONDS,
        )

    def _fresh_plan(self) -> Plan | None:
        """The camera's settings; those known last while the database is away. Raises StorageError."""
        try:
            plan = self._store.plan(self._held.camera_id)
        except StorageError:
            if self._plan is None or self._ledger.saved is None:
                raise
            return self._plan
        if plan is not None:
            for trouble in plan.unusable:
                self._log.error("left out: %s", trouble)
        self._plan = plan
        return plan

    def _resume(self, plan: Plan, repeatable: bool) -> tuple[Saved | None, Analysis]:
        """The checkpoint, if there is one that fits, and the analysis to go on with if it is fresh enough."""
        analysis = self._new_analysis(plan)
        try:
            saved = self._ledger.saved or self._store.checkpoint(self._held.camera_id)
            if saved is None or saved.source != plan.source:
                return None, analysis
            gap_us = self._clock.now_us() - saved.watched_until_us
            fresh = gap_us <= self._settings.RESUME_SECONDS * 1e6
            if saved.finished:
                return saved, analysis
            if plan.loop and repeatable and not fresh:
                return None, analysis
            if repeatable or fresh:
                analysis.restore(saved.analysis)
            if not repeatable:
                analysis.interrupt("connection")
        except CheckpointError as error:
            self._log.error("starting anew: %s", error)
            # What was restored before the damage was found must not leak into the new start.
            again = self._store.plan(self._held.camera_id) or plan
            return None, self._new_analysis(again)
        self._log.info("goes on from its checkpoint, %.1f s back", gap_us / 1e6)
        return saved, analysis

    def _new_analysis(self, plan: Plan) -> Analysis:
        return Analysis(self._detector_for(plan.grid), plan.rules, plan.watch_fps, plan.masks)

    def _begin(self, suspicion: Suspicion) -> bool:
        """Wait until the next part may be begun; False where the watcher is to end first."""
        if suspicion.pause:
            error = SourceError("its video has ended its worker again and again, so it is left alone for now")
            if self._rest(suspicion.pause, error) is not None:
                return False
        waiting = SourceError("waits for other cameras to begin", state=STARTING)
        while not self._stop.is_set() and not suspicion.begin():
            if self._rest(_TICK, waiting, quiet=True) is not None:
                return False
        return not self._stop.is_set()

    def _refuse_more_threads(self) -> None:
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        if len(self._stuck) >= MOST_ABANDONED:
            raise SourceError(
                f"{len(self._stuck)} attempts to read it hang inside a library and have not come back yet"
            )

    def _rest(self, seconds: float, error: HypersightError, *, quiet: bool = False) -> tuple[str, str] | None:
        """Wait before the next attempt, holding on to the lease and heeding changes."""
        reason = redact(str(error))
        if not quiet:
            self._log.warning("%s; trying again in about %.0f s", reason, seconds)
        self._ledger.show(error.state if isinstance(error, SourceError) else UNREACHABLE, reason)
        revision = self._plan.revision if self._plan is not None else 0
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until:
            with contextlib.suppress(StorageError):
                standing = self._ledger.commit(Outcome(), None, revision)
                if not standing.enabled:
                    return SWITCHED_OFF
                if standing.drain:
                    return SHUTTING_DOWN
                if standing.revision != revision or (
                    isinstance(error, StorageError) and not self._ledger.away
                ):
                    return None
            if self._clock.wait(self._stop, min(_TICK, max(0.0, until - self._clock.monotonic()))):
                break
        return None
