"""Tensors as the core knows them: a name, a V2 datatype and a numpy array. No transport in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Array: TypeAlias = np.ndarray[Any, Any]

# The Open Inference Protocol's tensor data types. An element of BYTES is a str where it is UTF-8 text, else bytes.
# numpy has no BF16, so that is held as the FP32 it is the upper half of.
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
    """One input or output of a model. -1 in `shape` stands for a size that the request decides.

    `binary` is for BYTES that are handed over as bytes, whatever they hold; other BYTES are text.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    binary: bool = False


class Tensor(NamedTuple):
    """One tensor of a request or an answer."""

    name: str
    datatype: str
    array: Array


def datatype_of(dtype: np.dtype[Any]) -> str:
    """Return the V2 datatype that carries a numpy type; what has no number type travels as text."""
    return _DATATYPES.get(dtype.newbyteorder("="), "BYTES")


def tensor_of(name: str, values: Any) -> Tensor:
    """Return what a model answered as a tensor; values without a V2 type become text, but for bytes."""
    array = values if isinstance(values, np.ndarray) else _array(values)
    datatype = datatype_of(array.dtype)
    if datatype == "BYTES":
        array = elements(array)
    return Tensor(name, datatype, array)


def elements(values: Any) -> Array:
    """Return any values as those of a BYTES tensor."""
    array = values if isinstance(values, np.ndarray) else _array(values)
    return objects([item if type(item) is str else as_element(item) for item in array.ravel().tolist()], array.shape)


def objects(values: Sequence[Any], shape: tuple[int, ...]) -> Array:
    """Return an array that holds objects as they are: numpy's own types of text drop zeros at an element's end."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)


def element_of(data: bytes | bytearray | memoryview) -> str | bytes:
    """Return what a BYTES tensor holds for some bytes."""
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        return bytes(data)


def bytes_of(element: str | bytes) -> bytes:
    """Return the bytes of an element of a BYTES tensor."""
    return element.encode() if isinstance(element, str) else element


def as_bytes(array: Array) -> Array:
    """Return the elements of a BYTES tensor as bytes, text in UTF-8."""
    return objects([bytes_of(element) for element in array.ravel().tolist()], array.shape)


def as_element(value: Any) -> str | bytes:
    """Return a value as an element of a BYTES tensor."""
    return element_of(value) if isinstance(value, bytes | bytearray | memoryview) else str(value)


def _array(values: Any) -> Array:
    try:
        array = np.asarray(values)
    except UnicodeDecodeError:
        # It takes bytes beside text for ASCII.
        return np.array(values, dtype=object)
    return np.array(values, dtype=object) if array.dtype.kind in "SU" else array
