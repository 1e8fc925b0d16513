"""Follows people and vehicles from frame to frame.

Detections are matched to tracks in two rounds, sure ones first, then weak ones that may only keep a
track alive. All limits are times, so that any and even an irregular frame rate will do.
docs/adr/0005-tracker.md says why it works the way it does and what it was measured against.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.domain.detections import LABELS, Detections
from server.domain.geometry import Box, Point
from server.domain.tracks import Track, TrackState, exit_point
from server.vision.association import GROUPS, NOISE, Found, Mode, assign, inside_frame, same_thing
from server.vision.motion import Motion

STATE_VERSION = 1
"""Of what `Tracker.state` returns. Any change of its meaning needs another number."""


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """Limits of the tracker. Scores 0..1, times in microseconds.

    Raises ValueError where they contradict each other.
    """

    aspect: float = 16 / 9
    """The frame's width divided by its height."""
    faint_score: float = 0.05
    """Weaker detections are ignored; from here on they may be the first sign of somebody entering."""
    low_score: float = 0.1
    """Detections from here on keep a track."""
    high_score: float = 0.4
    """Detections from here on are matched first, and may bring a lost track back."""
    birth_score: float = 0.45
    """A track needs one detection from here on to count."""
    confirm_hits: int = 2
    confirm_us: int = 150_000
    confirm_scores: float = 0.65
    """A track counts once it has been seen this often, for this long, and with this sum of scores."""
    tentative_us: int = 300_000
    """A track that does not count yet is forgotten when it has not been seen for this long."""
    hidden_us: int = 2_250_000
    """A track not seen for this long is given up."""
    leaving_us: int = 350_000
    """The same for a track that was last seen going out over the border."""

    def __post_init__(self) -> None:
        if not 0 <= self.faint_score <= self.low_score <= self.high_score <= self.birth_score <= 1:
            raise ValueError("scores must rise from faint_score over low_score and high_score to birth_score")
        if self.aspect <= 0 or self.confirm_hits < 1:
            raise ValueError("aspect must be above 0 and confirm_hits at least 1")


@dataclass(slots=True)
class _Followed:
    """A track and what only the tracker needs to know of it. `id` 0 means not confirmed yet."""

    motion: Motion
    group: int
    box: Box
    score: float
    best_score: float
    first_us: int
    first_box: Box
    seen_us: int
    id: int = 0
    hits: int = 1
    height: float = 0.0
    votes: dict[str, float] = field(default_factory=dict)

    def label(self) -> str:
        """The class with the largest sum of scores; of equals the first in `LABELS`."""
        return max(LABELS, key=lambda name: self.votes.get(name, 0.0))

    def see(self, label: str, score: float, box: Box, ts_us: int, blur: float) -> None:
        """Take in the detection of this frame."""
        self.motion.correct(box, blur)
        kept = math.exp((self.seen_us - ts_us) / _SHRINK_US)
        self.height = max(box.height, box.height + (self.height - box.height) * kept)
        self.box, self.score, self.seen_us = box, score, ts_us
        self.best_score = max(self.best_score, score)
        self.hits += 1
        self.votes[label] = self.votes.get(label, 0.0) + score

    def room(self) -> Box:
        """The box with the space above and below that it filled a moment ago: where a detector that
        splits somebody in two puts the other half."""
        spare = max(0.0, self.height - self.box.height)
        side = self.box.width * _LOOSE
        return Box(self.box.x1 - side, self.box.y1 - spare, self.box.x2 + side, self.box.y2 + spare)

    def velocity(self) -> Point:
        """Of the whole box; 0 along an axis where it hardly moves, so that somebody who stands at the
        border is not taken to be leaving."""
        vx, vy = self.motion.velocity
        box = self.motion.outline
        return Point(
            vx if abs(vx) > _STILL * box.width else 0.0, vy if abs(vy) > _STILL * box.height else 0.0
        )

    def report(self, state: TrackState, box: Box) -> Track:
        """As processors see it."""
        return Track(
            id=self.id,
            label=self.label(),
            state=state,
            box=box,
            score=self.score,
            best_score=self.best_score,
            velocity=self.velocity(),
            first_us=self.first_us,
            first_box=self.first_box,
            seen_us=self.seen_us,
            seen_box=self.box,
        )

    def state(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "id": self.id,
            "group": self.group,
            "motion": self.motion.values(),
            "box": list(self.box),
            "score": self.score,
            "best_score": self.best_score,
            "first_us": self.first_us,
            "first_box": list(self.first_box),
            "seen_us": self.seen_us,
            "hits": self.hits,
            "height": self.height,
            "votes": dict(self.votes),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any], aspect: float) -> _Followed:
        """The opposite of `state`."""
        values = dict(state)
        values["motion"] = Motion.restore(values["motion"], NOISE[values["group"]], aspect)
        values["box"] = Box(*values["box"])
        values["first_box"] = Box(*values["first_box"])
        values["votes"] = dict(values["votes"])
        return cls(**values)


