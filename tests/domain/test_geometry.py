"""Zones and lines: what is refused and in which words, what is inside, which side is "in"."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.geometry import (
    Box,
    Line,
    Point,
    Polygon,
    distance_to_segment,
    parse_line,
    parse_polygon,
    segments_cross,
)

SQUARE = Polygon((Point(0.2, 0.2), Point(0.6, 0.2), Point(0.6, 0.6), Point(0.2, 0.6)))
# A U that opens upwards: its notch is outside.
NOTCHED = parse_polygon(
    [[0.1, 0.1], [0.3, 0.1], [0.3, 0.5], [0.6, 0.5], [0.6, 0.1], [0.8, 0.1], [0.8, 0.9], [0.1, 0.9]]
)
fractions = st.floats(0, 1)
points = st.builds(Point, fractions, fractions)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "a zone is a list of points"),
        ("0.1,0.2", "a zone is a list of points"),
        ([], "at least three points"),
        ([[0.1, 0.1], [0.5, 0.5]], "at least three points"),
        ([[0.1, 0.1], [0.5, 0.5], [0.1, 0.1]], "at least three points"),
        ([[0.1, 0.1], [0.5, 0.5], 3], "a point is"),
        ([[0.1, 0.1], [0.5, 0.5], [0.1]], "a point is"),
        ([[0.1, 0.1], [0.5, 0.5], "ab"], "a point is"),
        ([[0.1, 0.1], [0.5, "x"], [0.1, 0.9]], "a coordinate is a number"),
        ([[0.1, 0.1], [0.5, True], [0.1, 0.9]], "a coordinate is a number"),
        ([[0.1, 0.1], [0.5, 1.2], [0.1, 0.9]], "1.2 lies outside the picture"),
        ([[0.1, 0.1], [0.5, -0.1], [0.1, 0.9]], "-0.1 lies outside the picture"),
        ([[0.1, 0.1], [0.5, math.nan], [0.1, 0.9]], "outside the picture"),
        ([[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]], "edges 1 and 3 of the zone cross"),
        ([[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]], "no area"),
    ],
)
def test_a_zone_that_makes_no_sense_is_refused_in_words(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_polygon(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (7, "a line is a list of points"),
        ([[0.1, 0.1]], "exactly two points, not 1"),
        ([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]], "exactly two points, not 3"),
        ([[0.1, 0.1], [0.1, 0.1]], "must differ"),
        ([[0.1, 0.1], [0.1, 2]], "2 lies outside"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_in_words(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_line(value)


def test_a_zone_that_repeats_its_first_point_is_the_same_zone() -> None:
    corners = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]
    assert parse_polygon([*corners, corners[0]]) == parse_polygon(corners)


def test_whole_numbers_are_coordinates_too() -> None:
    assert parse_polygon([[0, 0], [1, 0], [1, 1]]).points == (Point(0, 0), Point(1, 0), Point(1, 1))


@given(x=st.floats(-0.5, 1.5), y=st.floats(-0.5, 1.5))
def test_a_square_contains_what_lies_between_its_sides(x: float, y: float) -> None:
    between = 0.2 < x < 0.6 and 0.2 < y < 0.6
    on_the_outline = (x in (0.2, 0.6) and 0.2 <= y <= 0.6) or (y in (0.2, 0.6) and 0.2 <= x <= 0.6)
    if not on_the_outline:
        assert SQUARE.contains(Point(x, y)) == between


def test_the_notch_of_a_concave_zone_is_outside() -> None:
    assert NOTCHED.contains(Point(0.2, 0.3))
    assert NOTCHED.contains(Point(0.45, 0.7))
    assert not NOTCHED.contains(Point(0.45, 0.3))


@given(p=points, start=st.integers(0, 7))
def test_what_is_inside_does_not_depend_on_where_the_outline_begins_or_on_its_sense(
    p: Point, start: int
) -> None:
    turned = Polygon(NOTCHED.points[start:] + NOTCHED.points[:start])
    if NOTCHED.distance(p) > 1e-9:
        assert turned.contains(p) == NOTCHED.contains(p)
        assert Polygon(tuple(reversed(turned.points))).contains(p) == NOTCHED.contains(p)


@pytest.mark.parametrize(
    ("a", "b", "meets"),
    [
        (Point(0.0, 0.4), Point(1.0, 0.4), True),  # straight through
        (Point(0.3, 0.3), Point(0.5, 0.5), True),  # wholly inside
        (Point(0.4, 0.4), Point(0.4, 1.2), True),  # out over the picture's border
        (Point(0.0, 0.1), Point(1.0, 0.1), False),  # past it
        (Point(0.0, 0.7), Point(0.1, 0.0), False),
        (Point(0.5, 0.15), Point(0.7, 0.35), True),  # just over a corner
    ],
)
def test_a_way_meets_a_zone_where_any_of_it_touches(a: Point, b: Point, meets: bool) -> None:
    assert SQUARE.meets(a, b) is meets
    assert SQUARE.meets(b, a) is meets


def test_crossing_edges_are_named_by_their_index() -> None:
    bow_tie = Polygon((Point(0, 0), Point(1, 1), Point(1, 0), Point(0, 1)))
    assert bow_tie.crossing_edges() == (0, 2)
    assert SQUARE.crossing_edges() is None
    assert NOTCHED.crossing_edges() is None


def test_area_is_that_of_the_picture_it_covers() -> None:
    assert SQUARE.area() == pytest.approx(0.16)
    assert Polygon(tuple(reversed(SQUARE.points))).area() == pytest.approx(0.16)


def test_an_edge_along_the_border_of_the_picture_is_no_border_of_a_zone() -> None:
    right_strip = parse_polygon([[0.9, 0], [1, 0], [1, 1], [0.9, 1]])
    assert right_strip.distance(Point(0.99, 0.5)) == pytest.approx(0.09)
    assert parse_polygon([[0, 0], [1, 0], [1, 1], [0, 1]]).distance(Point(0.5, 0.5)) == math.inf


LEFT_TO_RIGHT = parse_line([[0.2, 0.5], [0.8, 0.5]])


def test_over_a_line_from_left_to_right_up_is_in_and_down_is_out() -> None:
    above, below = Point(0.5, 0.3), Point(0.5, 0.7)
    assert LEFT_TO_RIGHT.offset(above) == pytest.approx(0.2)
    assert LEFT_TO_RIGHT.offset(below) == pytest.approx(-0.2)


def test_over_a_line_from_top_to_bottom_right_is_in() -> None:
    assert parse_line([[0.5, 0.1], [0.5, 0.9]]).offset(Point(0.8, 0.5)) == pytest.approx(0.3)


@given(a=points, b=points, p=points)
def test_turning_a_line_round_swaps_in_and_out(a: Point, b: Point, p: Point) -> None:
    if math.dist(a, b) > 1e-3:
        assert Line(a, b).offset(p) == pytest.approx(-Line(b, a).offset(p), abs=1e-9)


def test_a_way_spans_a_line_only_between_its_ends() -> None:
    assert LEFT_TO_RIGHT.spans(Point(0.5, 0.4), Point(0.5, 0.6))
    assert LEFT_TO_RIGHT.spans(Point(0.1, 0.4), Point(0.6, 0.6))
    assert not LEFT_TO_RIGHT.spans(Point(0.9, 0.4), Point(0.9, 0.6))
    assert not LEFT_TO_RIGHT.spans(Point(0.5, 0.4), Point(0.5, 0.49))


def test_touching_is_crossing_and_lying_along_each_other_is_not() -> None:
    a, b = Point(0.0, 0.5), Point(1.0, 0.5)
    assert segments_cross(a, b, Point(0.5, 0.5), Point(0.5, 0.9))
    assert not segments_cross(a, b, Point(0.2, 0.5), Point(0.8, 0.5))


@given(a=points, b=points, p=points)
def test_no_point_of_a_segment_is_nearer_than_the_distance_to_it(a: Point, b: Point, p: Point) -> None:
    steps = [i / 50 for i in range(51)]
    nearest = min(math.dist(p, (a.x + t * (b.x - a.x), a.y + t * (b.y - a.y))) for t in steps)
    distance = distance_to_segment(p, a, b)
    assert distance <= nearest + 1e-9
    assert distance >= nearest - math.dist(a, b) / 50


def test_a_box_stands_on_the_middle_of_its_bottom_edge() -> None:
    box = Box(0.2, 0.1, 0.4, 0.7)
    assert box.foot == pytest.approx((0.3, 0.7))
    assert box.centre == pytest.approx((0.3, 0.4))
    assert (box.width, box.height) == pytest.approx((0.2, 0.6))
