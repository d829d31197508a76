"""A coarse picture of a model's inputs: each row falls into one of 32 bins, the same in every process and version.

The bin is where a fixed random projection of the row lies. Values are compressed (asinh) first, so that a feature of
large numbers does not hide the others; texts and missing values have numbers of their own. One bin means nothing; two
versions that are sent the same kind of rows fill the bins alike.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final
from zlib import crc32

import numpy as np

from fairlead_serving.metrics.board import INPUT_BINS
from fairlead_serving.rows import Rows
from fairlead_serving.tensors import Array

# Bins are a quarter wide and wrap around: data that is spread wider than eight fills all of them.
_BINS_A_UNIT: Final = 4
_MISSING: Final = 3.0
_FEW: Final = 32
_NUMERIC: Final = "biuf"
# So much of a text or an image tells it from others, and is read in microseconds.
_LONGEST: Final = 4096
_MASK: Final = (1 << 64) - 1


def input_bin(feed: Any) -> int | None:
    """Return the bin of a feed's first row, or None where the feed is not made of arrays."""
    if isinstance(feed, Rows):
        row = feed.first()
    elif isinstance(feed, np.ndarray):
        row = _first_row(feed)
    elif isinstance(feed, dict) and all(isinstance(array, np.ndarray) for array in feed.values()):
        # By name, as a client may send inputs in any order.
        rows = [_first_row(feed[name]) for name in sorted(feed)]
        row = rows[0] if len(rows) == 1 else np.concatenate([part.astype(object) for part in rows])
    else:
        return None
    if not row.size:
        return None
    return math.floor(_projected(row) * _BINS_A_UNIT) % INPUT_BINS


def _first_row(array: Array) -> Array:
    return array[:1].reshape(-1) if array.ndim else array.reshape(-1)


def _projected(row: Array) -> float:
    weights = _weights(row.size)
    if row.size <= _FEW or row.dtype.kind not in _NUMERIC:
        total = sum([weight * _number(value) for weight, value in zip(weights.tolist(), row.tolist(), strict=True)])
    else:
        compressed = np.arcsinh(row.astype(np.float64))
        total = float(np.where(np.isfinite(compressed), compressed, _MISSING) @ weights)
    return float(total) / math.sqrt(row.size)


def _number(value: Any) -> float:
    if isinstance(value, str | bytes):
        begin = value[:_LONGEST]
        return crc32(begin.encode(errors="replace") if isinstance(begin, str) else begin) % 1024 / 128
    try:
        number = math.asinh(value)
    except TypeError:
        return _MISSING
    return number if math.isfinite(number) else _MISSING


@lru_cache(maxsize=16)
def _weights(size: int) -> Array:
    """Return fixed numbers with mean 0 and variance 1, by position only."""
    return np.array([_weight(position) for position in range(size)])


def _weight(position: int) -> float:
    # SplitMix64: every bit of the result hangs on every bit of the position.
    mixed = (position + 1) * 0x9E3779B97F4A7C15 & _MASK
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
    mixed ^= mixed >> 31
    return (mixed / 2**63 - 1) * math.sqrt(3)
