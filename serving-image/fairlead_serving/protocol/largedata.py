"""A large tensor's JSON data, read piece by piece: as Python's numbers it would take some 25 times its text's size."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fairlead_serving.errors import InvalidRequestError
from fairlead_serving.protocol import tensordata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fairlead_serving.tensors import Array

_PIECE_BYTES: Final = 512 * 1024
_INDEX: Final = re.compile(r"^\[(\d+)\]")
_LISTED: Final = re.compile(rb"\s*\[(.*)\]\s*", re.DOTALL)


class LargeData:
    """Numbers of one tensor on their way into an array. What is wrong with them raises InvalidRequestError."""

    def __init__(self, path: str, datatype: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        """Read for a tensor at a path of the request."""
        self._path = path
        self._datatype = datatype
        self._dtype = dtype
        self._shape = shape
        self._array: Array = np.empty(0, dtype)
        self._filled = 0

    def read(self, raw: memoryview, depth: int) -> Array:
        """Return the array of some text, a list or lists nested so deep."""
        wanted = math.prod(self._shape)
        if wanted > len(raw):
            # Each value takes a digit and a comma, so that no array of that size need be made to know.
            raise self._count(wanted, "fewer")
        self._array = np.empty(wanted, self._dtype)
        if depth == 1:
            self._list(self._path, raw, 1, (wanted,))
        else:
            self._list(self._path, raw, depth, self._shape)
        return self._array.reshape(self._shape)

    def _list(self, path: str, text: memoryview, depth: int, shape: tuple[int, ...]) -> None:
        """Read a list of the given shape."""
        match = _LISTED.fullmatch(text)
        if match is None:
            raise InvalidRequestError(at=path, problem="is not valid JSON: a list does not end")
        index = 0
        for piece in _pieces(text[match.start(1) : match.end(1)], depth):
            if depth > 1 and len(piece) > _PIECE_BYTES:
                self._list(f"{path}[{index}]", piece, depth - 1, shape[1:])
                index += 1
            else:
                index += self._few(path, piece, depth, shape, index)
        if index != shape[0]:
            if depth == 1:
                raise self._count(shape[0], str(index))
            raise InvalidRequestError(at=path, problem=f"has {index} elements where the shape says {shape[0]}")

    def _few(self, path: str, piece: memoryview, depth: int, shape: tuple[int, ...], index: int) -> int:
        """Read some elements of a list and return how many they are; `index` is the first one's."""
        flat: list[Any] = []
        try:
            kind = tensordata.KINDS[self._dtype.kind]
            values = tensordata.decode_list(path, b"".join((b"[", piece, b"]")), kind, depth)
            tensordata.flatten(path, values, (len(values), *shape[1:]), flat)
        except InvalidRequestError as error:
            raise _moved(error, path, index) from error
        if not values:
            raise InvalidRequestError(at=path, problem="is not valid JSON: a value is missing")
        end = self._filled + len(flat)
        if end > len(self._array):
            raise self._count(len(self._array), "more")
        try:
            self._array[self._filled : end] = tensordata.convert(self._path, flat, self._datatype, self._dtype)
        except InvalidRequestError as error:
            raise _moved(error, self._path, self._filled) from error
        self._filled = end
        return len(values)

    def _count(self, wanted: int, have: str) -> InvalidRequestError:
        problem = f"has {have} values where shape {list(self._shape)} needs {wanted}"
        return InvalidRequestError(at=self._path, problem=problem)


def _pieces(text: memoryview, depth: int) -> Iterator[memoryview]:
    """Yield the elements of a list, as many together as make a piece or a single longer one, without commas between."""
    # Of numbers, all brackets and commas are structure.
    end = rb"\]\s*" * (depth - 1) + b","
    first, last = re.compile(end), re.compile(b".*" + end, re.DOTALL)
    start = 0
    while len(text) - start > _PIECE_BYTES:
        match = last.match(text, start, start + _PIECE_BYTES) or first.search(text, start)
        if match is None:
            break
        yield text[start : match.end() - 1]
        start = match.end()
    yield text[start:]


def _moved(error: InvalidRequestError, path: str, index: int) -> InvalidRequestError:
    """Return an error whose place is told from the beginning of a piece as one from the list's."""
    place, _, problem = str(error).partition(": ")
    match = _INDEX.match(place.removeprefix(path))
    if match is None:
        return error
    rest = place.removeprefix(path)[match.end() :]
    return InvalidRequestError(at=f"{path}[{int(match[1]) + index}]{rest}", problem=problem)
