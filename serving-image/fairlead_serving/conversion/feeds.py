"""Requests to compare two models on, where all that is known is the inputs' names, types and shapes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fairlead_serving import golden
from fairlead_serving.conversion.errors import UnconvertibleError
from fairlead_serving.errors import LoadError, RequestError
from fairlead_serving.tensors import NUMPY_TYPES, Array

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fairlead_serving.models.base import Model
    from fairlead_serving.tensors import TensorSpec

_ROWS: Final = 32
_BATCHES: Final = 2
_VALUES: Final = 1_000_000
# What a size that the request decides is tried with, beside the number of rows.
_LENGTHS: Final = (8, 1)
# Token numbers and masks must not be larger than a model knows.
_BELOW: Final = (2, 10, 100)


def golden_of(model: Model, folder: Path) -> list[Any]:
    """Return what the model takes of each golden request; those that it refuses are told of when they are checked."""
    if not (folder / golden.FILE).is_file():
        return []
    try:
        return [model.bind(inputs) for inputs in golden.inputs(folder / golden.FILE)]
    except (LoadError, RequestError):
        return []


def made_up(specs: Sequence[TensorSpec]) -> Iterator[list[dict[str, Array]]]:
    """Yield the same feeds in the same order always: for each kind of numbers, tries of some batches.

    Where a model takes none of a try, the next may suit it.
    """
    chance = np.random.default_rng(20240607)
    for kind in range(len(_BELOW)):
        for length in _LENGTHS if any(-1 in spec.shape[1:] for spec in specs) else (1,):
            yield [
                {spec.name: _values(chance, spec, kind, _sizes(spec, length)) for spec in specs}
                for _ in range(_BATCHES)
            ]


def rows_of(model: Model) -> tuple[int, Any]:
    """Return a feed to time a model with, and how many rows it has. Raises UnconvertibleError without an input."""
    row = model.sample()
    if row is None:
        message = "it does not tell what it takes"
        raise UnconvertibleError(message)
    if not model.batches:
        return 1, row
    if isinstance(row, dict):
        return _ROWS, {name: np.repeat(values, _ROWS, axis=0) for name, values in row.items()}
    return _ROWS, np.repeat(row, _ROWS, axis=0)


def _sizes(spec: TensorSpec, length: int) -> tuple[int, ...]:
    inner = tuple(length if size == -1 else size for size in spec.shape[1:])
    if not spec.shape:
        return ()
    rows = max(1, min(_ROWS, _VALUES // max(1, math.prod(inner))))
    return (rows if spec.shape[0] == -1 else spec.shape[0], *inner)


def _values(chance: np.random.Generator, spec: TensorSpec, kind: int, shape: tuple[int, ...]) -> Array:
    dtype = NUMPY_TYPES[spec.datatype]
    if spec.datatype == "BYTES":
        return chance.choice(np.array(["", "a", "text", "more text"], dtype=object), shape)
    if dtype.kind == "f":
        return _fractions(chance, kind, shape).astype(dtype)
    return chance.integers(0, 2 if dtype.kind == "b" else _BELOW[kind], shape).astype(dtype)


def _fractions(chance: np.random.Generator, kind: int, shape: tuple[int, ...]) -> Array:
    if kind == 0:
        return np.asarray(chance.standard_normal(shape))
    return np.asarray(chance.random(shape) if kind == 1 else chance.integers(0, 10, shape), np.float64)
