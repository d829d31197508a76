"""Tensors as typed fields: InferTensorContents."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from fairlead_serving.errors import InvalidRequestError
from fairlead_serving.grpc import wire
from fairlead_serving.tensors import NUMPY_TYPES, bytes_of, element_of, objects

if TYPE_CHECKING:
    from fairlead_serving.grpc.wire import Field
    from fairlead_serving.tensors import Array, Tensor

_NAMES: Final = {
    1: "bool_contents",
    2: "int_contents",
    3: "int64_contents",
    4: "uint_contents",
    5: "uint64_contents",
    6: "fp32_contents",
    7: "fp64_contents",
    8: "bytes_contents",
}
_FIELDS: Final = {
    "BOOL": 1,
    "INT8": 2,
    "INT16": 2,
    "INT32": 2,
    "INT64": 3,
    "UINT8": 4,
    "UINT16": 4,
    "UINT32": 4,
    "UINT64": 5,
    "FP32": 6,
    "FP64": 7,
    "BYTES": 8,
}
_FIXED: Final = {6: (wire.FIXED32, "<f4"), 7: (wire.FIXED64, "<f8")}
_TEXTS: Final = 8


def typed(datatype: str) -> bool:
    """Whether a datatype has a field of its own; the others can only be raw."""
    return datatype in _FIELDS


def field_of(datatype: str) -> int:
    """Return the number of a datatype's own field."""
    return _FIELDS[datatype]


def decode(path: str, data: bytes, places: Sequence[tuple[int, int]], datatype: str, shape: tuple[int, ...]) -> Array:
    """Return the contents as an array. In several places they are taken together, as Protocol Buffers has it.

    Raises InvalidRequestError where they are not what type and shape need.
    """
    number = _FIELDS.get(datatype)
    if number is None:
        raise InvalidRequestError(at=path, problem=f"{datatype} can only be in raw_input_contents")
    name = f"{path}.{_NAMES[number]}"
    found: list[Field] = []
    for field in itertools.chain.from_iterable(wire.fields(data, *place) for place in places):
        if field[0] == number:
            found.append(field)
        elif field[0] in _NAMES:
            raise InvalidRequestError(at=f"{path}.{_NAMES[field[0]]}", problem=f"{datatype} should be in {name}")
    values = _texts(name, data, found) if number == _TEXTS else _numbers(name, data, found, datatype)
    wanted = math.prod(shape)
    if len(values) != wanted:
        problem = f"has {len(values)} values where shape {list(shape)} needs {wanted}"
        raise InvalidRequestError(at=name, problem=problem)
    return values.reshape(shape)


def encode(tensor: Tensor) -> bytes:
    """Return a tensor's contents; its type must have a field."""
    number = _FIELDS[tensor.datatype]
    array = tensor.array
    if number == _TEXTS:
        return b"".join([wire.write(number, bytes_of(element)) for element in array.ravel().tolist()])
    if number in _FIXED:
        return wire.write(number, array.astype(_FIXED[number][1], copy=False).tobytes())
    return wire.write(number, wire.pack_varints(array))


def _texts(path: str, data: bytes, found: list[Field]) -> Array:
    return objects(
        [element_of(wire.content(data, field, f"{path}[{at}]")) for at, field in enumerate(found)], (len(found),)
    )


def _numbers(path: str, data: bytes, found: list[Field], datatype: str) -> Array:
    dtype = NUMPY_TYPES[datatype]
    single, layout = _FIXED.get(_FIELDS[datatype], (wire.VARINT, ""))
    pieces: list[Array] = []
    ones: list[int] = []
    for field in found:
        _, kind, start, end = field
        # Numbers come packed; one by one they are allowed too, and varints so are joined, for they may be many.
        if kind == single == wire.VARINT:
            ones.append(start)
            continue
        if ones:
            pieces.append(np.array(ones, dtype=np.uint64))
            ones = []
        if kind not in (single, wire.BYTES):
            raise InvalidRequestError(at=path, problem=f"is of the wire type {kind}, which it should not be")
        pieces.append(wire.fixed(data, start, end, layout) if layout else wire.varints(data, start, end))
    if ones:
        pieces.append(np.array(ones, dtype=np.uint64))
    values: Array = (
        pieces[0]
        if len(pieces) == 1
        else np.concatenate([np.empty(0, pieces[0].dtype), *pieces])
        if pieces
        else np.empty(0, dtype)
    )
    return values.astype(dtype) if layout or datatype == "BOOL" else _checked(path, values, datatype)


def _checked(path: str, values: Array, datatype: str) -> Array:
    """Return integers as their type, if they fit."""
    dtype = NUMPY_TYPES[datatype]
    bounds = np.iinfo(dtype)
    wide: Array = values.astype(np.uint64).view(np.int64 if dtype.kind == "i" else np.uint64)
    if dtype.itemsize < wide.dtype.itemsize:
        wrong = np.flatnonzero((wide < bounds.min) | (wide > bounds.max))
        if len(wrong):
            first = int(wrong[0])
            raise InvalidRequestError(at=f"{path}[{first}]", problem=f"{int(wide[first])} does not fit into {datatype}")
    return wide.astype(dtype)
