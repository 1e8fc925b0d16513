"""One connection of a camera: its parts in, what came of them out, until it ends or something changes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from server.clock import Clock
from server.domain.video import Part
from server.errors import LeaseLost
from server.log import CameraLogger, redact
from server.media.parts import SEGMENT_MAX_TICKS
from server.services.analysis import Analysis, Outcome
from server.vision.detector import Detector
from server.watchers.disk import SegmentKeeper
from server.watchers.eyes import Eyes
from server.watchers.ingest import Feed
from server.watchers.lease import BLIND, ENDED, STOPPED, WATCHING, Standing
from server.watchers.ledger import Ledger
from server.watchers.plan import Plan
from server.watchers.store import Saved, WatchStore
from server.watchers.suspicion import Suspicion

CAUGHT_UP_US = 1_000_000
"""A watcher that skips goes on with analysis once a part has waited no longer than this (microseconds)."""
SLOW_COMMIT_S = 1.0
"""Waiting longer than this (seconds) for the database is not the analysis falling behind."""
FINISHED = (ENDED, "the file has been played to its end")
SWITCHED_OFF = (STOPPED, "the camera is switched off")
SHUTTING_DOWN = (STOPPED, "the worker is shutting down")


DetectorFor = Callable[[int], Detector]
"""Gives the detector for a grid."""


class Replan(Exception):
    """The camera's source has changed: connect anew."""


@dataclass(slots=True)
class _Lag:
    """How far analysis may be behind, in microseconds. After a restart it may catch up first."""

    allowed_us: int
    usual_us: int

    def exceeded(self, lag_us: int) -> bool:
        """Whether it is too far behind now."""
        if lag_us <= self.usual_us:
            self.allowed_us = self.usual_us
        return lag_us > self.allowed_us

    def allow(self, further_us: int) -> None:
        """It is not to blame for this much."""
        self.allowed_us += further_us


