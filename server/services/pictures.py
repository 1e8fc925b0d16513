"""Pictures that somebody sent: checked before they are decoded."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import cv2
import numpy as np

from server.domain.video import Picture
from server.errors import InvalidInput

MAX_PIXELS = 50_000_000
"""A JPEG of some kilobytes can decode to gigabytes; this many pixels take 150 MB for a moment."""

_STANDALONE = {0x01, *range(0xD0, 0xD8)}
_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class SentPicture:
    """A decoded picture, upright. `width` and `height` are those it was sent with, in pixels; `picture`
    may be a whole fraction of that where more would be thrown away anyway."""

    width: int
    height: int
    picture: Picture


def read_jpeg(data: bytes, field: str, enough: tuple[int, int]) -> SentPicture:
    """Decode a JPEG. `enough`: width and height in pixels beyond which nothing is gained.

    Raises InvalidInput naming `field` where it is no whole JPEG or has more than `MAX_PIXELS`.
    """
    width, height = _size(data, field)
    if width * height > MAX_PIXELS:
        raise InvalidInput(field, f"{width} x {height} pixels are too many; {MAX_PIXELS} at most")
    flag, factor = cv2.IMREAD_COLOR, 1
    reductions = (
        (cv2.IMREAD_REDUCED_COLOR_8, 8),
        (cv2.IMREAD_REDUCED_COLOR_4, 4),
        (cv2.IMREAD_REDUCED_COLOR_2, 2),
    )
    for reduced, by in reductions:
        # Twice as much as enough stays, so that the detector's own scaling decides how it looks.
        if max(width, height) >= 2 * by * max(enough):
            flag, factor = reduced, by
            break
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        picture = None
    if picture is None:
        raise InvalidInput(field, "is a damaged JPEG")
    high, wide = picture.shape[:2]
    if abs(wide * factor - width) > factor or abs(high * factor - height) > factor:
        # The camera was held upright: the picture says so and was turned.
        width, height = height, width
    return SentPicture(width, height, np.asarray(picture, np.uint8))


def _size(data: bytes, field: str) -> tuple[int, int]:
    """Width and height in pixels as the frame header gives them, without decoding."""
    if data[:2] != b"\xff\xd8":
        raise InvalidInput(field, "is not a JPEG")
    position = 2
    while position + 9 < len(data):
        if data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _STANDALONE:
            position += 2
            continue
        length = struct.unpack_from(">H", data, position + 2)[0]
        if marker in _FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", data, position + 5)
            if width and height and data.rfind(b"\xff\xd9") > position:
                return width, height
            break
        position += 2 + length
    raise InvalidInput(field, "is a damaged JPEG")
