"""Picture masks: parts of a camera's picture that nobody and nothing is to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from server.domain.geometry import Point, Polygon, parse_polygon
from server.domain.video import Frame, Picture

EVERYTHING = Polygon((Point(0.0, 0.0), Point(1.0, 0.0), Point(1.0, 1.0), Point(0.0, 1.0)))
"""The whole picture."""
BLACK = 16, 128, 128
"""Luma and both chromas, limited range."""
_SHIFT = 4
"""Corners are drawn to a sixteenth of a pixel."""

Plane = npt.NDArray[np.uint8]


class _Patch(NamedTuple):
    """The rectangle of a plane that a mask lies in: where in it (255) and with what it is painted over."""

    rows: slice
    columns: slice
    where: Plane
    paint: Plane


class Masker:
    """Blacks out polygons, given in fractions of the picture as it is displayed.

    A pixel that a polygon touches is black, and so are the colours of the four pixels that share a sample
    of chroma with it: rounding never shows anything. Not to be used from several threads at once.
    """

    def __init__(self, polygons: Sequence[Polygon]) -> None:
        self.polygons = tuple(polygons)
        self._drawn_for: tuple[int, int, int] | None = None
        self._luma: _Patch | None = None
        self._chroma: tuple[_Patch, _Patch] | None = None

    def apply(self, frame: Frame) -> Frame:
        """The frame with the polygons black; the same frame where there are none.

        The decoder still needs its own planes, so they are copied and not written to.
        """
        if not self.polygons:
            return frame
        height, width = frame.y.shape
        if self._drawn_for != (width, height, frame.rotation):
            self._draw(width, height, frame.rotation)
            self._drawn_for = width, height, frame.rotation
        assert self._luma is not None and self._chroma is not None
        return replace(
            frame,
            y=_painted(frame.y, self._luma),
            u=_painted(frame.u, self._chroma[0]),
            v=_painted(frame.v, self._chroma[1]),
        )

    def _draw(self, width: int, height: int, rotation: int) -> None:
        """Once for each size and rotation. width, height: of the luma plane, which is not turned."""
        turned = rotation in (90, 270)
        upright = _raster(self.polygons, *((height, width) if turned else (width, height)))
        luma = np.ascontiguousarray(np.rot90(upright, -(rotation // 90)))
        even = np.pad(luma, ((0, height % 2), (0, width % 2)))
        rows, columns = even.shape[0] // 2, even.shape[1] // 2
        chroma = even.reshape(rows, 2, columns, 2).max(axis=(1, 3))
        self._luma = _patch(luma, BLACK[0])
        self._chroma = _patch(chroma, BLACK[1]), _patch(chroma, BLACK[2])


def black_out(picture: Picture, polygons: Sequence[Polygon]) -> Picture:
    """A copy of an upright BGR picture with the polygons black."""
    copy = picture.copy()
    copy[_raster(polygons, picture.shape[1], picture.shape[0]) > 0] = 0
    return copy


def parse_masks(value: object) -> tuple[Polygon, ...]:
    """Masks from JSON, `[[[x, y], …], …]`, or None for none. Raises ValueError for the user."""
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError("a list of polygons, each a list of its corners")
    masks = []
    for number, item in enumerate(value, 1):
        try:
            masks.append(parse_polygon(item))
        except ValueError as error:
            raise ValueError(f"mask {number}: {error}") from error
    return tuple(masks)


def _raster(polygons: Sequence[Polygon], width: int, height: int) -> Plane:
    """255 at each pixel that one of the polygons touches, and up to one pixel beyond."""
    drawn = np.zeros((height, width), np.uint8)
    for polygon in polygons:
        # A drawn coordinate is the middle of a pixel, a corner's 0 is the left edge of the first one.
        corners = [(p.x * width - 0.5, p.y * height - 0.5) for p in polygon.points]
        fixed = np.round(np.array(corners) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(drawn, [fixed], 255, shift=_SHIFT)
    return np.asarray(cv2.dilate(drawn, np.ones((3, 3), np.uint8)), np.uint8)


def _patch(mask: Plane, value: int) -> _Patch:
    left, top, width, height = cv2.boundingRect(mask)
    rows, columns = slice(top, top + height), slice(left, left + width)
    where = np.ascontiguousarray(mask[rows, columns])
    return _Patch(rows, columns, where, np.full_like(where, value))


def _painted(plane: Plane, patch: _Patch) -> Plane:
    copy = plane.copy()
    cv2.copyTo(patch.paint, patch.where, copy[patch.rows, patch.columns])
    return copy
