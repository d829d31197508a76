"""Matching a request's tensors to declared inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairlead_serving.errors import InvalidRequestError, readable
from fairlead_serving.tensors import NUMPY_TYPES, Array, Tensor, TensorSpec, as_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def match(specs: Mapping[str, TensorSpec], inputs: Sequence[Tensor]) -> dict[str, Array]:
    """Return the arrays by the names of the inputs: any name will do where there is one input only.

    Raises InvalidRequestError for unknown and missing inputs, other datatypes and shapes, and bytes in place of text.
    """
    if len(specs) == 1 and len(inputs) == 1:
        (spec,) = specs.values()
        return {spec.name: _checked(0, inputs[0], spec)}
    feed: dict[str, Array] = {}
    for position, tensor in enumerate(inputs):
        wanted = specs.get(tensor.name)
        if wanted is None:
            known = ", ".join(specs)
            raise InvalidRequestError(
                at=f"inputs[{position}].name", problem=f"{readable(tensor.name)} is not an input ({known})"
            )
        feed[wanted.name] = _checked(position, tensor, wanted)
    missing = [name for name in specs if name not in feed]
    if missing:
        raise InvalidRequestError(at="inputs", problem=f"is missing {', '.join(missing)}")
    return feed


def zeros(specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """Return one row of zeros; sizes that a request decides are 1."""
    return {
        spec.name: np.full(
            tuple(max(size, 1) for size in spec.shape),
            _zero(spec),
            dtype=NUMPY_TYPES[spec.datatype],
        )
        for spec in specs
    }


def as_text(position: int, tensor: Tensor) -> Array:
    """Return an input's array, whose BYTES should all be text. Raises InvalidRequestError where some are not."""
    if tensor.datatype == "BYTES":
        kinds = list(map(type, tensor.array.ravel().tolist()))
        if bytes in kinds:
            at = f"inputs[{position}].data[{kinds.index(bytes)}]"
            problem = "is not UTF-8 text: only a model in Python whose inputs say bytes takes others"
            raise InvalidRequestError(at=at, problem=problem)
    return tensor.array


def _zero(spec: TensorSpec) -> bytes | str | int:
    if spec.datatype == "BYTES":
        return b"" if spec.binary else ""
    return 0


def _checked(position: int, tensor: Tensor, spec: TensorSpec) -> Array:
    if tensor.datatype != spec.datatype:
        problem = f"the model takes {spec.datatype} for {spec.name}, not {tensor.datatype}"
        raise InvalidRequestError(at=f"inputs[{position}].datatype", problem=problem)
    shape = tensor.array.shape
    if len(shape) != len(spec.shape) or any(
        want not in (-1, have) for want, have in zip(spec.shape, shape, strict=False)
    ):
        problem = f"the model takes {list(spec.shape)} for {spec.name}, not {list(shape)}"
        raise InvalidRequestError(at=f"inputs[{position}].shape", problem=problem)
    if 0 in shape:
        raise InvalidRequestError(at=f"inputs[{position}].shape", problem=f"{list(shape)} holds no value")
    return as_bytes(tensor.array) if spec.binary else as_text(position, tensor)
