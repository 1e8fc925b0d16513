"""YOLOX on ONNX Runtime: the detector that runs here, on the CPU.

Facts about the export: https://github.com/Megvii-BaseDetection/YOLOX (Apache-2.0). Input BGR 0..255,
not normalised, in the top left corner on grey 114. Output a row a grid cell: centre and size relative
to the cell, objectness, one score a class.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from server.domain.detections import LABELS, Detections
from server.domain.video import Picture
from server.errors import DetectorError, ModelError
from server.vision.detector import GREY, MIN_SCORE, place

NMS_IOU = 0.6
"""Of two boxes of one group that overlap more than this, the weaker is taken for the same object."""
MAX_BOXES = 300
"""A crowd beyond this is cut off, strongest first: it bounds what one frame can cost."""
DEFAULT_SIDE = 640
"""Side of the input in pixels where the file leaves it open."""

_COCO = {"person": 0, "bicycle": 1, "car": 2, "motorcycle": 3, "bus": 5, "truck": 7}
_COCO_CLASSES = 80
_GROUPS = np.array([0, 1, 2, 1, 2, 2])
"""Labels that are taken for each other, by index into LABELS: people; two wheels; the rest."""
_STRIDES = ((8, 16, 32), (8, 16, 32, 64))

Floats = npt.NDArray[np.float32]


class YoloxDetector:
    """One session, shared by all cameras of a process: ONNX Runtime lets go of the interpreter lock."""

    def __init__(self, path: Path) -> None:
        """Load a YOLOX export. Raises ModelError, in words, for a file that is none."""
        self._session = _load(path)
        self._input = self._session.get_inputs()[0].name
        self.name = path.stem
        width, height = _input_size(self._session, path)
        self.size = (width, height)
        self.batch = 1
        self._blank = np.full((height, width, 3), GREY, np.uint8)
        probe = self._run(self._blank)
        self._cells, self._strides = _grid(probe, width, height, path)
        self._columns, self._labels = _classes(self._session, probe.shape[1] - 5, path)
        # An export with the decoding built in gives pixels: far larger numbers than the raw ones.
        self._decoded = bool(np.abs(probe[:, :4]).max() > 64)

    def detect(self, pictures: Sequence[Picture]) -> list[Detections]:
        """See `Detector.detect`."""
        return [self._detect_one(picture) for picture in pictures]

    def _detect_one(self, picture: Picture) -> Detections:
        canvas = self._blank.copy()
        width, height = place(picture, canvas)
        rows = self._run(canvas)
        likely = np.flatnonzero(rows[:, 4] >= MIN_SCORE)
        rows = rows[likely]
        by_class = rows[:, self._columns]
        best = by_class.argmax(axis=1) if len(rows) else np.empty(0, np.int64)
        scores = rows[:, 4] * by_class[np.arange(len(rows)), best]
        keep = np.flatnonzero(scores >= MIN_SCORE)
        pixels = self._boxes(rows[keep], likely[keep])
        boxes = (pixels / np.array([width, height] * 2)).astype(np.float32)
        return _strongest(boxes, scores[keep], self._labels[best[keep]])

    def _boxes(self, rows: Floats, cells: npt.NDArray[np.int64]) -> Floats:
        """Left, top, right, bottom in pixels of the canvas."""
        centre, size = rows[:, :2], rows[:, 2:4]
        if not self._decoded:
            stride = self._strides[cells]
            centre = (centre + self._cells[cells]) * stride
            size = np.exp(size) * stride
        return np.concatenate([centre - size / 2, centre + size / 2], axis=1)

    def _run(self, canvas: Picture) -> Floats:
        tensor = np.ascontiguousarray(canvas.transpose(2, 0, 1), np.float32)[None]
        try:
            rows: Floats = self._session.run(None, {self._input: tensor})[0][0]
        except onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException as error:
            raise DetectorError(f"{self.name}: ONNX Runtime failed: {error}") from error
        return rows


def _load(path: Path) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise ModelError(
            f"{path}: no such weights file; `flask --app server fetch-weights` brings the default"
        )
    options = onnxruntime.SessionOptions()
    # One thread a call: a pool would spin between calls and burn four times what it computes.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"{path.name} is not an ONNX model that can be run: {_first_line(error)}") from error


def _input_size(session: onnxruntime.InferenceSession, path: Path) -> tuple[int, int]:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = inputs[0].shape
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(shape) != 4 or shape[1] != 3:
        raise ModelError(
            f"{path.name} is no YOLOX: its input is {shape}, not [1, 3, height, width] of floats"
        )
    if len(outputs) != 1 or len(outputs[0].shape) != 3:
        raise ModelError(f"{path.name} is no YOLOX: its output is not one table [1, cells, 5 + classes]")
    height, width = (side if isinstance(side, int) else DEFAULT_SIDE for side in shape[2:])
    if height % 32 or width % 32:
        raise ModelError(f"{path.name} is no YOLOX: {width}x{height} is not a multiple of 32")
    return width, height


def _grid(probe: Floats, width: int, height: int, path: Path) -> tuple[Floats, Floats]:
    """Cell positions (N, 2) and strides (N, 1) for the rows of the output."""
    for strides in _STRIDES:
        if sum((width // s) * (height // s) for s in strides) != len(probe) or probe.shape[1] < 6:
            continue
        cells = [np.indices((height // s, width // s))[::-1].reshape(2, -1).T for s in strides]
        widths = [np.full((len(c), 1), s) for c, s in zip(cells, strides, strict=True)]
        return np.concatenate(cells).astype(np.float32), np.concatenate(widths).astype(np.float32)
    raise ModelError(f"{path.name} is no YOLOX: {probe.shape} does not fit a {width}x{height} input")


def _classes(
    session: onnxruntime.InferenceSession, count: int, path: Path
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Output columns of the classes that matter, and each one's index into LABELS."""
    names = _class_names(session)
    if names:
        found = {name: names.index(name) for name in LABELS if name in names[:count]}
    elif count == _COCO_CLASSES:
        found = _COCO
    elif count == 1:
        found = {"person": 0}
    else:
        raise ModelError(
            f"{path.name} has {count} classes and does not name them: metadata `names` is missing"
        )
    if not found:
        raise ModelError(f"{path.name} knows none of {', '.join(LABELS)}")
    columns = np.array([5 + column for column in found.values()])
    return columns, np.array([LABELS.index(name) for name in found])


def _class_names(session: onnxruntime.InferenceSession) -> list[str]:
    """Names from the model's metadata: a JSON list, or an object of number to name. Empty if none."""
    text = session.get_modelmeta().custom_metadata_map.get("names", "")
    try:
        names = json.loads(text.replace("'", '"')) if text else []
    except ValueError:
        return []
    if isinstance(names, dict):
        names = [names[key] for key in sorted(names, key=int)]
    return [str(name) for name in names]


def _strongest(boxes: Floats, scores: Floats, labels: npt.NDArray[np.int64]) -> Detections:
    """Drop weaker boxes of what is already found, clip to the picture, order by score."""
    if not len(scores):
        return Detections.empty()
    corner_and_size = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxesBatched(
        corner_and_size.astype(np.float64),
        scores.tolist(),
        _GROUPS[labels].tolist(),
        MIN_SCORE,
        NMS_IOU,
        1.0,
        MAX_BOXES,
    )
    order: npt.NDArray[np.int64] = np.asarray(kept, np.int64).reshape(-1)
    order = order[np.argsort(-scores[order], kind="stable")][:MAX_BOXES]
    return Detections(np.clip(boxes[order], 0, 1), scores[order], labels[order])


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
