"""Follows people and vehicles from frame to frame.

Detections are matched to tracks in two rounds, sure ones first, then weak ones that may only keep a
track alive. All limits are times, so that any and even an irregular frame rate will do.
docs/adr/0005-tracker.md says why it works the way it does and what it was measured against.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import lap
import numpy as np
import numpy.typing as npt

from server.domain.detections import LABELS, Detections
from server.domain.geometry import Box, Point
from server.domain.tracks import BORDER, Track, TrackState, exit_point
from server.vision.motion import Motion, Noise, box_size

STATE_VERSION = 1
"""Of what `Tracker.state` returns. Any change of its meaning needs another number."""

Floats: TypeAlias = npt.NDArray[np.float64]

_FORBIDDEN = 1e6
_GROUPS = {"person": 0, "bicycle": 1, "motorcycle": 1, "car": 2, "bus": 2, "truck": 2}
"""Classes a detector mixes up share a group; a track never changes its group."""
_NOISE = (
    Noise(edge=0.05, drift=0.08, jerk=0.5, speed=1.0),
    Noise(edge=0.05, drift=0.08, jerk=1.0, speed=2.0),
    Noise(edge=0.04, drift=0.06, jerk=1.0, speed=2.0),
)
"""For each group, in units of `box_size`."""


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """Limits of the tracker. Scores 0..1, times in microseconds, distances in box sizes.

    Raises ValueError where they contradict each other.
    """

    aspect: float = 16 / 9
    """The frame's width divided by its height."""
    low_score: float = 0.1
    """Weaker detections are ignored."""
    high_score: float = 0.35
    """Detections from here on are matched first, and may bring a lost track back."""
    birth_score: float = 0.4
    """Detections from here on begin a track."""
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
    gate: float = 16.0
    """Largest squared distance of a match, in variances of the prediction."""
    reach: float = 0.5
    """Largest distance of a match just after the last one, …"""
    reach_per_s: float = 2.0
    """… and how much it grows for each second without one, …"""
    reach_max: float = 1.6
    """… up to this."""

    def __post_init__(self) -> None:
        if not 0 <= self.low_score <= self.high_score <= self.birth_score <= 1:
            raise ValueError("scores must be in the order 0 <= low_score <= high_score <= birth_score <= 1")
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
    votes: dict[str, float] = field(default_factory=dict)

    def label(self) -> str:
        """The class with the largest sum of scores; of equals the first in `LABELS`."""
        return max(LABELS, key=lambda name: self.votes.get(name, 0.0))

    def see(self, label: str, score: float, box: Box, ts_us: int, blur: float) -> None:
        """Take in the detection of this frame."""
        self.motion.correct(box, blur)
        self.box, self.score, self.seen_us = box, score, ts_us
        self.best_score = max(self.best_score, score)
        self.hits += 1
        self.votes[label] = self.votes.get(label, 0.0) + score

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
            "votes": dict(self.votes),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any], aspect: float) -> _Followed:
        """The opposite of `state`."""
        values = dict(state)
        values["motion"] = Motion.restore(values["motion"], _NOISE[values["group"]], aspect)
        values["box"] = Box(*values["box"])
        values["first_box"] = Box(*values["first_box"])
        values["votes"] = dict(values["votes"])
        return cls(**values)


_STILL = 0.1
"""Below this many of its own widths (heights) a second a box counts as standing."""
_FADE_SEEN, _FADE_HIDDEN = 5.0, 1.0
"""Time constants in seconds with which a velocity fades: people who vanish have often stopped."""
_WEAK_IOU = 0.3
"""A weak detection must overlap the expected box at least this much."""
_WEAK_BLUR = 1.5
_SAME_IOU, _INSIDE = 0.6, 0.85
"""A detection that overlaps a followed box this much, or of whose area this share lies inside it, is
taken for a second box around the same thing."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A usable detection."""

    label: str
    group: int
    score: float
    box: Box


