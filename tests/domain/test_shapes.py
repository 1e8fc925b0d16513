"""Lists of zones and lines: what is taken, and in which words the rest is refused."""

from __future__ import annotations

from typing import Any

import pytest

from server.domain.geometry import Line, Point, Polygon, parse_line, parse_polygon
from server.domain.shapes import called, name_clash, parse_shapes
from tests.domain.vectors import cases

CORNERS = (Point(0, 0), Point(1, 0), Point(1, 1))


def verdict(zones: object, lines: object) -> dict[str, str] | None:
    """What the server says first."""
    parsed = []
    for field, values, parse in (("zones", zones, parse_polygon), ("lines", lines, parse_line)):
        try:
            parsed.append(parse_shapes(values, parse))
        except ValueError as error:
            return {"field": field, "message": str(error)}
    clash = name_clash(*parsed)
    return None if clash is None else {"field": clash[0], "message": clash[1]}


@pytest.mark.parametrize("case", cases(), ids=lambda case: str(case["verdict"])[:80])
def test_zones_and_lines_are_judged_as_agreed_with_the_editor(case: dict[str, Any]) -> None:
    assert verdict(case["zones"], case["lines"]) == case["verdict"]


def test_a_name_is_kept_without_the_white_space_around_it() -> None:
    assert parse_polygon({"name": "  Front \n door ", "points": CORNERS}).name == "Front door"
    assert parse_line({"name": "Threshold", "points": CORNERS[:2]}) == Line(*CORNERS[:2], "Threshold")
    assert parse_polygon(CORNERS).name == ""


def test_what_has_no_name_is_called_by_its_number() -> None:
    assert called(Polygon(CORNERS), 2) == "zone 2"
    assert called(Line(*CORNERS[:2]), 1) == "line 1"
    assert called(Polygon(CORNERS, "Door"), 2) == "Door"
