"""Somebody or something followed from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from server.domain.geometry import Box, Point

BORDER = 0.01
"""A box this close to the frame's border (fraction) is cut by it: what it shows goes on outside."""


class TrackState(str, Enum):
    """Where a track stands in this frame."""

    SEEN = "seen"
    """A detection was matched in this frame."""
    HIDDEN = "hidden"
    """No detection in this frame, but it is expected back; its box is a prediction."""
    ENDED = "ended"
    """Given up in this frame: reported this once, with the box it was last seen at."""


@dataclass(frozen=True, slots=True)
class Track:
    """One track as it is after a frame. Only confirmed tracks are ever shown to a processor.

    `id` is unique for a camera's time line. Times in microseconds since 1970. `velocity` is that of
    the box's centre, in fractions of the frame a second. `best_score` is the highest detection score
    so far, 0..1. `box` is the matched box (seen), the predicted one (hidden) or the last one (ended).
    """

    id: int
    label: str
    state: TrackState
    box: Box
    score: float
    best_score: float
    velocity: Point
    first_us: int
    first_box: Box
    seen_us: int
    seen_box: Box

    @property
    def leaving(self) -> bool:
        """Last seen cut by the frame's border and moving out over it."""
        return exit_point(self.seen_box, self.velocity) is not None


def exit_point(box: Box, velocity: Point) -> Point | None:
    """Where a box that touches the border and moves out over it will be next, beyond the frame.

    None where it touches no border or moves along or inwards. Of two borders, the one it moves out
    over faster counts.
    """
    cx, cy = box.centre
    ways = [
        (-velocity.x, box.x1 <= BORDER, Point(-box.width / 2, cy)),
        (velocity.x, box.x2 >= 1 - BORDER, Point(1 + box.width / 2, cy)),
        (-velocity.y, box.y1 <= BORDER, Point(cx, -box.height / 2)),
        (velocity.y, box.y2 >= 1 - BORDER, Point(cx, 1 + box.height / 2)),
    ]
    out = [(speed, point) for speed, touches, point in ways if touches and speed > 0]
    return max(out)[1] if out else None
