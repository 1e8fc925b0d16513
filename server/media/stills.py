"""Pictures of a frame: cut out, shrunk, as JPEG."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from server.domain.geometry import Box
from server.domain.video import Frame
from server.errors import StorageError

Plane = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Still:
    """A JPEG and its size in pixels, upright."""

    width: int
    height: int
    jpeg: bytes


def cut(frame: Frame, box: Box, margin: float = 0.0) -> Frame:
    """What lies in a box (fractions of the upright picture), and `margin` of its size more on each side.

    Rounded outwards to whole samples of chroma; never empty. Its planes are views: nothing is copied.
    """
    more_x, more_y = box.width * margin, box.height * margin
    upright = Box(box.x1 - more_x, box.y1 - more_y, box.x2 + more_x, box.y2 + more_y)
    x1, y1, x2, y2 = _unturned(upright, frame.rotation)
    left, right = _span(x1, x2, frame.u.shape[1])
    top, bottom = _span(y1, y2, frame.u.shape[0])
    half = slice(top, bottom), slice(left, right)
    return replace(
        frame,
        y=frame.y[2 * top : 2 * bottom, 2 * left : 2 * right],
        u=frame.u[half],
        v=frame.v[half],
    )


def shrunk(frame: Frame, scale: float) -> Frame:
    """The frame at `scale` (below 1) of its width and height; the frame itself where nothing is to do."""
    if scale >= 1:
        return frame
    width, height = (max(1, round(size * scale / 2)) for size in (frame.y.shape[1], frame.y.shape[0]))
    return replace(
        frame,
        y=_resized(frame.y, 2 * width, 2 * height),
        u=_resized(frame.u, width, height),
        v=_resized(frame.v, width, height),
    )


def jpeg(frame: Frame, longest: int | None = None, width: int | None = None, quality: int = 80) -> Still:
    """A frame as JPEG, upright, its longest side or its width at most so many pixels.

    Raises StorageError where it cannot be encoded.
    """
    scale = min(
        longest / max(frame.width, frame.height) if longest else 1.0,
        width / frame.width if width else 1.0,
    )
    small = shrunk(frame, scale)
    picture = small.picture()
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise StorageError("a picture cannot be encoded as JPEG")
    return Still(picture.shape[1], picture.shape[0], data.tobytes())


def bytes_of(frame: Frame) -> int:
    """How much memory its planes take."""
    return frame.y.size + frame.u.size + frame.v.size


def scale_for(frame: Frame, most_bytes: int) -> float:
    """How far to shrink a frame so that it takes no more than `most_bytes`; 1 where it does not."""
    return min(1.0, math.sqrt(most_bytes / max(1, bytes_of(frame))))


def _unturned(box: Box, rotation: int) -> Box:
    """A box of the upright picture, in the planes, which are not turned."""
    if rotation == 90:
        return Box(1 - box.y2, box.x1, 1 - box.y1, box.x2)
    if rotation == 180:
        return Box(1 - box.x2, 1 - box.y2, 1 - box.x1, 1 - box.y1)
    if rotation == 270:
        return Box(box.y1, 1 - box.x2, box.y2, 1 - box.x1)
    return box


def _span(low: float, high: float, size: int) -> tuple[int, int]:
    first = min(max(0, math.floor(low * size)), size - 1)
    return first, max(first + 1, min(size, math.ceil(high * size)))


def _resized(plane: Plane, width: int, height: int) -> Plane:
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
