"""The way from encoded parts to events, for one camera. The same for a watcher and for a recording.

decoder → sampling at watch_fps → detector → tracker → processors. Nothing here is stored; what a crash
must not lose is in `state()`, and `restore()` goes on from it as if nothing had happened.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.domain.events import Event
from server.domain.geometry import Polygon
from server.domain.masks import Masker
from server.domain.tracks import Track
from server.domain.video import TICKS_PER_SECOND, Frame, Packet, Part, Picture
from server.errors import CheckpointError, DetectorError
from server.media.decoder import Decoder
from server.media.stills import scale_for, shrunk
from server.processors.base import BaseProcessor
from server.services.onlookers import Onlookers, Viewer, Witness
from server.vision.detector import Detector, fitting
from server.vision.tracker import Tracker, TrackerSettings

__all__ = [
    "Analysis",
    "Begin",
    "End",
    "Extend",
    "Outcome",
    "Rule",
    "Viewer",
    "Witness",
]

STATE_VERSION = 1
TRACKS_OUTLIVE_US = 2_500_000
"""After a longer gap (microseconds) nobody can say who is who: all tracks are void."""
SAME_ASPECT = 0.02
"""Pictures whose width by height differs by less than this share show the same cut of the scene."""
WAITING_BYTES = 24_000_000
"""Frames that wait for a batch to fill are kept no larger than this in all, for pictures of what happens."""
_SLACK_TICKS = TICKS_PER_SECOND // 1000
"""Containers round times: a frame this much early still belongs to the next slot."""


@dataclass(slots=True)
class Rule:
    """A processor as it is configured: the stored row's id and revision, and the thing itself."""

    id: int
    revision: int
    processor: BaseProcessor


@dataclass(frozen=True, slots=True)
class Begin:
    """From ts_us on, these processors observe (None: the camera itself)."""

    ts_us: int
    rules: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Extend:
    """Everything that observes has seen every moment up to ts_us."""

    ts_us: int


@dataclass(frozen=True, slots=True)
class End:
    """Observation stopped, and why. `rules` None: of everything."""

    reason: str
    rules: tuple[int, ...] | None = None


@dataclass(slots=True)
class Outcome:
    """What came of feeding a part. `spans` in order; `blind` is the detector's trouble at its end."""

    events: list[tuple[int, Event]] = field(default_factory=list)
    spans: list[Begin | Extend | End] = field(default_factory=list)
    decoded: int = 0
    analysed: int = 0
    blind: str = ""
    crops: dict[tuple[int, str], str] = field(default_factory=dict)
    """Which host keeps the picture of an event, by its processor and key."""

    def extend(self, ts_us: int) -> None:
        """Observed up to ts_us."""
        if self.spans and isinstance(self.spans[-1], Extend):
            self.spans.pop()
        self.spans.append(Extend(ts_us))


@dataclass(frozen=True, slots=True)
class _Pending:
    """A frame that waits for the detector's batch to fill: as the detector sees it, and for pictures."""

    frame: Frame = field(repr=False)
    picture: Picture = field(repr=False)


