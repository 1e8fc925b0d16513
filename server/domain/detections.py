"""What a detector says about one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.domain.geometry import Box

LABELS = ("person", "bicycle", "car", "motorcycle", "bus", "truck")
"""The classes Hypersight knows, by their COCO names. A detector's other classes are dropped."""


@dataclass(frozen=True, slots=True)
class Detections:
    """N boxes found in one frame, best first.

    boxes: (N, 4) float32, left, top, right, bottom in fractions of the frame, clipped to 0..1.
    scores: (N,) float32, 0..1. labels: (N,) int64, indices into `LABELS`.
    """

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes.shape != (n, 4) or self.labels.shape != (n,) or self.scores.shape != (n,):
            raise ValueError("boxes, scores and labels differ in shape")

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls) -> Detections:
        """Nothing found."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))

    def where(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Detections:
        """Those that a mask or an index array picks."""
        return Detections(self.boxes[keep], self.scores[keep], self.labels[keep])

    def as_list(self) -> list[tuple[str, float, Box]]:
        """(label, score, box) of each, as plain values."""
        return [
            (LABELS[label], float(score), Box(*map(float, box)))
            for box, score, label in zip(self.boxes, self.scores, self.labels, strict=True)
        ]
