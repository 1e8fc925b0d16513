"""Several pictures in one look: each gets its own boxes back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from server.domain.detections import Detections
from server.domain.video import Picture
from server.vision.detector import GREY, GridDetector, fitting

SIDE = 64


class Bright:
    """Finds the bounding box of each colour brighter than grey, by its own value: 200, 210, …"""

    name, size, batch = "bright", (SIDE, SIDE), 1

    def __init__(self, extra: Sequence[tuple[float, float, float, float]] = ()) -> None:
        self.looks: list[Picture] = []
        self.extra = extra

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        self.looks += pictures
        return [self._find(picture) for picture in pictures]

    def _find(self, picture: Picture) -> Detections:
        height, width = picture.shape[:2]
        boxes = list(self.extra)
        for value in range(200, 256, 10):
            ys, xs = np.nonzero(picture[..., 0] == value)
            if len(xs):
                boxes.append(
                    (xs.min() / width, ys.min() / height, (xs.max() + 1) / width, (ys.max() + 1) / height)
                )
        n = len(boxes)
        return Detections(
            np.array(boxes, np.float32).reshape(n, 4), np.full(n, 0.9, np.float32), np.zeros(n, np.int64)
        )


def picture(value: int, left: int, top: int, right: int, bottom: int, size: tuple[int, int]) -> Picture:
    made = np.full((size[1], size[0], 3), 20, np.uint8)
    made[top:bottom, left:right] = value
    return made


def test_boxes_come_back_to_the_picture_they_were_found_in() -> None:
    inner = Bright()
    grid = GridDetector(inner, 2)
    assert (grid.size, grid.batch, grid.name) == ((32, 32), 4, "bright, 2x2 grid")
    places = [(2, 4, 10, 28), (8, 8, 24, 16), (0, 0, 8, 8), (24, 24, 32, 32)]
    pictures = [picture(200 + 10 * i, *place, size=(32, 32)) for i, place in enumerate(places)]
    answers = grid.detect(pictures)
    assert len(inner.looks) == 1
    for answer, place in zip(answers, places, strict=True):
        ((_, _, box),) = answer.as_list()
        assert box == pytest.approx([side / 32 for side in place], abs=1e-6)


def test_a_wide_picture_is_measured_without_the_grey_below_it() -> None:
    (answer,) = GridDetector(Bright(), 2).detect([picture(200, 8, 4, 24, 16, size=(32, 16))])
    ((_, _, box),) = answer.as_list()
    assert box == pytest.approx((8 / 32, 4 / 16, 24 / 32, 1.0), abs=1e-6)


def test_more_pictures_than_tiles_take_more_looks_and_fewer_leave_tiles_grey() -> None:
    inner = Bright()
    pictures = [picture(200 + 10 * i, 4 * i, 0, 4 * i + 4, 8, size=(32, 32)) for i in range(5)]
    answers = GridDetector(inner, 2).detect(pictures)
    assert len(inner.looks) == 2
    assert [round(a.as_list()[0][2].x1 * 32) for a in answers] == [0, 4, 8, 12, 16]
    assert (inner.looks[1][:, 32:] == GREY).all()
    assert (inner.looks[1][32:] == GREY).all()


def test_a_box_that_spills_over_its_tile_is_cut_and_given_to_one_picture_only() -> None:
    spilling = Bright(extra=[(0.3, 0.1, 0.6, 0.3)])  # pixels 19.2 to 38.4: its middle is in the first tile
    blank = np.full((32, 32, 3), 20, np.uint8)
    first, second = GridDetector(spilling, 2).detect([blank, blank])
    ((_, _, box),) = first.as_list()
    assert box == pytest.approx((0.6, 0.2, 1.0, 0.6), abs=1e-6)
    assert len(second) == 0


def test_a_box_over_all_tiles_belongs_to_nobody() -> None:
    blank = np.full((32, 32, 3), 20, np.uint8)
    answers = GridDetector(Bright(extra=[(0.0, 0.0, 1.0, 1.0)]), 2).detect([blank] * 4)
    assert [len(answer) for answer in answers] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("size", "room", "fits"),
    [
        ((1920, 1080), (416, 416), (416, 234)),
        ((100, 400), (416, 416), (104, 416)),
        ((5000, 1), (64, 64), (64, 1)),
    ],
)
def test_a_picture_keeps_its_shape_when_it_is_fitted(
    size: tuple[int, int], room: tuple[int, int], fits: tuple[int, int]
) -> None:
    assert fitting(*size, room) == fits
