"""Tensors as raw bytes: little-endian, row-major, without gaps; each of BYTES with its length in four bytes before it.

The binary tensor extension over REST and `raw_input_contents` over gRPC carry the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from fairlead_serving.errors import InvalidRequestError
from fairlead_serving.tensors import NUMPY_TYPES, element_of, objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fairlead_serving.tensors import Array, Tensor

_LENGTH_BYTES: Final = 4
_BF16_BYTES: Final = 2


def decode_raw(path: str, data: memoryview, datatype: str, shape: tuple[int, ...]) -> Array:
    """Return raw bytes as an array, which is a copy: models may write to it, and need it aligned.

    Raises InvalidRequestError, with the path of the tensor, where the bytes are not what the type and shape need.
    """
    count = math.prod(shape)
    if datatype == "BYTES":
        return objects(_decode_elements(path, data, count), shape)
    dtype = NUMPY_TYPES[datatype]
    width = _BF16_BYTES if datatype == "BF16" else dtype.itemsize
    if len(data) != count * width:
        problem = f"has {len(data)} bytes where {datatype} of shape {list(shape)} needs {count * width}"
        raise InvalidRequestError(at=path, problem=problem)
    if datatype == "BF16":
        wide: Array = np.frombuffer(data, "<u2").astype(np.uint32) << 16
        floats: Array = wide.view(np.float32)
        return floats.reshape(shape)
    if datatype == "BOOL":
        truth: Array = np.frombuffer(data, np.uint8) != 0
        return truth.reshape(shape)
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype).reshape(shape)


def encode_raw(tensor: Tensor) -> bytes:
    """Return a tensor's values as raw bytes."""
    array = tensor.array
    if tensor.datatype == "BYTES":
        return encode_elements(array.ravel().tolist())
    if tensor.datatype == "BF16":
        return _to_bf16(array)
    if array.dtype.str[0] == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return array.tobytes()


def encode_elements(elements: Sequence[str | bytes]) -> bytes:
    """Return the elements of a BYTES tensor one after the other, each with its length before it."""
    pieces: list[bytes] = []
    for element in elements:
        data = element if isinstance(element, bytes) else element.encode()
        pieces += (len(data).to_bytes(_LENGTH_BYTES, "little"), data)
    return b"".join(pieces)


def _decode_elements(path: str, data: memoryview, count: int) -> list[str | bytes]:
    elements: list[str | bytes] = []
    at, end = 0, len(data)
    while at < end and len(elements) < count:
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "little")
        if at > end or start > end:
            raise InvalidRequestError(at=f"{path}[{len(elements)}]", problem="ends before its length says")
        elements.append(element_of(data[start:at]))
    if len(elements) != count or at != end:
        problem = f"holds {len(elements)} values and {end - at} bytes more where the shape needs {count} values"
        raise InvalidRequestError(at=path, problem=problem)
    return elements


def _to_bf16(array: Array) -> bytes:
    """Round to nearest, ties to even, as conversions between float types do."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = bits + 0x7FFF + ((bits >> 16) & 1)
    # Rounding up must not turn a NaN with a small payload into an infinity.
    kept = np.where(np.isnan(array), bits | 0x400000, rounded)
    return (kept >> 16).astype("<u2").tobytes()
