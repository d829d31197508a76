"""Tensors as the core knows them: a name, a V2 datatype and a numpy array. No transport in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

# The Open Inference Protocol's tensor data types. BYTES are strings here, as JSON carries them. numpy has no BF16, so
# that is held as the FP32 it is the upper half of.
NUMPY_TYPES: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "BF16": np.dtype(np.float32),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
_DATATYPES: Final = {dtype: name for name, dtype in NUMPY_TYPES.items() if name != "BF16"}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model. -1 in `shape` stands for a size that the request decides."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Tensor(NamedTuple):
    """One tensor of a request or an answer."""

    name: str
    datatype: str
    array: Array


def datatype_of(dtype: np.dtype[Any]) -> str:
    """Return the V2 datatype that carries a numpy type; what has no number type travels as text."""
    return _DATATYPES.get(dtype.newbyteorder("="), "BYTES")


def tensor_of(name: str, values: Any) -> Tensor:
    """Return what a model answered as a tensor; values without a V2 type become text."""
    array = np.asarray(values)
    datatype = datatype_of(array.dtype)
    if datatype == "BYTES":
        array = _as_text(array)
    return Tensor(name, datatype, array)


def _as_text(array: Array) -> Array:
    flat = [item.decode() if isinstance(item, bytes) else str(item) for item in array.ravel().tolist()]
    text = np.empty(len(flat), dtype=object)
    text[:] = flat
    return text.reshape(array.shape)
