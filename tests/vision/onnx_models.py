"""Tiny ONNX files that behave like a detector's export: whatever comes in, a fixed table comes out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
CELLS = 8 * 8 + 4 * 4 + 2 * 2
"""Rows of the table for a 64 x 64 input with strides 8, 16 and 32."""


def table(classes: int = 80) -> npt.NDArray[np.float32]:
    """A table in which nothing is found."""
    return np.zeros((1, CELLS, 5 + classes), np.float32)


def save(
    path: Path,
    rows: npt.NDArray[np.float32],
    *,
    shape: tuple[int | str, ...] = (1, 3, SIDE, SIDE),
    kind: int = TensorProto.FLOAT,
    names: str | None = None,
) -> Path:
    """Write a model with an input of this shape that answers with `rows`."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["floats"], ["peak"], keepdims=0),
        helper.make_node("Mul", ["peak", "zero"], ["nothing"]),
        helper.make_node("Add", ["table", "nothing"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", kind, list(shape))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, list(rows.shape))],
        [numpy_helper.from_array(rows, "table"), numpy_helper.from_array(np.array(0, np.float32), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    if names is not None:
        entry = model.metadata_props.add()
        entry.key, entry.value = "names", names
    onnx.save(model, str(path))
    return path
