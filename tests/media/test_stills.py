"""Pictures of frames: cut out where the box is, upright, no larger than wanted."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from server.domain.geometry import Box
from server.domain.video import Frame, Picture
from server.media.stills import bytes_of, cut, jpeg, scale_for, shrunk


def _frame(rotation: int, width: int = 96, height: int = 64) -> Frame:
    """As displayed: dark, with a light block in the right upper quarter of the upright picture."""
    turned = rotation in (90, 270)
    upright = np.full((width, height) if turned else (height, width), 30, np.uint8)
    h, w = upright.shape
    upright[: h // 2, w // 2 :] = 220
    y = np.ascontiguousarray(np.rot90(upright, -(rotation // 90)))
    half = ((y.shape[0] + 1) // 2, (y.shape[1] + 1) // 2)
    return Frame(0, 0, y, np.full(half, 128, np.uint8), np.full(half, 128, np.uint8), rotation)


def _decoded(data: bytes) -> Picture:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("size", [(96, 64), (95, 63)])
def test_a_cut_shows_what_lies_in_the_box(rotation: int, size: tuple[int, int]) -> None:
    frame = _frame(rotation, *size)
    light = cut(frame, Box(0.55, 0.05, 0.95, 0.45)).picture()
    dark = cut(frame, Box(0.05, 0.55, 0.95, 0.95)).picture()
    assert light.min() > 180
    assert dark.max() < 60
    assert light.shape[1] == pytest.approx(frame.width * 0.4, abs=4)
    assert light.shape[0] == pytest.approx(frame.height * 0.4, abs=4)


def test_a_margin_is_added_and_the_border_kept() -> None:
    frame = _frame(0, 100, 100)
    assert cut(frame, Box(0.4, 0.4, 0.6, 0.6), 0.2).width == 28
    assert cut(frame, Box(-0.5, -0.5, 0.1, 0.1), 0.2).width == pytest.approx(22, abs=2)
    beyond = cut(frame, Box(1.2, 1.2, 1.4, 1.4))
    assert beyond.width > 0 and beyond.height > 0


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_jpeg_is_upright_and_no_larger_than_wanted(rotation: int) -> None:
    frame = _frame(rotation, 200, 120)
    still = jpeg(frame, longest=100)
    assert max(still.width, still.height) == 100
    picture = _decoded(still.jpeg)
    assert picture.shape[1::-1] == (still.width, still.height)
    h, w = picture.shape[:2]
    assert picture[h // 4, 3 * w // 4].min() > 180
    assert picture[3 * h // 4, w // 4].max() < 60
    assert jpeg(frame, width=60).width == 60
    whole = jpeg(frame, longest=1000)
    assert (whole.width, whole.height) == (frame.width, frame.height)


def test_a_frame_is_shrunk_to_what_it_may_take() -> None:
    frame = _frame(0, 200, 120)
    small = shrunk(frame, scale_for(frame, 10_000))
    assert bytes_of(small) <= 10_500
    assert small.width / small.height == pytest.approx(200 / 120, abs=0.1)
    assert scale_for(frame, 10**9) == 1
    assert shrunk(frame, 1.0) is frame