class Tracker:
    """Feed it the detections of one camera in the order of time.

    `next_id` is the first id it gives out; a camera that starts over after a gap must not reuse ids.
    """

    def __init__(self, settings: TrackerSettings | None = None, next_id: int = 1) -> None:
        self.settings = settings or TrackerSettings()
        self._tracks: list[_Followed] = []
        self._next_id = next_id
        self._last_us: int | None = None

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

    def _usable(self, detections: Detections) -> list[_Found]:
        """Those strong enough, with a finite box that has an area."""
        found = []
        for label, score, box in detections.as_list():
            if score >= self.settings.low_score and math.isfinite(sum(box)) and box.width > 0 < box.height:
                found.append(_Found(label, _GROUPS[label], score, box))
        return found

    def _match(self, found: Sequence[_Found], ts_us: int) -> set[int]:
        """Give each track its detection; returns the indices of those given away."""
        settings = self.settings
        tracks = [t for t in self._tracks if ts_us - t.seen_us <= settings.hidden_us]
        high = [i for i, item in enumerate(found) if item.score >= settings.high_score]
        taken: set[int] = set()
        left = set(range(len(tracks)))
        for t, d in self._assign(tracks, [found[i] for i in high], ts_us, weak=False):
            item = found[high[d]]
            tracks[t].see(item.label, item.score, item.box, ts_us, 1.0)
            taken.add(high[d])
            left.discard(t)
        remaining = [tracks[t] for t in sorted(left)]
        low = [i for i in range(len(found)) if i not in taken]
        for t, d in self._assign(remaining, [found[i] for i in low], ts_us, weak=True):
            item = found[low[d]]
            remaining[t].see(item.label, item.score, item.box, ts_us, _WEAK_BLUR)
            taken.add(low[d])
        return taken

    def _assign(
        self, tracks: Sequence[_Followed], found: Sequence[_Found], ts_us: int, weak: bool
    ) -> list[tuple[int, int]]:
        """Best pairs (index of track, index of detection) within the gate."""
        if not tracks or not found:
            return []
        costs = _costs(tracks, found, ts_us, self.settings, weak)
        _, column_of, _ = lap.lapjv(costs, extend_cost=True, cost_limit=_COST_LIMIT)
        return [(t, int(d)) for t, d in enumerate(column_of) if d >= 0 and costs[t, d] < _COST_LIMIT]

    def _begin(self, found: Sequence[_Found], expected: Sequence[Box], ts_us: int) -> None:
        """Begin tracks at what is left, unless it looks like a second box around something followed."""
        known = [
            (track.group, shape)
            for track, before in zip(self._tracks, expected, strict=True)
            if track.seen_us == ts_us
            for shape in (track.box, before)
        ]
        for item in found:
            if item.score < self.settings.birth_score:
                continue
            if any(group == item.group and _same(item.box, shape) for group, shape in known):
                continue
            known.append((item.group, item.box))
            motion = Motion.start(item.box, _NOISE[item.group], self.settings.aspect)
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
                reports.append(track.report(TrackState.HIDDEN, _inside_frame(track.motion.outline)))
        self._tracks = kept
        return sorted(reports, key=lambda report: report.id)

    def _confirmed(self, track: _Followed) -> bool:
        settings = self.settings
        return (
            track.hits >= settings.confirm_hits
            and track.seen_us - track.first_us >= settings.confirm_us
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


_COST_LIMIT = 60.0
_OVERLAP_WEIGHT = 4.0
_SURE_IOU = 0.3
"""An overlap with the expected box, or the last one while that is `_FRESH`, that is enough for a match
however surprising: the boxes of those who come in over the border grow by leaps."""
_FRESH = 0.45
"""Seconds."""


def _costs(
    tracks: Sequence[_Followed], found: Sequence[_Found], ts_us: int, settings: TrackerSettings, weak: bool
) -> Floats:
    """What each pair of track and detection costs, (T, D); `_FORBIDDEN` beyond the gate.

    The cost is the negative log likelihood of the detection under the track's prediction, up to
    constants, so that a track whose place is uncertain yields to one that is sure; and overlap.
    """
    outlines = [t.motion.outline for t in tracks]
    a = np.array([_inside_frame(o) for o in outlines])[:, None, :]
    b = np.array([f.box for f in found])[None, :, :]
    sizes = np.array([box_size(o, settings.aspect) for o in outlines])[:, None]
    edge = np.array([_NOISE[t.group].edge for t in tracks])[:, None] * sizes
    squared = np.zeros((len(tracks), len(found)))
    spread = np.zeros_like(squared)
    shape = np.zeros_like(squared)
    distance = np.zeros_like(squared)
    for k, scale in ((0, settings.aspect), (1, 1.0)):
        axes = [t.motion.x if k == 0 else t.motion.y for t in tracks]
        p = np.array([(x.pll, x.plh, x.phh) for x in axes])
        r = (edge / scale) ** 2
        d_lo, d_hi = b[:, :, k] - a[:, :, k], b[:, :, k + 2] - a[:, :, k + 2]
        cut_lo, cut_hi = b[:, :, k] <= BORDER, b[:, :, k + 2] >= 1 - BORDER
        d = np.where(cut_hi & ~cut_lo, d_lo, np.where(cut_lo & ~cut_hi, d_hi, (d_lo + d_hi) / 2))
        var = ((p[:, 0] + 2 * p[:, 1] + p[:, 2]) / 4)[:, None] + r
        grown = d_hi - d_lo
        var_grown = (p[:, 0] - 2 * p[:, 1] + p[:, 2])[:, None] + 2 * r
        squared += d * d / var
        shape += 2 * np.log1p(grown * grown / var_grown / 4)
        spread += np.log(var * (scale / sizes) ** 2)
        distance += (d * scale / sizes) ** 2
    waited = np.array([(ts_us - t.seen_us) / 1e6 for t in tracks])[:, None]
    reach = np.minimum(settings.reach + settings.reach_per_s * waited, settings.reach_max)
    overlap = _overlaps(a, b)
    fresh = (waited <= _FRESH) * _overlaps(np.array([t.box for t in tracks])[:, None, :], b)
    costs: Floats = (
        np.minimum(squared, settings.gate) + shape + spread + _SPREAD_BASE + _OVERLAP_WEIGHT * (1 - overlap)
    )
    allowed = ((squared <= settings.gate) & (distance <= reach**2)) | (
        np.maximum(overlap, fresh) >= _SURE_IOU
    )
    allowed &= np.array([t.group for t in tracks])[:, None] == np.array([f.group for f in found])[None, :]
    if weak:
        allowed &= np.maximum(overlap, fresh) >= _WEAK_IOU
    return np.where(allowed, costs, _FORBIDDEN)


_SPREAD_BASE = -2 * math.log(0.05**2)
"""Makes the cost of a perfect match about 0."""


def _overlaps(a: Floats, b: Floats) -> Floats:
    """Intersection over union of boxes that broadcast against each other, last axis x1 y1 x2 y2."""
    wide = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    high = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    shared = np.maximum(wide, 0) * np.maximum(high, 0)
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    result: Floats = shared / np.maximum(area_a + area_b - shared, 1e-12)
    return result


def _same(box: Box, known: Box) -> bool:
    """Whether a detection is probably a second box around what `known` is around."""
    wide = min(box.x2, known.x2) - max(box.x1, known.x1)
    high = min(box.y2, known.y2) - max(box.y1, known.y1)
    shared = max(wide, 0.0) * max(high, 0.0)
    area = box.width * box.height
    union = area + known.width * known.height - shared
    return shared >= _SAME_IOU * union or shared >= _INSIDE * area


def _inside_frame(box: Box) -> Box:
    return Box(*(min(max(value, 0.0), 1.0) for value in box))
