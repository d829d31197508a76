"""Rows of numbers as they came in JSON, which become an array only when they run: one for all requests of a batch."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np

from fairlead_serving.errors import InvalidRequestError
from fairlead_serving.tensors import NUMPY_TYPES, Array, Tensor

# The largest magnitudes that still round to a finite number of the type.
LIMITS: Final = {"FP16": 65519.996, "BF16": 3.4028235677973362e38, "FP32": 3.4028235677973362e38}
_MOST_FORMS: Final = 256

FormKey = tuple[str, str, tuple[int, ...]]


class Form:
    """What a model has taken before: the name, datatype and shape of a request's only tensor.

    `count` is the number of values, `limit` their largest magnitude or None, `key` is equal for forms whose rows can be
    joined.
    """

    __slots__ = ("count", "datatype", "key", "limit", "name", "rows", "shape")

    def __init__(self, name: str, datatype: str, shape: tuple[int, ...], key: Hashable) -> None:
        self.name = name
        self.datatype = datatype
        self.shape = shape
        self.count = math.prod(shape)
        self.rows = shape[0]
        self.limit = LIMITS.get(datatype)
        self.key = key


class Forms(dict[FormKey, Form]):
    """The forms that a model is known to take, as long as what it says of one tensor of floats hangs on that alone."""

    def learn(self, tensor: Tensor, wanted: Sequence[str]) -> None:
        """Remember what the model has just taken, for requests that want these outputs."""
        name, datatype, array = tensor
        if array.dtype.kind != "f" or not array.ndim or not array.size:
            return
        if (name, datatype, array.shape) in self:
            return
        if len(self) >= _MOST_FORMS:
            self.clear()
        shape = array.shape
        self[name, datatype, shape] = Form(name, datatype, shape, ("rows", name, datatype, shape[1:], tuple(wanted)))


class Rows:
    """The numbers of one request, or of several, in row-major order: a list, or bytes as they lie in an array."""

    __slots__ = ("form", "rows", "values")

    def __init__(self, form: Form, values: list[float] | bytes, rows: int) -> None:
        self.form = form
        self.values = values
        self.rows = rows

    def tensor(self) -> Tensor:
        """Return them as a tensor. Raises InvalidRequestError for a number that is too large for its datatype."""
        form, values = self.form, self.values
        if isinstance(values, bytes):
            return Tensor(form.name, form.datatype, _array(values, form).reshape((self.rows, *form.shape[1:])))
        limit = form.limit
        if limit is not None and (max(values) > limit or min(values) < -limit):
            self._refuse(limit)
        array = np.array(values, NUMPY_TYPES[form.datatype]).reshape((self.rows, *form.shape[1:]))
        return Tensor(form.name, form.datatype, array)

    def first(self) -> Array:
        """Return the first row's numbers."""
        form, values = self.form, self.values
        width = form.count // form.rows
        if isinstance(values, bytes):
            return _array(values[: width * NUMPY_TYPES[form.datatype].itemsize], form)
        return np.array(values[:width], NUMPY_TYPES[form.datatype])

    def _refuse(self, limit: float) -> None:
        position, value = next((index, value) for index, value in enumerate(self.values) if abs(value) > limit)
        at, problem = f"inputs[0].data[{position}]", f"{value} does not fit into {self.form.datatype}"
        raise InvalidRequestError(at=at, problem=problem)


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Return the rows of all; their forms must have the same key."""
    pieces: list[Any] = [part.values for part in parts]
    values = b"".join(pieces) if isinstance(pieces[0], bytes) else list(chain.from_iterable(pieces))
    return Rows(parts[0].form, values, sum([part.rows for part in parts]))


def _array(data: bytes, form: Form) -> Array:
    """Return numbers as an array, which is a copy: models may write to it."""
    dtype = NUMPY_TYPES[form.datatype]
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype)
