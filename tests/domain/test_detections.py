"""What a detector says about a frame keeps its shape."""

from __future__ import annotations

import numpy as np
import pytest

from server.domain.detections import LABELS, Detections
from server.domain.geometry import Box

TWO = Detections(
    np.array([[0, 0, 0.5, 0.5], [0.5, 0.25, 1, 1]], np.float32),
    np.array([0.75, 0.5], np.float32),
    np.array([LABELS.index("car"), LABELS.index("person")], np.int64),
)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="differ in shape"):
        Detections(np.zeros((1, 5), np.float32), np.zeros(1, np.float32), np.zeros(1, np.int64))


def test_a_mask_and_an_index_pick_the_same() -> None:
    by_mask, by_index = TWO.where(np.array([False, True])), TWO.where(np.array([1]))
    assert by_mask.as_list() == by_index.as_list() == [("person", 0.5, Box(0.5, 0.25, 1, 1))]


def test_nothing_found_is_an_empty_list() -> None:
    assert len(Detections.empty()) == 0
    assert Detections.empty().as_list() == []
    assert len(TWO) == 2
