"""The loop that works one camera: parts in, events and checkpoints out, for as long as it is enabled."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from server.clock import Clock
from server.config import Settings
from server.domain.video import Part, us_to_datetime
from server.errors import CheckpointError, HypersightError, LeaseLost, SourceError, StorageError
from server.log import CameraLogger, redact
from server.media.addresses import file_of
from server.media.file_source import FileSource
from server.media.source import Source
from server.services.analysis import Analysis, Outcome
from server.vision.detector import Detector
from server.watchers.disk import SegmentKeeper
from server.watchers.lease import BLIND, ENDED, STOPPED, UNREACHABLE, WATCHING, Claim, Standing
from server.watchers.store import Plan, Saved, WatchStore

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Pauses between attempts grow from the first to the longest, in seconds, each shortened by chance …"""
HEALTHY_SECONDS = 60.0
"""… and begin again after the camera was watched for this long."""
_TICK = 1.0
"""Seconds between two looks at the settings while there is nothing to analyse."""

DetectorFor = Callable[[int], Detector]
"""Gives the detector for a grid."""


class _Replan(Exception):
    """The camera's source has changed."""


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
    ) -> None:
        self._held = held
        self._store = store
        self._settings = settings
        self._detector_for = detector_for
        self._clock = clock
        self._stop = stop
        self._log = CameraLogger(logging.getLogger(__name__), held.camera_id)
        self._shown: tuple[str, str] = ("", "")
        self._revision = 0
        self.errors = 0
        """Attempts that ended with an error so far."""

    def run(self) -> tuple[str, str]:
        """Watch until stopped, disabled or at the end of the source; gives the last state and reason."""
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            started = self._clock.monotonic()
            try:
                return self.run_once()
            except _Replan:
                continue
            except LeaseLost as error:
                self._log.warning("%s", error)
                return STOPPED, ""
            except HypersightError as error:
                self.errors += 1
                if self._clock.monotonic() - started > HEALTHY_SECONDS:
                    pause = FIRST_PAUSE
                reason = redact(str(error))
                self._log.warning("%s; trying again in about %.0f s", reason, pause)
                ended = self._rest(pause * random.uniform(0.5, 1.0), reason, error)
                if ended is not None:
                    return ended
                pause = min(LONGEST_PAUSE, pause * 2)
        return STOPPED, "the worker is shutting down"

    def run_once(self) -> tuple[str, str]:
        """Work one connection. Raises SourceError, DecodeError, ModelError, StorageError, LeaseLost."""
        plan = self._store.plan(self._held.camera_id)
        if plan is None or not plan.enabled:
            return STOPPED, "the camera is switched off"
        self._adopt(plan)
        saved, analysis = self._resume(plan)
        if saved is not None and saved.finished:
            return ENDED, "the file has been played to its end"
        anchor_us = saved.anchor_us if saved is not None else self._clock.now_us()
        source = FileSource(file_of(plan.address), loop=plan.loop, anchor_us=anchor_us, clock=self._clock)
        keeper = SegmentKeeper(
            self._settings.SEGMENTS_DIR,
            self._held.camera_id,
            self._held.fence,
            self._settings.SEGMENTS_KEEP_SECONDS,
            self._clock,
        )
        with contextlib.closing(source), contextlib.closing(keeper):
            source.open()
            keeper.open()
            return self._watch(plan, analysis, source, keeper, saved)

    def _watch(
        self, plan: Plan, analysis: Analysis, source: Source, keeper: SegmentKeeper, saved: Saved | None
    ) -> tuple[str, str]:
        usual_us = int(self._settings.BACKLOG_SECONDS * 1e6)
        behind_us = self._clock.now_us() - saved.watched_until_us if saved is not None else 0
        lag = _Lag(usual_us + max(0, behind_us), usual_us)
        skipped: list[Part] = []
        end_us = saved.watched_until_us if saved is not None else source.anchor_us
        known = saved.cursor if saved is not None else None
        for part in source.parts(self._stop, known):
            keeper.write(part)
            if known is not None and all(packet.pts <= known for packet in part.packets):
                # Committed before the restart: it only brings the decoder to where it was.
                analysis.feed(part)
                continue
            end_us = part.end_us
            late_us = self._clock.now_us() - part.end_us
            if source.live and (lag.exceeded(late_us) or (skipped and late_us > 1_000_000)):
                # Only what follows the last keyframe is needed to go on decoding.
                skipped = [part] if part.independent else [*skipped, part]
                plan = self._heed(plan, analysis, self._commit_skipped(plan, analysis, source, part, late_us))
                continue
            if skipped:
                analysis.pass_over(skipped)
                skipped = []
            outcome = analysis.feed(part)
            state = self._state_of(outcome, plan, keeper)
            standing = self._commit(plan, analysis, source, outcome, part.end_us, state)
            keeper.sweep()
            plan = self._heed(plan, analysis, standing)
            if not plan.enabled:
                return self._switch_off(plan, analysis, source, part.end_us)
            if self._stop.is_set():
                break
        if self._stop.is_set():
            return STOPPED, "the worker is shutting down"
        return self._end(plan, analysis, source, end_us)

    def _adopt(self, plan: Plan) -> None:
        self._revision = plan.revision
        for trouble in plan.unusable:
            self._log.error("left out: %s", trouble)

    def _resume(self, plan: Plan) -> tuple[Saved | None, Analysis]:
        """The checkpoint, if there is one that fits and is fresh enough, and the analysis to go on with."""
        analysis = Analysis(self._detector_for(plan.grid), plan.rules, plan.watch_fps)
        try:
            saved = self._store.checkpoint(self._held.camera_id)
            if saved is None or saved.source != plan.source:
                return None, analysis
            gap_us = self._clock.now_us() - saved.watched_until_us
            if saved.finished or (plan.loop and gap_us > self._settings.RESUME_SECONDS * 1e6):
                return (saved if saved.finished else None), analysis
            analysis.restore(saved.analysis)
        except CheckpointError as error:
            self._log.error("starting anew: %s", error)
            # What was restored before the damage was found must not leak into the new start.
            fresh = self._store.plan(self._held.camera_id) or plan
            return None, Analysis(self._detector_for(plan.grid), fresh.rules, plan.watch_fps)
        self._log.info("goes on from its checkpoint, %.1f s back", gap_us / 1e6)
        return saved, analysis

    def _heed(self, plan: Plan, analysis: Analysis, standing: Standing) -> Plan:
        """Take over settings that have changed. Raises _Replan where the source has."""
        if standing.drain:
            self._stop_soon()
        if standing.revision == plan.revision:
            return plan
        fresh = self._store.plan(self._held.camera_id)
        if fresh is None:
            raise LeaseLost("the camera has been deleted")
        self._adopt(fresh)
        if not fresh.enabled:
            return fresh
        if fresh.source != plan.source:
            self._commit_paused(fresh, analysis, "source changed")
            raise _Replan
        outcome = analysis.configure(self._detector_for(fresh.grid), fresh.rules, fresh.watch_fps)
        if outcome.spans:
            self._store.commit(self._held, outcome, None, None, fresh.revision)
        self._log.info("works by changed settings")
        return fresh

    def _stop_soon(self) -> None:
        """A drain concerns this watcher alone, though `stop` may be shared by all of a worker."""
        self._stop = _set_event()

    def _commit(
        self,
        plan: Plan,
        analysis: Analysis,
        source: Source,
        outcome: Outcome,
        until_us: int,
        state: tuple[str, str],
        finished: bool = False,
    ) -> Standing:
        saved = None
        if analysis.cursor is not None:
            saved = Saved(
                anchor_us=source.anchor_us,
                cursor=analysis.cursor,
                watched_until_us=until_us,
                source=plan.source,
                finished=finished,
                analysis=analysis.state(),
            )
        return self._store.commit(self._held, outcome, saved, self._news(*state), plan.revision)

    def _commit_skipped(
        self, plan: Plan, analysis: Analysis, source: Source, part: Part, late_us: int
    ) -> Standing:
        self._log_once(WATCHING, f"too slow: {late_us / 1e6:.0f} s behind, skipping to the newest part")
        outcome = analysis.pause("behind")
        analysis.cursor = max(analysis.cursor or 0, part.packets[-1].pts)
        return self._commit(plan, analysis, source, outcome, part.end_us, self._shown)

    def _commit_paused(self, plan: Plan, analysis: Analysis, reason: str) -> None:
        self._store.commit(self._held, analysis.pause(reason), None, None, plan.revision)

    def _switch_off(self, plan: Plan, analysis: Analysis, source: Source, until_us: int) -> tuple[str, str]:
        outcome = analysis.pause("disabled")
        state = (STOPPED, "the camera is switched off")
        self._commit(plan, analysis, source, outcome, until_us, state)
        return state

    def _end(self, plan: Plan, analysis: Analysis, source: Source, end_us: int) -> tuple[str, str]:
        """The source has ended: what is still held back counts, then nothing more."""
        outcome = analysis.finish(end_us, "end")
        state = (ENDED, "the file has been played to its end")
        self._commit(plan, analysis, source, outcome, end_us, state, finished=True)
        self._log.info("%s", state[1])
        return state

    def _rest(self, seconds: float, reason: str, error: HypersightError) -> tuple[str, str] | None:
        """Wait before the next attempt, holding on to the lease and heeding changes."""
        state = error.state if isinstance(error, SourceError) else UNREACHABLE
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until:
            with contextlib.suppress(StorageError):
                standing = self._store.commit(
                    self._held, Outcome(), None, self._news(state, reason), self._revision
                )
                if standing.drain or not standing.enabled:
                    return STOPPED, "the camera is switched off"
                if standing.revision != self._revision:
                    return None
            if self._clock.wait(self._stop, min(_TICK, max(0.0, until - self._clock.monotonic()))):
                break
        return None

    def _state_of(self, outcome: Outcome, plan: Plan, keeper: SegmentKeeper) -> tuple[str, str]:
        if outcome.blind:
            self._log_once(BLIND, outcome.blind)
            return BLIND, outcome.blind
        reason = "; ".join(filter(None, [*plan.unusable, keeper.trouble]))
        return WATCHING, reason

    def _log_once(self, state: str, reason: str) -> None:
        if self._shown[0] != state or not self._shown[1]:
            self._log.warning("%s", redact(reason))

    def _news(self, state: str, reason: str) -> tuple[str, str, datetime] | None:
        """The state to store, or None where it is stored already."""
        if (state, reason) == self._shown:
            return None
        self._shown = (state, reason)
        return state, redact(reason), us_to_datetime(self._clock.now_us())


def _set_event() -> threading.Event:
    event = threading.Event()
    event.set()
    return event