class Analysis:
    """Feed it parts in order; it gives back events and what was observed."""

    def __init__(
        self,
        detector: Detector,
        rules: Sequence[Rule],
        watch_fps: float,
        masks: Sequence[Polygon] = (),
    ) -> None:
        """watch_fps: frames analysed a second; a source with fewer is analysed whole. masks: what nobody
        is to see, the detector included."""
        self._detector = detector
        self._masker = Masker(masks)
        self._rules = {rule.id: rule for rule in rules}
        self._watch_fps = watch_fps
        self._tracker = Tracker()
        self._aspect: float | None = None
        """Width by height of the picture that the tracker works on; None before the first frame."""
        self._decoder: Decoder | None = None
        self._video: object = None
        self._pending: list[_Pending] = []
        self._observing: set[int | None] = set()
        self._seen_us: int | None = None
        self._interrupted = ""
        self._void = False
        """Whether the tracks end with the interruption, however short it is."""
        self._blind = ""
        self.cursor: int | None = None
        """Presentation time in ticks of the last frame that is done with."""
        self.detector_seconds = 0.0
        """Time spent waiting for the detector so far."""
        self.onlookers = Onlookers()
        """Who watches, from the next part on."""

    @property
    def viewers(self) -> list[Viewer]:
        """Those of `onlookers`."""
        return self.onlookers.viewers

    def feed(self, part: Part) -> Outcome:
        """Analyse a part. Raises DecodeError where there is no decoder for it."""
        outcome = Outcome()
        if part.gap:
            self._look(outcome)
            self._interrupted = self._interrupted or part.gap
            if part.gap != "clock":
                self._decoder = None
        self._take(self._frames(part), outcome)
        outcome.blind = self._blind
        return outcome

    def leave(self) -> None:
        """What was read so far is given up: the next part does not continue it."""
        self._decoder = None
        self._pending.clear()

    def pass_over(self, parts: Iterable[Part]) -> None:
        """Decode without looking, so that the decoder can go on after them. Call `interrupt` as well."""
        for part in parts:
            for frame in self._frames(part):
                self.cursor = frame.pts
        self._pending.clear()

    def interrupt(self, reason: str) -> None:
        """Something was not seen: the next frame begins a new observation."""
        self._interrupted = reason

    def pause(self, reason: str) -> Outcome:
        """Nobody will look for a while: end the observation now."""
        self._interrupted = reason
        self._pending.clear()
        ended = bool(self._observing)
        self._observing.clear()
        return Outcome(spans=[End(reason)] if ended else [])

    def finish(self, end_us: int, reason: str) -> Outcome:
        """The source has ended at end_us: analyse what is still held back, and end the observation."""
        outcome = Outcome()
        if self._decoder is not None:
            self._take(self._decoder.flush(), outcome)
            self._decoder = None
        self._look(outcome)
        # Pictures are shown later than they are decoded: the last may be seen after the last part's end.
        end_us = max(end_us, self._seen_us or end_us)
        gone = [track for track in self._tracker.end_all(end_us) if track.seen_us != self._seen_us]
        if self._seen_us is not None and not self._interrupted:
            before = len(outcome.events)
            self._judge(end_us, gone, outcome)
            self.onlookers.tell(None, end_us, gone, outcome.events[before:], self._processors())
            outcome.extend(end_us)
        outcome.spans.append(End(reason))
        self._observing.clear()
        return outcome

    def occupancy(self) -> dict[int, int]:
        """How many are there now, by rule, for those kinds that know."""
        counts = {id_: rule.processor.occupancy() for id_, rule in self._rules.items()}
        return {id_: count for id_, count in counts.items() if count is not None}

    def configure(
        self,
        detector: Detector,
        rules: Sequence[Rule],
        watch_fps: float,
        masks: Sequence[Polygon] = (),
    ) -> Outcome:
        """Take over changed settings. A rule whose revision is the same keeps its memory.

        Changed masks count at once, for frames that wait already too.
        """
        kept = {
            rule.id: old
            for rule in rules
            if (old := self._rules.get(rule.id)) is not None and old.revision == rule.revision
        }
        ended = tuple(id_ for id_ in self._rules if id_ not in kept and id_ in self._observing)
        self._rules = {rule.id: kept.get(rule.id, rule) for rule in rules}
        self._observing -= set(ended)
        self._detector, self._watch_fps = detector, watch_fps
        if tuple(masks) != self._masker.polygons:
            self._masker = Masker(masks)
            self._pending = [self._waiting(self._masker.apply(waits.frame)) for waits in self._pending]
        return Outcome(spans=[End("changed", ended)] if ended else [])

    def state(self) -> dict[str, Any]:
        """Everything that decides later events, as JSON values. Docs: docs/adr/0003."""
        return {
            "version": STATE_VERSION,
            "cursor": self.cursor,
            "seen_us": self._seen_us,
            "interrupted": self._interrupted,
            "observing": sorted(id_ for id_ in self._observing if id_ is not None),
            "aspect": self._aspect,
            "tracker": self._tracker.state(),
            "rules": [[r.id, r.revision, r.processor.state()] for r in self._rules.values()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave. Raises CheckpointError where it cannot be used."""
        try:
            if state["version"] != STATE_VERSION:
                raise CheckpointError(f"checkpoint version {state['version']}, not {STATE_VERSION}")
            self._aspect = state["aspect"]
            self._tracker = Tracker.restore(state["tracker"], _tracker_settings(self._aspect))
            self.cursor, self._seen_us = state["cursor"], state["seen_us"]
            self._interrupted = state["interrupted"]
            observing = set(state["observing"])
            same = set()
            for id_, revision, memory in state["rules"]:
                rule = self._rules.get(id_)
                if rule is not None and rule.revision == revision:
                    rule.processor.restore(memory)
                    same.add(id_)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"the checkpoint is damaged: {error}") from error
        self._observing = {None, *(observing & same)} if observing or self._seen_us is not None else set()

    def _frames(self, part: Part) -> Iterable[Frame]:
        if self._decoder is None or part.video != self._video:
            self._decoder = Decoder(part.video)
        self._video = part.video
        return self._decoder.decode(part, self._wanted)

    def _take(self, frames: Iterable[Frame], outcome: Outcome) -> None:
        last = self._pending[-1].frame.pts if self._pending else self.cursor
        for decoded in frames:
            outcome.decoded += 1
            # Before anything else sees it, whoever that may be.
            frame = self._masker.apply(decoded)
            self.onlookers.show(frame)
            if last is not None and self._slot(frame.pts) <= self._slot(last):
                continue
            last = frame.pts
            self._fit_tracker(frame, outcome)
            self._pending.append(self._waiting(frame))
            if len(self._pending) >= self._detector.batch:
                self._look(outcome)

    def _processors(self) -> dict[int, BaseProcessor]:
        return {id_: rule.processor for id_, rule in self._rules.items()}

    def _waiting(self, frame: Frame) -> _Pending:
        picture = frame.picture(*fitting(frame.width, frame.height, self._detector.size))
        batch = self._detector.batch
        if batch > 1:
            frame = shrunk(frame, scale_for(frame, WAITING_BYTES // batch))
        return _Pending(frame, picture)

    def _fit_tracker(self, frame: Frame, outcome: Outcome) -> None:
        """Distances are judged on the picture as it is seen, so its shape matters."""
        aspect = frame.width / frame.height
        if self._aspect is not None and abs(aspect / self._aspect - 1) < SAME_ASPECT:
            return
        if self._aspect is not None:
            # Another cut of the scene: where somebody was says nothing about where they are now.
            self._look(outcome)
            self._void = True
            self._interrupted = self._interrupted or "picture"
        self._aspect = aspect
        self._tracker = Tracker(_tracker_settings(aspect), self._tracker.next_id)

    def _slot(self, pts: int) -> int:
        return int((pts + _SLACK_TICKS) * self._watch_fps // TICKS_PER_SECOND)

    def _wanted(self, packet: Packet) -> bool:
        needed = self._slot(packet.pts) != self._slot(packet.pts - packet.duration)
        return needed or self.onlookers.want_every_frame()

    def _look(self, outcome: Outcome) -> None:
        """Have the detector look at the frames that wait, then take them one by one."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        started = time.perf_counter()
        try:
            found = self._detector.detect([waits.picture for waits in pending])
        except DetectorError as error:
            self._interrupted = self._interrupted or "detector"
            self._blind = str(error)
            self.cursor = pending[-1].frame.pts
            return
        finally:
            self.detector_seconds += time.perf_counter() - started
        self._blind = ""
        for frame, detections in zip((waits.frame for waits in pending), found, strict=True):
            before = len(outcome.events)
            self._resume(frame.ts_us, outcome)
            tracks = self._tracker.update(detections, frame.ts_us)
            self._judge(frame.ts_us, tracks, outcome)
            self.onlookers.tell(frame, frame.ts_us, tracks, outcome.events[before:], self._processors())
            outcome.extend(frame.ts_us)
            outcome.analysed += 1
            self._seen_us, self.cursor = frame.ts_us, frame.pts

    def _resume(self, ts_us: int, outcome: Outcome) -> None:
        """Before a frame is taken: end what an interruption ended, begin what does not observe yet."""
        if self._interrupted:
            if self._observing:
                outcome.spans.append(End(self._interrupted))
            self._observing.clear()
            self._interrupted = ""
            gap_us = None if self._seen_us is None else ts_us - self._seen_us
            if self._void or gap_us is None or not 0 < gap_us <= TRACKS_OUTLIVE_US:
                self._void = False
                self._tracker.end_all(ts_us - 1)
                for rule in self._rules.values():
                    rule.processor.forget()
        new = [id_ for id_ in (None, *self._rules) if id_ not in self._observing]
        if not new:
            return
        outcome.spans.append(Begin(ts_us, tuple(new)))
        self._observing.update(new)
        for id_ in new:
            if id_ is not None:
                outcome.events += [(id_, event) for event in self._rules[id_].processor.begin(ts_us)]

    def _judge(self, ts_us: int, tracks: Sequence[Track], outcome: Outcome) -> None:
        for rule in self._rules.values():
            outcome.events += [(rule.id, event) for event in rule.processor.process(ts_us, tracks)]


def _tracker_settings(aspect: float | None) -> TrackerSettings:
    return TrackerSettings() if aspect is None else TrackerSettings(aspect=aspect)
