"""Somebody or something followed from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from server.domain.geometry import Box, Point

BORDER = 0.01
"""A box this close to the frame's border (fraction) is cut by it: what it shows goes on outside."""
REACH_S = 0.2
"""Somebody who would touch the border within this long (seconds) may have done so between two looks."""


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
        """Last seen at the frame's border and moving out over it."""
        return exit_point(self.seen_box, self.velocity) is not None


def borders_touched(box: Box) -> tuple[bool, bool, bool, bool]:
    """Whether the frame's left, right, top and bottom border cut the box."""
    return box.x1 <= BORDER, box.x2 >= 1 - BORDER, box.y1 <= BORDER, box.y2 >= 1 - BORDER


def exit_points(box: Box, velocity: Point) -> dict[int, tuple[float, Point]]:
    """The borders (0 left, 1 right, 2 top, 3 bottom) that a box may be going out over.

    velocity: of the box's centre, in fractions of the frame a second. A border is one of them if the box
    moves towards it and touches it, or will within `REACH_S`. For each, the speed towards it and where
    the centre will be next, beyond the frame.
    """
    cx, cy = box.centre
    ways = (
        (-velocity.x, box.x1, Point(-box.width / 2, cy)),
        (velocity.x, 1 - box.x2, Point(1 + box.width / 2, cy)),
        (-velocity.y, box.y1, Point(cx, -box.height / 2)),
        (velocity.y, 1 - box.y2, Point(cx, 1 + box.height / 2)),
    )
    return {
        border: (speed, point)
        for border, (speed, gap, point) in enumerate(ways)
        if speed > 0 and gap <= BORDER + speed * REACH_S
    }


def exit_point(box: Box, velocity: Point) -> Point | None:
    """Where a box that moves out over the border will be next; of two borders, the one it nears faster.

    None where it is not moving out.
    """
    ways = exit_points(box, velocity)
    return max(ways.values())[1] if ways else None
