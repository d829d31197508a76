"""What the checks send, and what has to come back."""

from __future__ import annotations

from typing import Any, Final

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]

# Flowers in the middle of their species, so that every classifier of iris agrees.
FLOWERS: Final = np.array([[5.1, 3.5, 1.4, 0.2], [5.9, 3.0, 4.2, 1.5], [6.6, 3.0, 5.6, 2.1]], dtype=np.float32)
SPECIES: Final = [0, 1, 2]
OTHER: Final = "another"

_BOUNDS: Final[dict[str, Any]] = {
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
}
_FLOATS: Final[dict[str, Any]] = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}


def rows(count: int, start: int = 0) -> tuple[Array, list[int]]:
    """Return flowers in turn, and their species."""
    at = [(start + row) % len(FLOWERS) for row in range(count)]
    return FLOWERS[at], [SPECIES[row] for row in at]


def _values() -> dict[str, Array]:
    values: dict[str, Array] = {"BOOL": np.array([[True, False, True], [False, False, True]])}
    for name, kind in _BOUNDS.items():
        bounds = np.iinfo(kind)
        values[name] = np.array([[bounds.min, bounds.max, 0], [1, 2, 3]], dtype=kind)
    for name, precision in _FLOATS.items():
        limits = np.finfo(precision)
        values[name] = np.array([[limits.min, limits.max, limits.tiny], [-0.5, 0.1, 0]], dtype=precision)
    values["BYTES"] = np.array([["", "größer", "x" * 300], ['"quoted"\n', "日本", "\\"]], dtype=object)
    return values


# Of each data type a tensor of two rows, the ends of its range among them.
VALUES: Final = _values()
BF16: Final = np.array([[1.5, -2.25, 3e38], [0, 0.1, 1e-30]], dtype=ml_dtypes.bfloat16)
