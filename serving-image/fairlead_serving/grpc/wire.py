"""The wire format of Protocol Buffers, as far as the Open Inference Protocol needs it.

A codec of our own, because tensors should go from the wire to numpy and back in one step each, and because the few
messages do not change: no generated code, no runtime to keep in step with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fairlead_serving.errors import InvalidRequestError

if TYPE_CHECKING:
    from fairlead_serving.tensors import Array

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5
_FIXED_SIZES: Final = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT_BYTES: Final = 10
_MAX_VARINT_BITS: Final = 70
_BITS_64: Final = (1 << 64) - 1
_SIGN_64: Final = 1 << 63
_MORE: Final = 0x80
_FIRST_TAG: Final = 8
_LAST_TAG: Final = (1 << 32) - 1
_FEW: Final = 32

# A field's number, its wire type, and where its content begins and ends; of a varint, its value and 0.
Field = tuple[int, int, int, int]


def fields(data: bytes, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of the message between two places. Raises InvalidRequestError where it is none."""
    at = start
    while at < end:
        tag, at = varint(data, at, end)
        if not _FIRST_TAG <= tag <= _LAST_TAG:
            raise _broken(problem="has a field of a number that none can have")
        wire = tag & 7
        if wire == VARINT:
            value, at = varint(data, at, end)
            yield tag >> 3, wire, value, 0
            continue
        if wire == BYTES:
            size, at = varint(data, at, end)
        elif wire in _FIXED_SIZES:
            size = _FIXED_SIZES[wire]
        else:
            raise _broken(problem=f"has a field of wire type {wire}")
        if at + size > end:
            raise _broken(problem="ends within a field")
        yield tag >> 3, wire, at, at + size
        at += size


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return the number at a place, without its sign, and the place behind it."""
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            return value & _BITS_64, at
        shift += 7
        if shift == _MAX_VARINT_BITS:
            raise _broken(problem="has a number that is too long")
    raise _broken(problem="ends within a number")


def signed(value: int) -> int:
    """Return a 64-bit number with its sign."""
    return value - (_SIGN_64 << 1) if value & _SIGN_64 else value


def varints(data: bytes, start: int, end: int) -> Array:
    """Return the numbers of a packed field as 64-bit patterns, unsigned."""
    if end - start <= _FEW:
        few = []
        while start < end:
            value, start = varint(data, start, end)
            few.append(value)
        return np.array(few, dtype=np.uint64)
    octets = np.frombuffer(data, np.uint8, end - start, start)
    lasts = np.flatnonzero(octets < _MORE)
    if not len(lasts) or lasts[-1] != len(octets) - 1:
        raise _broken(problem="ends within a number")
    firsts = np.concatenate(([0], lasts[:-1] + 1))
    sizes = lasts - firsts + 1
    longest = int(sizes.max())
    if longest > _MAX_VARINT_BYTES:
        raise _broken(problem="has a number that is too long")
    values = np.zeros(len(lasts), dtype=np.uint64)
    for place in range(longest):
        here = sizes > place
        values[here] |= (octets[firsts[here] + place] & np.uint64(0x7F)) << np.uint64(7 * place)
    return values


def pack_varints(values: Array) -> bytes:
    """Return integers or truth values as the content of a packed field; negative ones take ten bytes, as they must."""
    wide: Array = values.ravel().astype(np.int64 if values.dtype.kind == "i" else np.uint64).view(np.uint64)
    if not len(wide):
        return b""
    groups = max(1, -(-int(wide.max()).bit_length() // 7))
    shifts = np.arange(groups, dtype=np.uint64) * np.uint64(7)
    left = wide[:, None] >> shifts
    octets = (left & np.uint64(0x7F)).astype(np.uint8)
    more = left > np.uint64(0x7F)
    octets[more] |= _MORE
    # A group is there if it is the first, or if the one before it says that more follows.
    there = np.concatenate((np.ones((len(wide), 1), dtype=bool), more[:, :-1]), axis=1)
    packed: bytes = octets[there].tobytes()
    return packed


def text(data: bytes, field: Field, path: str) -> str:
    """Return a string. Raises InvalidRequestError where it is none."""
    try:
        return str(content(data, field, path), "utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(at=path, problem="is not valid UTF-8") from error


def content(data: bytes, field: Field, path: str) -> bytes:
    """Return the bytes of a field. Raises InvalidRequestError where it is of another type."""
    span(field, path)
    return data[field[2] : field[3]]


def span(field: Field, path: str) -> tuple[int, int]:
    """Return where the content of a message, a string or a packed field lies."""
    if field[1] != BYTES:
        raise InvalidRequestError(at=path, problem=f"is of the wire type {field[1]}, which it should not be")
    return field[2], field[3]


def number(value: int) -> bytes:
    """Return a number without sign as a varint."""
    if value < _MORE:
        return bytes((value,))
    out = bytearray()
    while value >= _MORE:
        out.append(value & 0x7F | _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


def prefix(field: int, size: int) -> bytes:
    """Return what stands before a string, a message or a packed field of a size."""
    return number(field << 3 | BYTES) + number(size)


def write(field: int, data: bytes) -> bytes:
    """Return a string, a message or a packed field."""
    return prefix(field, len(data)) + data


def write_text(field: int, value: str) -> bytes:
    """Return a string; an empty one takes no room."""
    return write(field, value.encode()) if value else b""


def write_truth(field: int, *, value: bool) -> bytes:
    """Return a truth value; false takes no room."""
    return number(field << 3) + b"\x01" if value else b""


def fixed(data: bytes, start: int, end: int, dtype: Any) -> Array:
    """Return the numbers of a packed field of fixed width."""
    if (end - start) % np.dtype(dtype).itemsize:
        raise _broken(problem="ends within a number")
    return np.frombuffer(data[start:end], dtype)


def _broken(*, problem: str) -> InvalidRequestError:
    return InvalidRequestError(at="", problem=f"the message is not of Protocol Buffers: it {problem}")
