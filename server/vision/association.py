"""Which detection belongs to which track: costs, gates and the assignment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeAlias

import lap
import numpy as np
import numpy.typing as npt

from server.domain.geometry import Box
from server.domain.tracks import BORDER
from server.vision.motion import Axis, Motion, Noise, box_size

Floats: TypeAlias = npt.NDArray[np.float64]

_FORBIDDEN = 1e6
GROUPS = {"person": 0, "bicycle": 1, "motorcycle": 1, "car": 2, "bus": 2, "truck": 2}
"""Classes a detector mixes up share a group; a track never changes its group."""
NOISE = (
    Noise(edge=0.035, drift=0.06, jerk=0.25, speed=1.0),
    Noise(edge=0.05, drift=0.08, jerk=1.0, speed=2.0),
    Noise(edge=0.04, drift=0.06, jerk=1.0, speed=2.0),
)
"""For each group, in units of `box_size`."""

_GATE = 10.0
"""Largest squared distance of a likely match, in variances of the prediction."""
_REACH, _REACH_PER_S, _REACH_MAX = 0.5, 2.0, 1.0
"""Largest distance of a likely match in box sizes: at once, more for each second unseen, at most."""
_WEAK_IOU = 0.6
"""A weak detection must overlap the expected box at least this much."""
_SAME_IOU, _INSIDE = 0.6, 0.85
"""A detection that overlaps a followed box this much, or of whose area this share lies inside it, is
taken for a second box around the same thing."""
_COST_LIMIT = 60.0
"""Above any cost within the gates."""
_OVERLAP_WEIGHT = 4.0
"""What no overlap at all costs, in the units of a log likelihood."""
_SURE_IOU = 0.4
"""An overlap with the expected box, or the last one while that is `_FRESH`, that is enough for a match
however surprising: the boxes of those who come in over the border grow by leaps."""
_FRESH = 0.25
"""In seconds: one frame at 5 a second."""
_NEAR = 0.6
"""How far, in box sizes, somebody who did the unexpected is looked for."""
_SPREAD_BASE = -math.log(0.05**2)
"""Makes the cost of a perfect match on an axis about 0."""


class Mode(Enum):
    """What it takes to give a detection to a track."""

    LIKELY = 1
    """It lies where the track is expected."""
    OVERLAPPING = 2
    """It covers much of the expected box: for weak detections."""
    NEAR = 3
    """Neither it nor the track has anything better, and it is within reach: people turn on their heel."""


@dataclass(frozen=True, slots=True)
class Found:
    """A usable detection."""

    label: str
    group: int
    score: float
    box: Box


class Candidate(Protocol):
    """A track that may get a detection."""

    motion: Motion
    group: int
    box: Box
    seen_us: int


def assign(
    tracks: Sequence[Candidate], found: Sequence[Found], ts_us: int, aspect: float, mode: Mode
) -> list[tuple[int, int]]:
    """Best pairs (index of track, index of detection) within the gate."""
    if not tracks or not found:
        return []
    costs = _costs(tracks, found, ts_us, aspect, mode)
    _, column_of, _ = lap.lapjv(costs, extend_cost=True, cost_limit=_COST_LIMIT)
    return [(t, int(d)) for t, d in enumerate(column_of) if d >= 0 and costs[t, d] < _COST_LIMIT]


def _costs(
    tracks: Sequence[Candidate], found: Sequence[Found], ts_us: int, aspect: float, mode: Mode
) -> Floats:
    """What each pair of track and detection costs, (T, D); `_FORBIDDEN` beyond the gate.

    The cost is the negative log likelihood of the detection under the track's prediction, up to
    constants, so that a track whose place is uncertain yields to one that is sure; and overlap.
    """
    outlines = [t.motion.outline for t in tracks]
    a = np.array([inside_frame(o) for o in outlines])[:, None, :]
    b = np.array([f.box for f in found])[None, :, :]
    last = np.array([t.box for t in tracks])[:, None, :]
    sizes = np.array([box_size(o, aspect) for o in outlines])[:, None]
    edges = np.array([NOISE[t.group].edge for t in tracks])[:, None] * sizes
    dx, surprise_x, cost_x = _along(
        [t.motion.x for t in tracks], a[..., ::2], b[..., ::2], edges, sizes, aspect
    )
    dy, surprise_y, cost_y = _along(
        [t.motion.y for t in tracks], a[..., 1::2], b[..., 1::2], edges, sizes, 1.0
    )
    waited = np.array([(ts_us - t.seen_us) / 1e6 for t in tracks])[:, None]
    reach = np.minimum(_REACH + _REACH_PER_S * waited, _REACH_MAX)
    overlap = _overlaps(a, b)
    shared = np.maximum(overlap, (waited <= _FRESH) * _overlaps(last, b))
    surprise, distance = surprise_x + surprise_y, dx * dx + dy * dy
    if mode is Mode.LIKELY:
        allowed = ((surprise <= _GATE) & (distance <= reach**2)) | (shared >= _SURE_IOU)
    elif mode is Mode.NEAR:
        middles = (b[..., :2] + b[..., 2:] - last[..., :2] - last[..., 2:]) / 2
        turned = np.square(middles * [aspect, 1.0]).sum(axis=2) / sizes**2
        allowed = np.minimum(distance, turned) <= np.minimum(reach, _NEAR) ** 2
    else:
        allowed = shared >= _WEAK_IOU
    allowed &= np.array([t.group for t in tracks])[:, None] == np.array([f.group for f in found])[None, :]
    costs: Floats = np.minimum(surprise, _GATE) + cost_x + cost_y + _OVERLAP_WEIGHT * (1 - overlap)
    return np.where(allowed, costs, _FORBIDDEN)


def _along(
    axes: Sequence[Axis], a: Floats, b: Floats, edges: Floats, sizes: Floats, scale: float
) -> tuple[Floats, Floats, Floats]:
    """One axis of (T, 1, 2) expected and (1, D, 2) found edges; `scale` is the frame's extent in heights.

    Returns, each (T, D): how far off the place is in box sizes, the square of that in variances of the
    prediction, and what else it costs: a changed extent and an uncertain prediction. Of a box that the
    border cuts, the free edge tells the place.
    """
    covariance = np.array([(axis.pll, axis.plh, axis.phh) for axis in axes])
    low, both, high = covariance[:, :1], covariance[:, 1:2], covariance[:, 2:]
    noise = (edges / scale) ** 2
    d_low, d_high = b[..., 0] - a[..., 0], b[..., 1] - a[..., 1]
    cut_low, cut_high = b[..., 0] <= BORDER, b[..., 1] >= 1 - BORDER
    d = np.where(cut_high & ~cut_low, d_low, np.where(cut_low & ~cut_high, d_high, (d_low + d_high) / 2))
    variance = (low + 2 * both + high) / 4 + noise
    grown = (d_high - d_low) ** 2 / (low - 2 * both + high + 2 * noise)
    other = 2 * np.log1p(grown / 4) + np.log(variance * (scale / sizes) ** 2) + _SPREAD_BASE
    return d * scale / sizes, d * d / variance, other


def _overlaps(a: Floats, b: Floats) -> Floats:
    """Intersection over union of boxes that broadcast against each other, last axis x1 y1 x2 y2."""
    wide = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    high = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    shared = np.maximum(wide, 0) * np.maximum(high, 0)
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    result: Floats = shared / np.maximum(area_a + area_b - shared, 1e-12)
    return result


def same_thing(box: Box, known: Box) -> bool:
    """Whether a detection is probably a second box around what `known` is around."""
    wide = min(box.x2, known.x2) - max(box.x1, known.x1)
    high = min(box.y2, known.y2) - max(box.y1, known.y1)
    shared = max(wide, 0.0) * max(high, 0.0)
    area = box.width * box.height
    union = area + known.width * known.height - shared
    return shared >= _SAME_IOU * union or shared >= _INSIDE * area


def inside_frame(box: Box) -> Box:
    """The part of a box that lies in the frame; at its border where none does."""
    return Box(*(min(max(value, 0.0), 1.0) for value in box))
