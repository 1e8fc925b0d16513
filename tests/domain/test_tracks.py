"""Going out over the border of the picture."""

from __future__ import annotations

import pytest

from server.domain.geometry import Box, Point
from server.domain.tracks import BORDER, REACH_S, borders_touched, exit_point, exit_points

LEFT, RIGHT, TOP, BOTTOM = range(4)
STILL = Point(0.0, 0.0)


@pytest.mark.parametrize(
    ("box", "velocity", "border", "beyond"),
    [
        (Box(0.0, 0.3, 0.1, 0.7), Point(-0.2, 0), LEFT, (-0.05, 0.5)),
        (Box(0.9, 0.3, 1.0, 0.7), Point(0.2, 0), RIGHT, (1.05, 0.5)),
        (Box(0.4, 0.0, 0.5, 0.4), Point(0, -0.2), TOP, (0.45, -0.2)),
        (Box(0.4, 0.6, 0.5, 1.0), Point(0, 0.2), BOTTOM, (0.45, 1.2)),
    ],
)
def test_a_box_at_a_border_goes_out_over_it_if_it_moves_that_way(
    box: Box, velocity: Point, border: int, beyond: tuple[float, float]
) -> None:
    ways = exit_points(box, velocity)
    assert list(ways) == [border]
    speed, point = ways[border]
    assert speed == pytest.approx(0.2)
    assert point == pytest.approx(beyond)
    assert exit_point(box, velocity) == point
    assert exit_point(box, Point(-velocity.x, -velocity.y)) is None
    assert exit_point(box, STILL) is None


def test_a_box_in_the_middle_goes_nowhere() -> None:
    assert exit_points(Box(0.4, 0.4, 0.6, 0.6), Point(0.5, 0.5)) == {}


def test_a_fast_box_that_reaches_the_border_before_the_next_look_goes_out() -> None:
    gap = BORDER + 1.0 * REACH_S
    assert exit_point(Box(0.5, 0.3, 1 - gap + 0.01, 0.7), Point(1.0, 0)) is not None
    assert exit_point(Box(0.5, 0.3, 1 - gap - 0.01, 0.7), Point(1.0, 0)) is None


def test_in_a_corner_the_border_that_is_neared_faster_counts() -> None:
    corner = Box(0.9, 0.6, 1.0, 1.0)
    assert set(exit_points(corner, Point(0.3, 0.1))) == {RIGHT, BOTTOM}
    assert exit_point(corner, Point(0.3, 0.1)) == pytest.approx((1.05, 0.8))
    assert exit_point(corner, Point(0.1, 0.3)) == pytest.approx((0.95, 1.2))


def test_the_borders_that_cut_a_box_are_told_left_right_top_bottom() -> None:
    assert borders_touched(Box(0.0, 0.2, 0.5, 1.0)) == (True, False, False, True)
    assert borders_touched(Box(0.2, 0.005, 0.995, 0.5)) == (False, True, True, False)
    assert borders_touched(Box(0.02, 0.02, 0.98, 0.98)) == (False, False, False, False)
