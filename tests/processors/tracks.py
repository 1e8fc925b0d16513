"""Tracks by hand: what a tracker would say of somebody who walks a given way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from server.domain.events import Event
from server.domain.geometry import Box, Point
from server.domain.tracks import Track, TrackState
from server.processors import create
from server.processors.base import BaseProcessor

BEGIN_US = 1_700_000_000_000_000
STEP_US = 100_000
Way = list[tuple[float, float]]
Frames = list[tuple[int, list[Track]]]


def box_at(x: float, y: float, width: float = 0.1, height: float = 0.3) -> Box:
    """A box whose middle would be there, cut by the frame's border."""
    left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return Box(max(0.0, left), max(0.0, top), min(1.0, right), min(1.0, bottom))


def straight(start: tuple[float, float], end: tuple[float, float], steps: int) -> Way:
    """Positions from start to end, both included."""
    (x1, y1), (x2, y2) = start, end
    return [(x1 + (x2 - x1) * i / steps, y1 + (y2 - y1) * i / steps) for i in range(steps + 1)]


def walk(
    way: Iterable[tuple[float, float] | None],
    *,
    track: int = 1,
    start_us: int = BEGIN_US + 2_000_000,
    label: str = "person",
    best: float = 0.9,
    ends: bool = True,
) -> Frames:
    """A frame each `STEP_US`; None in a way is a frame in which nobody was seen. An end closes it."""
    frames: Frames = []
    boxes: list[Box] = []
    seen_us = ts_us = start_us
    velocity = Point(0.0, 0.0)
    for number, place in enumerate(way):
        ts_us = start_us + number * STEP_US
        if place is not None:
            box = box_at(*place)
            if boxes:
                seconds = (ts_us - seen_us) / 1e6
                velocity = Point(
                    *((b - a) / seconds for a, b in zip(boxes[-1].centre, box.centre, strict=True))
                )
            boxes.append(box)
            seen_us = ts_us
        state = TrackState.HIDDEN if place is None else TrackState.SEEN
        frames.append((ts_us, [_track(track, label, state, boxes, velocity, start_us, seen_us, best)]))
    if ends:
        gone = _track(track, label, TrackState.ENDED, boxes, velocity, start_us, seen_us, best)
        frames.append((ts_us + 10 * STEP_US, [gone]))
    return frames


def _track(
    track: int,
    label: str,
    state: TrackState,
    boxes: list[Box],
    velocity: Point,
    first_us: int,
    seen_us: int,
    best: float,
) -> Track:
    return Track(
        id=track,
        label=label,
        state=state,
        box=boxes[-1],
        score=best,
        best_score=best,
        velocity=velocity,
        first_us=first_us,
        first_box=boxes[0],
        seen_us=seen_us,
        seen_box=boxes[-1],
    )


def together(*walks: Frames) -> Frames:
    """Several walks in one scene."""
    times = sorted({ts_us for frames in walks for ts_us, _ in frames})
    by_time = [dict(frames) for frames in walks]
    return [(ts_us, [t for frames in by_time for t in frames.get(ts_us, [])]) for ts_us in times]


def run(processor: BaseProcessor, frames: Frames) -> list[Event]:
    """All events of an observation that begins well before the frames."""
    return [*processor.begin(BEGIN_US), *go_on(processor, frames)]


def go_on(processor: BaseProcessor, frames: Frames) -> list[Event]:
    """Events of further frames."""
    return [event for ts_us, tracks in frames for event in processor.process(ts_us, tracks)]


def maker(kind: str, **values: Any) -> Callable[[], BaseProcessor]:
    """Makes equal processors."""
    return lambda: create(kind, **values)
