"""Who walks through the demo clip, and when: the truth that counting is compared with.

Times are seconds into the clip, positions fractions of the picture's width.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

DURATION = 66.0
"""Seconds. Nobody is in the picture when it begins or ends, so that it loops without a jump."""
MIDDLE = 0.5
"""Where the counting line of the demo processor stands."""

Edge = Literal["left", "right"]
_OUTSIDE: dict[Edge, float] = {"left": -0.2, "right": 1.2}
"""Where the middle of somebody is who has just gone out of sight."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One person walking in over an edge, stopping perhaps, and walking out.

    `look`: who (a key of `cutout.LOOKS`). `far`: at the back of the hall, smaller and behind the others.
    `speed`: picture widths a second. `stops`: (position, seconds) in the order they are come to.
    """

    look: str
    start: float
    speed: float
    enters: Edge
    leaves: Edge
    far: bool = False
    stops: tuple[tuple[float, float], ...] = ()

    def way(self) -> list[tuple[float, float]]:
        """(time, position) of each turning point, from out of sight to out of sight."""
        time, x = self.start, _OUTSIDE[self.enters]
        points = [(time, x)]
        for target, pause in (*self.stops, (_OUTSIDE[self.leaves], 0.0)):
            time += abs(target - x) / self.speed
            x = target
            points.append((time, x))
            if pause:
                time += pause
                points.append((time, x))
        return points

    def at(self, time: float) -> float | None:
        """The position of the person's middle, None before coming and after going."""
        way = self.way()
        for (t1, x1), (t2, x2) in pairwise(way):
            if t1 <= time < t2:
                return x1 + (x2 - x1) * (time - t1) / (t2 - t1)
        return None

    def passes(self, position: float) -> list[tuple[float, Edge]]:
        """When the person's middle passes a position, and towards which edge."""
        found: list[tuple[float, Edge]] = []
        way = self.way()
        for (t1, x1), (t2, x2) in pairwise(way):
            if (x1 < position) != (x2 < position):
                found.append((t1 + (position - x1) / (x2 - x1) * (t2 - t1), "right" if x2 > x1 else "left"))
        return found


VISITS = (
    Visit("astronaut", 0.5, 0.150, "left", "right"),
    Visit("astronaut in green", 10.0, 0.140, "right", "left", far=True, stops=((0.28, 8.0),)),
    # Passes in front of the one who stands.
    Visit("admiral", 17.0, 0.160, "left", "right"),
    Visit("astronaut", 27.5, 0.160, "left", "right"),
    # Two who meet, one behind the other.
    Visit("astronaut in blue", 29.5, 0.130, "right", "left", far=True),
    Visit("admiral", 38.5, 0.170, "right", "left"),
    Visit("astronaut in green", 41.5, 0.150, "left", "right", far=True, stops=((0.66, 6.0),)),
    Visit("astronaut", 47.5, 0.170, "right", "left"),
    Visit("admiral", 55.0, 0.160, "left", "right"),
)


@dataclass(frozen=True, slots=True)
class Truth:
    """What one round of the clip holds.

    `entered` and `left`: how many came in and went out over each edge. `rightward` and `leftward`: times
    at which somebody's middle passes the middle of the picture.
    """

    entered: dict[Edge, int]
    left: dict[Edge, int]
    rightward: tuple[float, ...]
    leftward: tuple[float, ...]


def truth() -> Truth:
    """What is to be counted in one round."""
    passes = sorted(item for visit in VISITS for item in visit.passes(MIDDLE))
    edges: tuple[Edge, Edge] = ("left", "right")
    return Truth(
        entered={edge: sum(visit.enters == edge for visit in VISITS) for edge in edges},
        left={edge: sum(visit.leaves == edge for visit in VISITS) for edge in edges},
        rightward=tuple(time for time, way in passes if way == "right"),
        leftward=tuple(time for time, way in passes if way == "left"),
    )
