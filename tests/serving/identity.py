"""ONNX models that give back what they are given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper

TYPES: Final = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def write_identity(folder: Path, types: Mapping[str, int]) -> Path:
    """Write a model with an input `in_T` and an output `out_T` of shape [n, m] for each type."""
    nodes, inputs, outputs = [], [], []
    for name, kind in types.items():
        nodes.append(helper.make_node("Identity", [f"in_{name}"], [f"out_{name}"]))
        inputs.append(helper.make_tensor_value_info(f"in_{name}", kind, ["n", "m"]))
        outputs.append(helper.make_tensor_value_info(f"out_{name}", kind, ["n", "m"]))
    graph = helper.make_graph(nodes, "identity", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    return folder


def values(datatype: str, rows: int = 2) -> np.ndarray[Any, Any]:
    """Return two columns of a type, the ends of its range among them."""
    dtype: Any = onnx.helper.tensor_dtype_to_np_dtype(TYPES[datatype])
    if datatype == "BYTES":
        return np.array([["", "größer"]] * rows, dtype=object)
    if datatype == "BOOL":
        return np.array([[True, False]] * rows)
    bounds: Any = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    return np.array([[bounds.min, bounds.max]] * rows, dtype=dtype)


def raw(array: np.ndarray[Any, Any]) -> bytes:
    """Return an array as the binary tensor extension and gRPC's raw contents have it."""
    if array.dtype.kind == "O":
        texts = [text.encode() for text in array.ravel()]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    return array.astype(array.dtype.newbyteorder("<")).tobytes()