class Connection:
    """Works a camera from one connect to the next."""

    def __init__(
        self,
        plan: Plan,
        analysis: Analysis,
        feed: Feed,
        keeper: SegmentKeeper,
        ledger: Ledger,
        store: WatchStore,
        detector_for: DetectorFor,
        clock: Clock,
        log: CameraLogger,
        eyes: Eyes,
    ) -> None:
        self.plan = plan
        self._analysis = analysis
        self._feed = feed
        self._keeper = keeper
        self._ledger = ledger
        self._store = store
        self._detector_for = detector_for
        self._clock = clock
        self._log = log
        self._eyes = eyes
        self._left_out = ""
        self._skipped: list[Part] = []
        self._draining = False
        self._anchor_us = 0
        self._until_us = 0
        self._committed_us = 0
        """Wall time up to which parts that come again now had been finished before; 0: none does."""
        self._advances = True

    def work(
        self,
        stop: threading.Event,
        saved: Saved | None,
        suspicion: Suspicion,
        anchor_us: int,
        backlog_us: int,
    ) -> tuple[str, str]:
        """Watch until stopped, disabled or at the source's end; gives the last state and reason.

        saved: where to go on, on a source that can be read again. anchor_us: wall time of tick 0.
        backlog_us: how far analysis may be behind before it skips. Raises SourceError, DecodeError,
        StorageError, LeaseLost, and Replan.
        """
        known = saved.cursor if saved is not None and self._feed.repeatable else None
        self._anchor_us = anchor_us
        self._until_us = saved.watched_until_us if saved is not None else anchor_us
        lag = _Lag(backlog_us, backlog_us)
        if known is not None:
            self._committed_us = self._until_us
            lag.allow(max(0, self._clock.now_us() - self._until_us))
        for arrival in self._feed.arrivals(stop):
            if arrival is None:
                self._idle()
            elif known is not None and all(packet.pts <= known for packet in arrival.part.packets):
                # Committed before the restart: it only brings the decoder to where it was.
                self._keeper.write(arrival.part)
                if not suspicion.condemned:
                    self._analysis.feed(arrival.part)
            else:
                self._take(arrival.part, arrival.late_us, lag, suspicion)
            if not self.plan.enabled:
                return self._switch_off()
            if stop.is_set() or self._draining:
                return SHUTTING_DOWN
        return SHUTTING_DOWN if stop.is_set() else self._end()

    def _take(self, part: Part, late_us: int, lag: _Lag, suspicion: Suspicion) -> None:
        self._keeper.write(part)
        self._eyes.arrived(part)
        self._advances = part.end_us > self._committed_us
        if suspicion.condemned and not self._advances:
            return
        self._anchor_us, self._until_us = part.anchor_us, part.end_us
        if suspicion.passes_over(part):
            self._leave_out(part, "quarantined", "leaves out a part that has ended its worker twice")
            self._analysis.leave()
            # The danger is past: other suspects may begin.
            suspicion.let_go()
            return
        if self._feed.live and (lag.exceeded(late_us) or (self._skipped and late_us > CAUGHT_UP_US)):
            self._remember_skipped(part)
            self._eyes.skipped(part)
            self._leave_out(part, "behind", "analysis is too slow for it: skips to the newest pictures")
            return
        if self._skipped:
            self._analysis.pass_over(self._skipped)
            self._skipped = []
        self._left_out = ""
        began = self._clock.monotonic()
        outcome = self._analysis.feed(part)
        self._eyes.analysed(outcome, late_us / 1e6 + self._clock.monotonic() - began)
        self._tell(outcome)
        before = self._clock.monotonic()
        self._heed(self._commit(outcome))
        took = self._clock.monotonic() - before
        if took > SLOW_COMMIT_S:
            lag.allow(int(took * 1e6))
        if self._advances:
            suspicion.lift()
        self._keeper.sweep()
        self._eyes.tick(self._feed)

    def _remember_skipped(self, part: Part) -> None:
        """Only what follows the last keyframe is needed to go on decoding, and not for ever."""
        if part.independent:
            self._skipped.clear()
        self._skipped.append(part)
        if part.end - self._skipped[0].start > SEGMENT_MAX_TICKS:
            self._skipped.clear()
            self._analysis.leave()

    def _leave_out(self, part: Part, reason: str, words: str) -> None:
        """Go past a part without looking at it; the gap is recorded."""
        if self._left_out != reason:
            self._log.warning("%s", words)
        self._left_out = reason
        outcome = self._analysis.pause(reason)
        self._ledger.show(WATCHING, words)
        self._analysis.cursor = max(self._analysis.cursor or 0, *(packet.pts for packet in part.packets))
        self._heed(self._commit(outcome))
        self._keeper.sweep()
        self._eyes.tick(self._feed)

    def _idle(self) -> None:
        """Nothing has come: hold on to the lease, and see whether something has changed."""
        self._heed(self._ledger.commit(Outcome(), None, self.plan.revision))
        self._eyes.tick(self._feed)

    def _heed(self, standing: Standing) -> None:
        """Take over settings that have changed. Raises Replan where the source has."""
        self._draining = self._draining or standing.drain
        if standing.revision == self.plan.revision:
            return
        fresh = self._store.plan(self.plan.camera_id)
        if fresh is None:
            raise LeaseLost("the camera has been deleted")
        for trouble in fresh.unusable:
            self._log.error("left out: %s", trouble)
        before, self.plan = self.plan, fresh
        if not fresh.enabled:
            return
        if fresh.connection != before.connection:
            self._ledger.commit(self._analysis.pause("source changed"), None, fresh.revision)
            raise Replan
        outcome = self._analysis.configure(
            self._detector_for(fresh.grid), fresh.rules, fresh.watch_fps, fresh.masks
        )
        if outcome.spans:
            self._ledger.commit(outcome, None, fresh.revision)
        self._eyes.configure(fresh)
        self._log.info("works by changed settings")

    def _commit(self, outcome: Outcome, finished: bool = False) -> Standing:
        saved = None
        if self._analysis.cursor is not None:
            saved = Saved(
                anchor_us=self._anchor_us,
                cursor=self._analysis.cursor,
                watched_until_us=self._until_us,
                source=self.plan.source,
                finished=finished,
                analysis=self._analysis.state(),
            )
        return self._ledger.commit(outcome, saved, self.plan.revision, advances=self._advances)

    def _switch_off(self) -> tuple[str, str]:
        self._ledger.show(*SWITCHED_OFF)
        self._commit(self._analysis.pause("disabled"))
        return SWITCHED_OFF

    def _end(self) -> tuple[str, str]:
        """The source has ended: what is still held back counts, then nothing more."""
        outcome = self._analysis.finish(self._until_us, "end")
        self._eyes.keep(outcome)
        self._ledger.show(*FINISHED)
        self._commit(outcome, finished=True)
        self._log.info("%s", FINISHED[1])
        return FINISHED

    def _tell(self, outcome: Outcome) -> None:
        if outcome.blind:
            if self._ledger.shown[0] != BLIND:
                self._log.warning("%s", redact(outcome.blind))
            self._ledger.show(BLIND, outcome.blind)
        else:
            troubles = [*self.plan.unusable, self._keeper.trouble, self._eyes.trouble]
            self._ledger.show(WATCHING, "; ".join(filter(None, troubles)))
