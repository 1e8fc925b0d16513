"""Points, boxes, polygons and lines in fractions of the frame: 0..1, origin top left, y down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Point(NamedTuple):
    """A position in fractions of the frame's width and height."""

    x: float
    y: float


class Box(NamedTuple):
    """An axis-aligned box, left, top, right, bottom, in fractions of the frame."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        """Fraction of the frame's width."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """Fraction of the frame's height."""
        return self.y2 - self.y1

    @property
    def centre(self) -> Point:
        """The middle."""
        return Point((self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2)

    @property
    def foot(self) -> Point:
        """The middle of the bottom edge: where somebody stands, if the feet are in sight."""
        return Point((self.x1 + self.x2) / 2, self.y2)


def _side(a: Point, b: Point, p: Point) -> float:
    """Twice the signed area of a, b, p: above 0 if p is to the right of a→b as seen on screen."""
    return (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x)


def segments_cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether segment a-b meets segment c-d; touching counts, lying along each other does not."""
    d1, d2 = _side(c, d, a), _side(c, d, b)
    d3, d4 = _side(a, b, c), _side(a, b, d)
    if d1 == d2 == 0:
        return False
    return d1 * d2 <= 0 and d3 * d4 <= 0


def _along_border(a: Point, b: Point) -> bool:
    near, far = 0.005, 0.995
    return any((p <= near and q <= near) or (p >= far and q >= far) for p, q in zip(a, b, strict=True))


@dataclass(frozen=True, slots=True)
class Polygon:
    """A zone: at least three points, edges that do not cross, closed by itself."""

    points: tuple[Point, ...]

    def contains(self, p: Point) -> bool:
        """Whether p is inside (even-odd rule). Points beyond the frame's border are allowed."""
        inside = False
        previous = self.points[-1]
        for point in self.points:
            if (point.y > p.y) != (previous.y > p.y):
                x = previous.x + (p.y - previous.y) / (point.y - previous.y) * (point.x - previous.x)
                inside ^= p.x < x
            previous = point
        return inside

    def meets(self, a: Point, b: Point) -> bool:
        """Whether the straight way from a to b touches the polygon."""
        if self.contains(a) or self.contains(b):
            return True
        return any(segments_cross(a, b, c, d) for c, d in self.edges())

    def distance(self, p: Point) -> float:
        """Distance from p to the nearest edge, in fractions of the frame.

        An edge that runs along the frame's border does not count: there is no other side to it.
        """
        inner = [(a, b) for a, b in self.edges() if not _along_border(a, b)]
        return min((distance_to_segment(p, a, b) for a, b in inner), default=math.inf)

    def edges(self) -> list[tuple[Point, Point]]:
        """Consecutive pairs of points, the last one back to the first."""
        return list(zip(self.points, self.points[1:] + self.points[:1], strict=True))

    def crossing_edges(self) -> tuple[int, int] | None:
        """Indices of the first two edges that cross, or None where the outline is simple."""
        edges = self.edges()
        for i, (a, b) in enumerate(edges):
            for j in range(i + 2, len(edges)):
                if i == 0 and j == len(edges) - 1:
                    continue
                if segments_cross(a, b, *edges[j]):
                    return i, j
        return None

    def area(self) -> float:
        """Fraction of the frame."""
        return abs(sum(a.x * b.y - b.x * a.y for a, b in self.edges())) / 2


@dataclass(frozen=True, slots=True)
class Line:
    """A directed line from a to b. Walking from a to b, "in" is towards the left-hand side.

    So a line drawn from left to right across the picture counts those who move up as in, those who
    move down as out.
    """

    a: Point
    b: Point

    def offset(self, p: Point) -> float:
        """Signed distance of p from the endless line, fractions; above 0 on the left ("in") side."""
        return -_side(self.a, self.b, p) / math.dist(self.a, self.b)

    def spans(self, p: Point, q: Point) -> bool:
        """Whether the way from p to q meets the line between its two ends."""
        return segments_cross(p, q, self.a, self.b)


def distance_to_segment(p: Point, a: Point, b: Point) -> float:
    """Distance from p to the segment a-b, in fractions of the frame."""
    length = (b.x - a.x) ** 2 + (b.y - a.y) ** 2
    if length == 0:
        return math.dist(p, a)
    t = max(0.0, min(1.0, ((p.x - a.x) * (b.x - a.x) + (p.y - a.y) * (b.y - a.y)) / length))
    return math.dist(p, (a.x + t * (b.x - a.x), a.y + t * (b.y - a.y)))


def parse_polygon(value: object) -> Polygon:
    """A polygon from JSON: `[[x, y], …]`. Raises ValueError with a sentence for the user."""
    points = _parse_points(value, "a zone")
    if len(points) > 1 and points[0] == points[-1]:
        points = points[:-1]
    if len(points) < 3:
        raise ValueError("a zone needs at least three points")
    polygon = Polygon(points)
    crossing = polygon.crossing_edges()
    if crossing is not None:
        i, j = crossing
        raise ValueError(f"edges {i + 1} and {j + 1} of the zone cross; give its points in order around it")
    if polygon.area() < 1e-6:
        raise ValueError("the zone has no area; its points lie on one line")
    return polygon


def parse_line(value: object) -> Line:
    """A directed line from JSON: `[[x1, y1], [x2, y2]]`. Raises ValueError for the user."""
    points = _parse_points(value, "a line")
    if len(points) != 2:
        raise ValueError(f"a line needs exactly two points, not {len(points)}")
    if math.dist(*points) < 1e-6:
        raise ValueError("the two points of a line must differ")
    return Line(*points)


def _parse_points(value: object, what: str) -> tuple[Point, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"{what} is a list of points, each [x, y]")
    return tuple(_parse_point(item) for item in value)


def _parse_point(value: object) -> Point:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise ValueError(f"a point is [x, y], not {value!r}")
    x, y = value
    for number in (x, y):
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise ValueError(f"a coordinate is a number, not {number!r}")
        if not 0 <= number <= 1:
            raise ValueError(f"{number} lies outside the picture: coordinates are fractions from 0 to 1")
    return Point(float(x), float(y))
