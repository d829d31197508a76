"""The `data` of a JSON tensor: nested or flat, checked against its datatype and shape."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from fairlead_serving.errors import InvalidRequestError
from fairlead_serving.rows import LIMITS
from fairlead_serving.tensors import element_of

if TYPE_CHECKING:
    from fairlead_serving.tensors import Array

KINDS: Final[dict[str, type]] = {"b": bool, "i": int, "u": int, "f": float, "O": str}
_FEW: Final = 64
_LARGE_BYTES: Final = 1024 * 1024
_BLANK: Final = b" \t\r\n"
_MOST_VALUES: Final = 2**40
# An empty tensor of many rows costs its sender nothing, but perhaps the model, if that goes through its rows.
_MOST_OF_NOTHING: Final = 2**16


class Encoded(msgspec.Struct, forbid_unknown_fields=True):
    """Bytes as V1 and golden requests may have them in JSON, where V2 has text only: in base64."""

    b64: bytes


_ENCODED: Final = str | Encoded


def check_shape(path: str, shape: tuple[int, ...]) -> None:
    """Raise InvalidRequestError for sizes that no array can have, which a size of 0 beside them would let pass."""
    if math.prod([size for size in shape if size]) > (_MOST_VALUES if all(shape) else _MOST_OF_NOTHING):
        raise InvalidRequestError(at=path, problem=f"is of shape {list(shape)}, which is too large")


def decode_data(
    path: str,
    raw: msgspec.Raw,
    datatype: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    *,
    encoded: bool = False,
) -> Array:
    """Return a tensor's JSON data as an array of the given type and shape.

    `encoded` is whether elements of BYTES may be `Encoded`. Raises InvalidRequestError, with the path of the element at
    fault, for wrong types, counts, nesting and ranges.
    """
    depth = _depth(raw)
    nesting = len(shape) or 1
    if 0 in shape:
        check_shape(path, shape)
        # Lists end where the first size is 0: nested data of shape [2, 0, 3] is [[], []].
        nesting = shape.index(0) + 1
    if depth not in (1, nesting):
        nested = "a list" if nesting <= 1 else f"a flat list or lists nested {nesting} deep"
        raise InvalidRequestError(at=path, problem=f"should be {nested}, as the shape is {list(shape)}")
    if dtype.kind != "O" and 0 not in shape and memoryview(raw).nbytes > _LARGE_BYTES:
        from fairlead_serving.protocol.largedata import LargeData  # noqa: PLC0415  which builds upon this module

        return LargeData(path, datatype, dtype, shape).read(memoryview(raw), depth)
    encoded = encoded and datatype == "BYTES"
    values = decode_list(path, raw, _ENCODED if encoded else KINDS[dtype.kind], depth)
    if depth == 1:
        wanted = math.prod(shape)
        if len(values) != wanted:
            problem = f"has {len(values)} values where shape {list(shape)} needs {wanted}"
            raise InvalidRequestError(at=path, problem=problem)
        flat = values
    else:
        flat = []
        flatten(path, values, shape[:nesting], flat)
    if encoded:
        flat = [element_of(value.b64) if isinstance(value, Encoded) else value for value in flat]
    return convert(path, flat, datatype, dtype).reshape(shape)


def _depth(raw: msgspec.Raw) -> int:
    """Count the brackets that open the data; 0 where it is not a list."""
    depth = 0
    for byte in memoryview(raw)[: _FEW * 2]:
        if byte == ord("["):
            depth += 1
        elif byte not in _BLANK:
            break
    return depth


@functools.lru_cache(maxsize=256)
def _decoder(kind: Any, depth: int) -> msgspec.json.Decoder[list[Any]]:
    wanted: Any = kind
    for _ in range(depth):
        wanted = list[wanted]
    return msgspec.json.Decoder(wanted)


def decode_list(path: str, raw: msgspec.Raw | bytes, kind: Any, depth: int) -> list[Any]:
    """Return a list's values, which must be nested so deep and of a kind. Raises InvalidRequestError."""
    try:
        return _decoder(kind, depth).decode(raw)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$")
        raise InvalidRequestError(at=path + where.rstrip("`"), problem=problem.replace("`", "")) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidRequestError(at=path, problem=f"is not valid JSON: {error}") from error


def flatten(path: str, values: list[Any], shape: tuple[int, ...], into: list[Any]) -> None:
    """Collect nested lists in row-major order; every list must be as long as the shape says."""
    if len(values) != shape[0]:
        raise InvalidRequestError(at=path, problem=f"has {len(values)} elements where the shape says {shape[0]}")
    if len(shape) == 1:
        into.extend(values)
        return
    for position, inner in enumerate(values):
        flatten(f"{path}[{position}]", inner, shape[1:], into)


def convert(path: str, values: list[Any], datatype: str, dtype: np.dtype[Any]) -> Array:
    """Return values as an array. Raises InvalidRequestError for one that does not fit."""
    limit = LIMITS.get(datatype)
    if limit is not None and values and (max(values) > limit or min(values) < -limit):
        raise _out_of_range(path, values, datatype, -limit, limit)
    if dtype.kind == "O":
        array: Array = np.empty(len(values), dtype=object)
        array[:] = values
        return array
    try:
        return np.array(values, dtype=dtype)
    except OverflowError as error:
        bounds = np.iinfo(dtype)
        raise _out_of_range(path, values, datatype, int(bounds.min), int(bounds.max)) from error


def _out_of_range(path: str, values: list[Any], datatype: str, low: float, high: float) -> InvalidRequestError:
    position = next(index for index, value in enumerate(values) if not low <= value <= high)
    return InvalidRequestError(at=f"{path}[{position}]", problem=f"{values[position]} does not fit into {datatype}")
