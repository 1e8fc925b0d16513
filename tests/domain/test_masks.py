"""Masks on planes of all sizes and rotations: inside all is black, outside all is as it was."""

from __future__ import annotations

import numpy as np
import pytest

from server.domain.geometry import Point, Polygon
from server.domain.masks import EVERYTHING, Masker, parse_masks
from server.domain.video import Frame

TRIANGLE = Polygon((Point(0.1, 0.2), Point(0.62, 0.3), Point(0.3, 0.71)))
CORNER = Polygon((Point(0.8, 0.8), Point(1.0, 0.8), Point(1.0, 1.0), Point(0.8, 1.0)))
SLIVER = Polygon((Point(0.5, 0.0), Point(0.5004, 0.0), Point(0.5004, 1.0), Point(0.5, 1.0)))


def _frame(width: int, height: int, rotation: int = 0) -> Frame:
    """A light, coloured picture; width and height of its planes, before it is turned."""
    random = np.random.default_rng(1)
    half = ((height + 1) // 2, (width + 1) // 2)
    planes = [random.integers(150, 235, shape).astype(np.uint8) for shape in ((height, width), half, half)]
    for plane in planes:
        plane.flags.writeable = False
    return Frame(0, 0, *planes, rotation=rotation)


SIZES = [(40, 30), (39, 31), (40, 31), (1, 1), (53, 34)]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("polygons", [(TRIANGLE,), (TRIANGLE, CORNER), (SLIVER,)])
def test_nothing_of_what_lies_inside_is_seen(
    size: tuple[int, int], rotation: int, polygons: tuple[Polygon, ...]
) -> None:
    frame = _frame(*size, rotation=rotation)
    masked = Masker(polygons).apply(frame)
    light, before = np.rot90(masked.y, rotation // 90), np.rot90(frame.y, rotation // 90)
    height, width = light.shape
    assert (masked.width, masked.height) == (width, height)
    # A pixel is touched where any of many points in it lies inside.
    steps = (np.arange(5) + 0.5) / 5
    for y in range(height):
        for x in range(width):
            points = [Point((x + dx) / width, (y + dy) / height) for dx in steps for dy in steps]
            if any(polygon.contains(point) for polygon in polygons for point in points):
                assert light[y, x] == 16, (x, y)
            elif light[y, x] == 16:
                assert _is_near(polygons, x, y, width, height), (x, y)
    assert np.array_equal(light[light != 16], before[light != 16])


def _is_near(polygons: tuple[Polygon, ...], x: int, y: int, width: int, height: int) -> bool:
    """Whether an edge passes within three pixels."""
    edges = [edge for polygon in polygons for edge in polygon.edges()]
    return any(_pixels((x + 0.5, y + 0.5), a, b, width, height) < 3 for a, b in edges)


def _pixels(p: tuple[float, float], a: Point, b: Point, width: int, height: int) -> float:
    a_, b_ = (np.array([q.x * width, q.y * height]) for q in (a, b))
    p_ = np.array(p)
    t = np.clip(np.dot(p_ - a_, b_ - a_) / max(1e-9, np.dot(b_ - a_, b_ - a_)), 0, 1)
    return float(np.linalg.norm(p_ - (a_ + t * (b_ - a_))))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_chroma_is_rounded_outwards(rotation: int) -> None:
    masked = Masker((TRIANGLE,)).apply(_frame(63, 47, rotation))
    black = np.pad(masked.y == 16, ((0, 1), (0, 1)))
    shared = black.reshape(24, 2, 32, 2).any(axis=(1, 3))
    assert np.array_equal(masked.u == 128, shared)
    assert np.array_equal(masked.v == 128, shared)


def test_the_decoders_planes_are_left_alone() -> None:
    frame = _frame(64, 48)
    before = frame.y.copy()
    masked = Masker((EVERYTHING,)).apply(frame)
    assert np.array_equal(frame.y, before)
    assert set(np.unique(masked.y)) == {16}
    assert (masked.pts, masked.ts_us, masked.rotation) == (frame.pts, frame.ts_us, frame.rotation)


def test_without_polygons_the_frame_is_the_same() -> None:
    frame = _frame(64, 48)
    assert Masker(()).apply(frame) is frame


def test_another_size_is_drawn_anew() -> None:
    masker = Masker((CORNER,))
    for width, height, rotation in ((64, 48, 0), (128, 96, 0), (64, 48, 90), (64, 48, 0)):
        picture = masker.apply(_frame(width, height, rotation)).picture()
        assert picture[-1, -1].tolist() == [0, 0, 0]
        assert picture[0, 0].any()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("x", "a list of polygons"),
        (3, "a list of polygons"),
        ([[[0, 0], [1, 1]]], "mask 1: .*three"),
        ([[[0, 0], [1, 0], [1, 1]], [[0, 0], [2, 0], [1, 1]]], "mask 2: .*outside"),
    ],
)
def test_masks_that_are_none_are_refused(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_masks(value)


def test_masks_are_read() -> None:
    assert parse_masks(None) == parse_masks([]) == ()
    (mask,) = parse_masks([[[0, 0], [1, 0], [1, 1]]])
    assert mask.points == (Point(0.0, 0.0), Point(1.0, 0.0), Point(1.0, 1.0))
