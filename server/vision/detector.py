"""What every object detector looks like, and the mosaic that lets one look serve several frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from server.domain.detections import Detections
from server.domain.video import Picture

MIN_SCORE = 0.05
"""Boxes below this are noise. Between this and a processor's confidence they still help the tracker."""
GREY = 114
"""What fills the space around a picture; YOLOX was trained with it."""
_MIN_SHARE = 0.3
"""A box that spills from its tile of a mosaic is cut; with less than this share left it is dropped."""

Floats = npt.NDArray[np.float32]


class Detector(Protocol):
    """Finds people and vehicles in pictures. Safe to call from several threads at once."""

    @property
    def name(self) -> str:
        """For people: the model, or the server's address without credentials."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels; a larger picture is shrunk to fit and gains nothing."""

    @property
    def batch(self) -> int:
        """How many pictures one look takes; fewer are possible, and cost as much."""

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """One answer a picture, in order. Raises DetectorError where it cannot answer."""


def fitting(width: int, height: int, size: tuple[int, int]) -> tuple[int, int]:
    """The largest width and height of the same shape that fit into `size`, in pixels."""
    scale = min(size[0] / width, size[1] / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def place(picture: Picture, canvas: Picture) -> tuple[int, int]:
    """Put a picture into the top left corner of `canvas`, shrunk or grown to fit; gives its size there."""
    width, height = fitting(picture.shape[1], picture.shape[0], (canvas.shape[1], canvas.shape[0]))
    target = canvas[:height, :width]
    if picture.shape[:2] == (height, width):
        target[...] = picture
    else:
        target[...] = cv2.resize(picture, (width, height))
    return width, height


class GridDetector:
    """Glues n x n pictures into a mosaic for a single detection: n² times cheaper, and n times coarser."""

    def __init__(self, detector: Detector, n: int) -> None:
        self._detector = detector
        self._n = n
        self._tile = (detector.size[0] // n, detector.size[1] // n)

    @property
    def name(self) -> str:
        """That of the detector inside."""
        return f"{self._detector.name}, {self._n}x{self._n} grid"

    @property
    def size(self) -> tuple[int, int]:
        """One tile."""
        return self._tile

    @property
    def batch(self) -> int:
        """One mosaic."""
        return self._n * self._n

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """See `Detector.detect`. The last mosaic may stay partly empty."""
        answers: list[Detections] = []
        for start in range(0, len(pictures), self.batch):
            answers += self._detect_one(pictures[start : start + self.batch])
        return answers

    def _detect_one(self, pictures: Sequence[Picture]) -> list[Detections]:
        width, height = self._tile
        mosaic = np.full((height * self._n, width * self._n, 3), GREY, np.uint8)
        regions = []
        for index, picture in enumerate(pictures):
            left, top = index % self._n * width, index // self._n * height
            w, h = place(picture, mosaic[top : top + height, left : left + width])
            regions.append(np.array([left, top, left + w, top + h], np.float32))
        (found,) = self._detector.detect([mosaic])
        scale = np.array([mosaic.shape[1], mosaic.shape[0]] * 2, np.float32)
        return [_cut_out(found, found.boxes * scale, region) for region in regions]


def _cut_out(found: Detections, boxes: Floats, region: Floats) -> Detections:
    """Those of the boxes (pixels of the mosaic) whose centre lies in a region, in fractions of it."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    clipped = np.clip(boxes, np.tile(region[:2], 2), np.tile(region[2:], 2))
    inside = np.all((centres >= region[:2]) & (centres < region[2:]), axis=1)
    share = np.prod(clipped[:, 2:] - clipped[:, :2], axis=1) / np.maximum(
        np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 1e-6
    )
    keep = inside & (share >= _MIN_SHARE)
    fractions = (clipped[keep] - np.tile(region[:2], 2)) / np.tile(region[2:] - region[:2], 2)
    return Detections(fractions.astype(np.float32), found.scores[keep], found.labels[keep])
