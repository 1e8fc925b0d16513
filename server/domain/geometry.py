"""Points, boxes, polygons and lines in fractions of the frame: 0..1, origin top left, y down."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

MAX_POINTS = 100
"""Points of a zone: many more than anybody draws, few enough to look at for every person in every frame."""
NAME_LENGTH = 40
"""Characters of a zone's or line's name, as `models.ProcessorEvent.zone` holds."""


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
    """A zone: at least three points, edges that do not cross, closed by itself. `name`: "" for none."""

    points: tuple[Point, ...]
    name: str = ""

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
    move down as out. `name`: "" for none.
    """

    a: Point
    b: Point
    name: str = ""

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
    """A polygon from JSON: `[[x, y], …]` or `{"name": …, "points": [[x, y], …]}`.

    Raises ValueError with a sentence for the user. static/editor-geometry.js says the same in the browser;
    tests/domain/shapes.json holds both to it.
    """
    name, points = _parse_shape(value, "a zone")
    if len(points) > 1 and points[0] == points[-1]:
        points = points[:-1]
    if len(points) < 3:
        raise ValueError("a zone needs at least three points")
    if len(points) > MAX_POINTS:
        raise ValueError(f"a zone has at most {MAX_POINTS} points, not {len(points)}")
    polygon = Polygon(points, name)
    crossing = polygon.crossing_edges()
    if crossing is not None:
        i, j = crossing
        raise ValueError(f"edges {i + 1} and {j + 1} of the zone cross; give its points in order around it")
    if polygon.area() < 1e-6:
        raise ValueError("the zone has no area; its points lie on one line")
    return polygon


def parse_line(value: object) -> Line:
    """A directed line from JSON: `[[x1, y1], [x2, y2]]`, or with a name as in `parse_polygon`.

    Raises ValueError with a sentence for the user.
    """
    name, points = _parse_shape(value, "a line")
    if len(points) != 2:
        raise ValueError(f"a line needs exactly two points, not {len(points)}")
    if math.dist(*points) < 1e-6:
        raise ValueError("the two points of a line must differ")
    return Line(*points, name)


def _parse_shape(value: object, what: str) -> tuple[str, tuple[Point, ...]]:
    """Name and points. `what`: "a zone" or "a line", for the message."""
    name = ""
    if isinstance(value, Mapping):
        unknown = sorted(str(key) for key in value if key not in ("name", "points"))
        if unknown:
            raise ValueError(f"{what} has a name and points, and nothing called {_shown(unknown[0])}")
        name = _parse_name(value.get("name", ""))
        value = value.get("points")
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(
            f'{what} is a list of points, each [x, y], or {{"name": "…", "points": [[x, y], …]}}'
        )
    return name, tuple(_parse_point(number, item) for number, item in enumerate(value, 1))


def _parse_name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a name is text, not {_shown(value)}")
    name = " ".join(value.split())
    if len(name) > NAME_LENGTH:
        raise ValueError(f"a name of {len(name)} characters is too long; {NAME_LENGTH} fit")
    if not name.isprintable():
        raise ValueError("the name contains a character that cannot be shown")
    return name


def _parse_point(number: int, value: object) -> Point:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise ValueError(f"point {number}: a point is [x, y], not {_shown(value)}")
    x, y = value
    for part in (x, y):
        if isinstance(part, bool) or not isinstance(part, (int, float)):
            raise ValueError(f"point {number}: a coordinate is a number, not {_shown(part)}")
        if not 0 <= part <= 1:
            outside = f"{_shown(part)} lies outside the picture"
            raise ValueError(f"point {number}: {outside}: coordinates are fractions from 0 to 1")
    return Point(float(x), float(y))


def _shown(value: object) -> str:
    """A value as it was typed, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else f"{text[:40]}…"
