"""Tables out of V2 tensors: one 2-D tensor under any name, or one tensor a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fairlead_serving.errors import InvalidRequestError, readable
from fairlead_serving.models.signature import as_text
from fairlead_serving.tensors import Array, Tensor, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

_TABLE_RANK = 2


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns a model was trained on: how many and their names, where it tells, and what they may hold.

    `text` is whether strings are welcome. `documents` is for models whose input is no table but a list of texts.
    """

    count: int | None
    names: tuple[str, ...] | None = None
    text: bool = False
    documents: bool = False

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """What metadata says of the input."""
        if self.documents:
            return (TensorSpec("input", "BYTES", (-1,)),)
        return (TensorSpec("input", "FP64", (-1, -1 if self.count is None else self.count)),)

    def sample(self) -> Array | None:
        """Return one row of zeros, or a text; None where the number of columns is not known."""
        if self.documents:
            return np.array(["text"], dtype=object)
        return None if self.count is None else np.zeros((1, self.count))

    def table(self, inputs: Sequence[Tensor]) -> Array:
        """Return a request's rows. Raises InvalidRequestError where they do not fit the columns."""
        for position, tensor in enumerate(inputs):
            self._check_type(position, tensor)
        if self.documents:
            return _documents(inputs)
        if len(inputs) == 1 and not self._is_column(inputs[0]):
            return self._whole(inputs[0])
        return self._joined(inputs)

    def _check_type(self, position: int, tensor: Tensor) -> None:
        if tensor.datatype == "BYTES" and not self.text:
            raise InvalidRequestError(at=f"inputs[{position}].datatype", problem="the model takes numbers, not BYTES")
        if tensor.datatype != "BYTES" and self.documents:
            problem = f"the model takes texts as BYTES, not {tensor.datatype}"
            raise InvalidRequestError(at=f"inputs[{position}].datatype", problem=problem)
        as_text(position, tensor)

    def _is_column(self, tensor: Tensor) -> bool:
        return self.names is not None and tensor.name in self.names and tensor.array.ndim == 1

    def _whole(self, tensor: Tensor) -> Array:
        shape = tensor.array.shape
        width = "n" if self.count is None else str(self.count)
        if len(shape) != _TABLE_RANK or (self.count is not None and shape[1] != self.count):
            raise InvalidRequestError(
                at="inputs[0].shape", problem=f"the model takes [rows, {width}], not {list(shape)}"
            )
        if 0 in shape:
            raise InvalidRequestError(at="inputs[0].shape", problem=f"{list(shape)} holds no value")
        return _values(tensor)

    def _joined(self, inputs: Sequence[Tensor]) -> Array:
        if self.names is None:
            problem = "the model was trained without column names, so it takes one tensor of shape [rows, columns]"
            raise InvalidRequestError(at="inputs", problem=problem)
        columns: dict[str, Array] = {}
        for position, tensor in enumerate(inputs):
            if tensor.name not in self.names:
                raise InvalidRequestError(
                    at=f"inputs[{position}].name", problem=f"{readable(tensor.name)} is not a column"
                )
            columns[tensor.name] = _column(position, tensor, len(inputs[0].array) if inputs[0].array.ndim else 0)
        missing = [name for name in self.names if name not in columns]
        if missing:
            raise InvalidRequestError(at="inputs", problem=f"is missing the columns {', '.join(missing)}")
        return np.column_stack([columns[name] for name in self.names])


def _documents(inputs: Sequence[Tensor]) -> Array:
    if len(inputs) != 1:
        raise InvalidRequestError(at="inputs", problem="the model takes one list of texts")
    shape = inputs[0].array.shape
    rows = shape[0] if shape else 0
    if not rows or shape not in ((rows,), (rows, 1)):
        raise InvalidRequestError(at="inputs[0].shape", problem=f"the model takes [rows], not {list(shape)}")
    return inputs[0].array.reshape(rows)


def _column(position: int, tensor: Tensor, rows: int) -> Array:
    shape = tensor.array.shape
    if shape not in ((rows,), (rows, 1)) or not rows:
        wanted = f"[{rows}]" if position and rows else "[rows]"
        raise InvalidRequestError(
            at=f"inputs[{position}].shape", problem=f"a column should be {wanted}, not {list(shape)}"
        )
    return _values(tensor).reshape(rows)


def _values(tensor: Tensor) -> Array:
    """Return numbers as float64, which is what models are trained on; text stays as it is."""
    return tensor.array if tensor.datatype == "BYTES" else tensor.array.astype(np.float64, copy=False)
