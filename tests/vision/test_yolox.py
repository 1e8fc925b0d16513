"""The local detector, on tiny models made here and on the real weights."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from onnx import TensorProto

from server.domain.geometry import Box
from server.errors import ModelError
from server.vision.weights import DEMO_ADMIRAL, DEMO_ASTRONAUT, YOLOX_NANO
from server.vision.yolox import YoloxDetector
from tests.assets import asset
from tests.vision.onnx_models import CELLS, SIDE, save, table

PICTURE = np.full((SIDE, SIDE, 3), 90, np.uint8)
COCO_PERSON, COCO_CAR, COCO_CAT = 0, 2, 15
CELL = 3 * 8 + 2
"""Row of the cell in column 2, row 3 of the stride-8 grid."""


def raw(rows: np.ndarray, cell: int, cls: int, width: float, height: float, score: float = 0.8) -> None:
    """An object in the middle of a stride-8 cell, as an export without decoding gives it."""
    rows[0, cell, :5] = (0.5, 0.5, math.log(width / 8), math.log(height / 8), score)
    rows[0, cell, 5 + cls] = 1.0


def test_a_raw_row_becomes_a_box_in_fractions_of_the_picture(tmp_path: Path) -> None:
    rows = table()
    raw(rows, CELL, COCO_PERSON, 16, 32)
    (found,) = YoloxDetector(save(tmp_path / "raw.onnx", rows)).detect([PICTURE])
    ((label, score, box),) = found.as_list()
    assert label == "person"
    assert score == pytest.approx(0.8)
    # Its middle is at x (2 + 0.5) * 8 = 20, y (3 + 0.5) * 8 = 28.
    assert box == pytest.approx((12 / 64, 12 / 64, 28 / 64, 44 / 64))


def test_boxes_are_fractions_of_the_picture_not_of_the_padded_input(tmp_path: Path) -> None:
    rows = table()
    raw(rows, CELL, COCO_PERSON, 16, 16)
    wide = np.full((64, 128, 3), 90, np.uint8)
    (found,) = YoloxDetector(save(tmp_path / "raw.onnx", rows)).detect([wide])
    ((_, _, box),) = found.as_list()
    assert box == pytest.approx((12 / 64, 20 / 32, 28 / 64, 1.0))


def test_the_larger_strides_have_cells_of_their_own(tmp_path: Path) -> None:
    rows = table()
    rows[0, 64 + 4 + 1, :5] = (0.5, 0.5, 0, 0, 0.9)  # stride 16: column 1, row 1
    rows[0, 64 + 4 + 1, 5 + COCO_PERSON] = 1
    (found,) = YoloxDetector(save(tmp_path / "raw.onnx", rows)).detect([PICTURE])
    ((_, _, box),) = found.as_list()
    assert box == pytest.approx((16 / 64, 16 / 64, 32 / 64, 32 / 64))


def test_an_export_with_the_decoding_built_in_gives_pixels(tmp_path: Path) -> None:
    rows = table()
    rows[0, CELL, :5] = (20, 28, 16, 32, 0.8)
    rows[0, CELL, 5 + COCO_CAR] = 1
    rows[0, 0, :4] = (32, 32, 100, 100)  # a cell that found nothing still says pixels
    (found,) = YoloxDetector(save(tmp_path / "decoded.onnx", rows)).detect([PICTURE])
    ((label, _, box),) = found.as_list()
    assert label == "car"
    assert box == pytest.approx((12 / 64, 12 / 64, 28 / 64, 44 / 64))


def test_weak_boxes_other_classes_and_doubles_are_dropped_and_the_best_comes_first(tmp_path: Path) -> None:
    rows = table()
    raw(rows, CELL, COCO_PERSON, 16, 32, 0.6)
    raw(rows, CELL + 1, COCO_PERSON, 4, 4, 0.7)
    raw(rows, CELL + 8, COCO_CAT, 16, 16, 0.9)
    raw(rows, CELL + 16, COCO_CAR, 16, 16, 0.03)
    rows[0, CELL + 24] = rows[0, CELL]
    rows[0, CELL + 24, 1] -= 3  # the same box, told by a cell further down
    rows[0, CELL + 24, 4] = 0.5
    (found,) = YoloxDetector(save(tmp_path / "raw.onnx", rows)).detect([PICTURE])
    assert [(label, pytest.approx(score)) for label, score, _ in found.as_list()] == [
        ("person", 0.7),
        ("person", 0.6),
    ]


def test_nothing_found_is_nothing(tmp_path: Path) -> None:
    detector = YoloxDetector(save(tmp_path / "blank.onnx", table()))
    assert [len(found) for found in detector.detect([PICTURE, PICTURE])] == [0, 0]
    assert detector.detect([]) == []
    assert (detector.name, detector.size, detector.batch) == ("blank", (SIDE, SIDE), 1)


@pytest.mark.parametrize("names", ['["cat", "truck", "person"]', "{'0': 'cat', '1': 'truck', '2': 'person'}"])
def test_classes_are_found_by_the_names_in_the_metadata(tmp_path: Path, names: str) -> None:
    rows = table(classes=3)
    raw(rows, CELL, 2, 16, 32)
    raw(rows, 0, 1, 8, 8)
    raw(rows, 7, 0, 8, 8)
    (found,) = YoloxDetector(save(tmp_path / "named.onnx", rows, names=names)).detect([PICTURE])
    assert sorted(label for label, _, _ in found.as_list()) == ["person", "truck"]


def test_a_single_unnamed_class_is_people(tmp_path: Path) -> None:
    rows = table(classes=1)
    raw(rows, CELL, 0, 16, 32)
    (found,) = YoloxDetector(save(tmp_path / "one.onnx", rows)).detect([PICTURE])
    assert [label for label, _, _ in found.as_list()] == ["person"]


def test_an_open_input_size_is_settled(tmp_path: Path) -> None:
    sides = [640 // stride for stride in (8, 16, 32)]
    rows = np.zeros((1, sum(side * side for side in sides), 6), np.float32)
    detector = YoloxDetector(save(tmp_path / "open.onnx", rows, shape=(1, 3, "height", "width")))
    assert detector.size == (640, 640)
    assert len(detector.detect([PICTURE])[0]) == 0


def test_a_model_that_does_not_fit_is_refused_in_words(tmp_path: Path) -> None:
    unfit = {
        "its input is": save(tmp_path / "rank.onnx", table(), shape=(1, 3, SIDE)),
        "its input is .*1, 4": save(tmp_path / "four.onnx", table(), shape=(1, 4, SIDE, SIDE)),
        "of floats": save(tmp_path / "bytes.onnx", table(), kind=TensorProto.UINT8),
        "not a multiple of 32": save(tmp_path / "odd.onnx", table(), shape=(1, 3, 60, SIDE)),
        "does not fit a 64x64 input": save(tmp_path / "rows.onnx", table()[:, : CELLS - 1]),
        "does not fit": save(tmp_path / "narrow.onnx", table(classes=0)),
        "its output is not one table": save(tmp_path / "flat.onnx", table()[0]),
        "has 12 classes and does not name them": save(tmp_path / "twelve.onnx", table(classes=12)),
        "knows none of person": save(tmp_path / "cats.onnx", table(classes=2), names='["cat", "dog"]'),
    }
    for words, path in unfit.items():
        with pytest.raises(ModelError, match=words) as refusal:
            YoloxDetector(path)
        assert path.name in str(refusal.value)


def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("not a model")
    with pytest.raises(ModelError, match=r"text\.onnx is not an ONNX model") as refusal:
        YoloxDetector(path)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="fetch-weights"):
        YoloxDetector(tmp_path / "gone.onnx")


@pytest.fixture(scope="module")
def nano() -> YoloxDetector:
    try:
        return YoloxDetector(asset(YOLOX_NANO))
    except ModelError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", [DEMO_ASTRONAUT, DEMO_ADMIRAL])
def test_the_real_weights_find_the_person_in_a_demo_picture(nano: YoloxDetector, name: str) -> None:
    picture = cv2.imread(str(asset(name)))
    (found,) = nano.detect([picture])
    people = [(score, box) for label, score, box in found.as_list() if label == "person" and score > 0.5]
    assert len(people) == 1
    assert people[0][1].width * people[0][1].height > 0.3
    left = np.full_like(picture, 114)
    (both,) = nano.detect([np.concatenate([left, picture], axis=1)])
    best = next(box for label, score, box in both.as_list() if label == "person")
    assert isinstance(best, Box)
    assert best.centre.x > 0.6


def test_the_real_weights_find_nobody_on_a_grey_wall(nano: YoloxDetector) -> None:
    (found,) = nano.detect([np.full((480, 640, 3), 128, np.uint8)])
    assert [score for label, score, _ in found.as_list() if label == "person" and score > 0.3] == []
