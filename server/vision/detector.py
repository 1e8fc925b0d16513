"""What every object detector looks like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from server.domain.detections import Detections
from server.domain.video import Picture

MIN_SCORE = 0.1
"""Boxes below this are noise; between this and a processor's confidence they still help the tracker."""


class Detector(Protocol):
    """Finds people and vehicles in pictures. Safe to call from several threads at once."""

    name: str
    """For people: the model, or the server's address without credentials."""
    size: tuple[int, int]
    """Width and height in pixels beyond which a larger picture brings nothing."""

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """One answer a picture, in order. Raises DetectorError where it cannot answer."""