_STILL = 0.1
"""Below this many of its own widths (heights) a second a box counts as standing."""
_FADE_SEEN, _FADE_HIDDEN = 5.0, 1.5
"""Time constants in seconds with which a velocity fades: people who vanish have often stopped."""
_WEAK_BLUR = 1.5
_SHRINK_US = 5_000_000
"""Time constant with which a followed thing is taken to have become less tall."""
_LOOSE = 0.1


class Tracker:
    """Feed it the detections of one camera in the order of time.

    `next_id` is the first id it gives out; a camera that starts over after a gap must not reuse ids.
    """

    def __init__(self, settings: TrackerSettings | None = None, next_id: int = 1) -> None:
        self.settings = settings or TrackerSettings()
        self._tracks: list[_Followed] = []
        self._next_id = next_id
        self._last_us: int | None = None

    @property
    def next_id(self) -> int:
        """The id of the next new track."""
        return self._next_id

    def update(self, detections: Detections, ts_us: int) -> list[Track]:
        """Take in one frame captured at `ts_us`, microseconds.

        Returns every confirmed track, by id: SEEN, HIDDEN, or ENDED, the latter once. Raises
        ValueError where `ts_us` is not later than that of the frame before.
        """
        if self._last_us is not None and ts_us <= self._last_us:
            raise ValueError(f"frame at {ts_us} us is not later than the one before, at {self._last_us} us")
        self._predict(ts_us)
        found = self._usable(detections)
        expected = [track.motion.outline for track in self._tracks]
        taken = self._match(found, ts_us)
        self._begin([item for index, item in enumerate(found) if index not in taken], expected, ts_us)
        return self._settle(ts_us)

    def end_all(self, ts_us: int) -> list[Track]:
        """End every track: the stream ended or has a gap. Returns the confirmed ones as ENDED.

        The next frame must be later than `ts_us`, which may itself be any time.
        """
        ended = [track.report(TrackState.ENDED, track.box) for track in self._tracks if track.id]
        self._tracks = []
        self._last_us = ts_us
        return sorted(ended, key=lambda track: track.id)

    def state(self) -> dict[str, Any]:
        """Everything that decides later results, as plain JSON values; settings are not part of it."""
        return {
            "version": STATE_VERSION,
            "next_id": self._next_id,
            "last_us": self._last_us,
            "tracks": [track.state() for track in self._tracks],
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any], settings: TrackerSettings | None = None) -> Tracker:
        """A tracker that goes on exactly as the one whose `state` this is, given the same settings.

        Raises ValueError for a state of another version.
        """
        version = state.get("version")
        if version != STATE_VERSION:
            raise ValueError(f"tracker state has version {version!r}, this program reads {STATE_VERSION}")
        tracker = cls(settings, state["next_id"])
        tracker._last_us = state["last_us"]
        tracker._tracks = [_Followed.restore(item, tracker.settings.aspect) for item in state["tracks"]]
        return tracker

    def _predict(self, ts_us: int) -> None:
        if self._last_us is not None:
            dt = (ts_us - self._last_us) / 1e6
            for track in self._tracks:
                track.motion.predict(dt, _FADE_SEEN if track.seen_us == self._last_us else _FADE_HIDDEN)
        self._last_us = ts_us

    def _usable(self, detections: Detections) -> list[Found]:
        """Those strong enough, with a finite box that has an area."""
        found = []
        for label, score, box in detections.as_list():
            if score >= self.settings.faint_score and math.isfinite(sum(box)) and box.width > 0 < box.height:
                found.append(Found(label, GROUPS[label], score, box))
        return found

    def _match(self, found: Sequence[Found], ts_us: int) -> set[int]:
        """Give each track its detection; returns the indices of those given away."""
        settings = self.settings
        alive = [t for t in self._tracks if ts_us - t.seen_us <= settings.hidden_us]
        sure = [t for t in alive if t.id]
        high = [i for i, item in enumerate(found) if item.score >= settings.high_score]
        low = [i for i, item in enumerate(found) if item.score >= settings.low_score]
        taken: set[int] = set()
        for tracks, among, mode in (
            (sure, high, Mode.LIKELY),
            (sure, low, Mode.OVERLAPPING),
            (sure, high, Mode.NEAR),
            ([t for t in alive if not t.id], range(len(found)), Mode.LIKELY),
        ):
            waiting = [t for t in tracks if t.seen_us != ts_us]
            free = [i for i in among if i not in taken]
            for t, d in assign(waiting, [found[i] for i in free], ts_us, settings.aspect, mode):
                item = found[free[d]]
                blur = 1.0 if item.score >= settings.high_score else _WEAK_BLUR
                waiting[t].see(item.label, item.score, item.box, ts_us, blur)
                taken.add(free[d])
        return taken

    def _begin(self, found: Sequence[Found], expected: Sequence[Box], ts_us: int) -> None:
        """Begin tracks at what is left, unless it looks like a second box around something followed."""
        known = [
            (track.group, shape)
            for track, before in zip(self._tracks, expected, strict=True)
            if track.seen_us == ts_us
            for shape in (track.room(), before, track.box)
        ]
        for item in found:
            if any(group == item.group and same_thing(item.box, shape) for group, shape in known):
                continue
            known.append((item.group, item.box))
            motion = Motion.start(item.box, NOISE[item.group], self.settings.aspect)
            self._tracks.append(
                _Followed(
                    motion=motion,
                    group=item.group,
                    box=item.box,
                    score=item.score,
                    best_score=item.score,
                    first_us=ts_us,
                    first_box=item.box,
                    seen_us=ts_us,
                    height=item.box.height,
                    votes={item.label: item.score},
                )
            )

    def _settle(self, ts_us: int) -> list[Track]:
        """Confirm, give up, and report."""
        reports = []
        kept = []
        for track in self._tracks:
            if not track.id and track.seen_us == ts_us and self._confirmed(track):
                track.id, self._next_id = self._next_id, self._next_id + 1
            over = ts_us - track.seen_us >= self._patience(track) and track.seen_us != ts_us
            if not over:
                kept.append(track)
            if track.id and over:
                reports.append(track.report(TrackState.ENDED, track.box))
            elif track.id and track.seen_us == ts_us:
                reports.append(track.report(TrackState.SEEN, track.box))
            elif track.id:
                reports.append(track.report(TrackState.HIDDEN, inside_frame(track.motion.outline)))
        self._tracks = kept
        return sorted(reports, key=lambda report: report.id)

    def _confirmed(self, track: _Followed) -> bool:
        settings = self.settings
        return (
            track.hits >= settings.confirm_hits
            and track.seen_us - track.first_us >= settings.confirm_us
            and track.best_score >= settings.birth_score
            and sum(track.votes.values()) >= settings.confirm_scores
        )

    def _patience(self, track: _Followed) -> int:
        """How long to wait for it, in microseconds since it was last seen."""
        if not track.id:
            return self.settings.tentative_us
        centre = track.motion.outline.centre
        outside = not (0 < centre.x < 1 and 0 < centre.y < 1)
        if outside or exit_point(track.box, track.velocity()) is not None:
            return self.settings.leaving_us
        return self.settings.hidden_us
