"""What a model shows before it serves: whether its rows are independent of each other, and what more of them cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from fairlead_serving.batching.feeds import join, shape_key
from fairlead_serving.outputs import split

if TYPE_CHECKING:
    from fairlead_serving.models.base import Model
    from fairlead_serving.tensors import Array, Tensor

_TILES: Final = 16
_TRIALS: Final = 3
# A model so slow is not run on made-up rows for longer than need be: real ones teach the same.
_SLOW_SECONDS: Final = 0.05
_RELATIVE: Final = 1e-3
_ABSOLUTE: Final = 1e-5


class Probe(NamedTuple):
    """What was found: whether requests may be joined, else why not, and runs as (rows, seconds)."""

    joins: bool
    reason: str
    runs: Sequence[tuple[int, float]]


def probe(model: Model, seconds_a_row: float | None) -> Probe:
    """Run a warm model on a few rows made up for it. Blocks; raises nothing."""
    if not model.batches:
        runs = () if seconds_a_row is None else ((1, seconds_a_row),)
        return Probe(joins=False, reason="it is not said to take the rows of several requests", runs=runs)
    if seconds_a_row is None:
        # No row can be made up to try it with, so that its word must do.
        return Probe(joins=True, reason="", runs=())
    measured = [(1, seconds_a_row)]
    feed = model.sample()
    if shape_key(feed) is None:
        return Probe(joins=False, reason="its inputs have no common first axis", runs=measured)
    wanted = tuple(spec.name for spec in model.outputs)
    try:
        if not _independent(model, feed, wanted):
            return Probe(joins=False, reason="its rows are not independent of each other", runs=measured)
        if seconds_a_row < _SLOW_SECONDS:
            measured.append((_TILES, _timed(model, join([feed] * _TILES), wanted)))
    except Exception as error:  # noqa: BLE001  a model that takes one row only may say so in any way
        return Probe(joins=False, reason=f"two rows are too many for it: {type(error).__name__}", runs=measured)
    return Probe(joins=True, reason="", runs=measured)


def _timed(model: Model, feed: Any, wanted: Sequence[str]) -> float:
    """Return the shortest of some runs' seconds: the others were held up by something else."""
    times = []
    for _ in range(_TRIALS):
        began = time.perf_counter()
        model.run(feed, wanted)
        times.append(time.perf_counter() - began)
    return min(times)


def _independent(model: Model, feed: Any, wanted: Sequence[str]) -> bool:
    """Compare two rows run together with each run alone."""
    first = model.run(feed, wanted)
    other = _other(feed)
    try:
        second = model.run(other, wanted)
    except Exception:  # noqa: BLE001  ones may be outside what the model knows, where zeroes were not
        other, second = feed, first
    parts = split(model.run(join([feed, other]), wanted), [1, 1])
    return parts is not None and _alike(parts[0].tensors, first) and _alike(parts[1].tensors, second)


def _other(feed: Any) -> Any:
    """Return a row of ones in place of zeroes."""
    if isinstance(feed, dict):
        return {name: _other(array) for name, array in feed.items()}
    return feed if feed.dtype.kind == "O" else np.ones_like(feed)


def _alike(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return all(_equal(one.array, other.array) for one, other in zip(some, others, strict=True))


def _equal(one: Array, other: Array) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind == "f":
        return bool(np.allclose(one, other, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True))
    return bool(np.array_equal(one, other))
