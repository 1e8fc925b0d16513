"""Being in a zone or beyond a line, steadily: nobody goes in and out by trembling on the border."""

from __future__ import annotations

from server.domain.geometry import Box, Line, Point, Polygon

MARGIN = 0.1
"""How far past a border somebody must be before it counts, as a share of the box's smaller side. Boxes of
somebody who stands still tremble by 2 to 3% of their size."""


def margin_of(box: Box) -> float:
    """The margin for a box, in fractions of the frame."""
    return MARGIN * min(box.width, box.height)


def settle_in_zone(zone: Polygon, point: Point, margin: float, before: bool | None) -> bool:
    """Whether the point is inside now, given whether it was (None: first look, no margin asked)."""
    inside = zone.contains(point)
    if before is None or inside == before or zone.distance(point) >= margin:
        return inside
    return before


def settle_beside_line(line: Line, point: Point, margin: float, before: int) -> int:
    """The side of a line: 1 left ("in"), -1 right ("out"), given the side before (0: first look)."""
    offset = line.offset(point)
    if before == 0 or abs(offset) >= margin:
        return (offset > 0) - (offset < 0) or before
    return before
