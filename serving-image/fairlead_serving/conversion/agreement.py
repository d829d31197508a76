"""How far two models agree on the same requests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from fairlead_serving.conversion.errors import UnconvertibleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fairlead_serving.models.base import Model
    from fairlead_serving.tensors import Array, Tensor

# Comparing a large model takes its time; what has been seen by then has to do.
_SECONDS: Final = 8.0
_TABLE: Final = 2


class Agreement(NamedTuple):
    """What was compared: rows, the share of labels that are the same, the largest difference of a number.

    `relative` is the largest difference by the largest number of the output that it is in, or by 1 where all of that
    are smaller. Where a model gives no labels, the place of the largest number of each row of a table stands for one.
    """

    rows: int
    labels: float
    difference: float
    relative: float


def compare(first: Model, second: Model, tries: Iterable[Sequence[Any]]) -> Agreement:
    """Compare two models on all tries that the first takes. Raises UnconvertibleError where there is none."""
    names = [spec.name for spec in first.outputs]
    pairs: list[tuple[list[Tensor], list[Tensor]]] = []
    ends = time.monotonic() + _SECONDS
    for feeds in tries:
        for feed in feeds:
            try:
                expected = first.run(feed, names)
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001  inputs that were made up may be outside what the model knows
                break
            pairs.append((expected, second.run(feed, names)))
        if pairs and time.monotonic() > ends:
            break
    if not pairs:
        message = "it takes none of the inputs that were made up: put a golden.jsonl beside it"
        raise UnconvertibleError(message)
    return _summed(names, pairs)


def _summed(names: Sequence[str], pairs: Sequence[tuple[list[Tensor], list[Tensor]]]) -> Agreement:
    labels = any(_is_label(tensor.array) for tensor in pairs[0][0])
    same = told = 0
    difference = relative = 0.0
    for place in range(len(names)):
        largest = gap = 0.0
        for expected, actual in pairs:
            want, have = expected[place].array, actual[place].array
            if want.shape != have.shape:
                message = f"{names[place]} has the shape {list(have.shape)} instead of {list(want.shape)}"
                raise UnconvertibleError(message)
            if _is_label(want):
                same, told = same + int(np.count_nonzero(want == have)), told + want.size
                continue
            if not labels and want.ndim == _TABLE and want.shape[1] > 1:
                same += int(np.count_nonzero(want.argmax(1) == have.argmax(1)))
                told += len(want)
            gap = max(gap, _gap(want, have))
            largest = max(
                largest, float(np.abs(want, where=np.isfinite(want), out=np.zeros(want.shape)).max(initial=0))
            )
        difference, relative = max(difference, gap), max(relative, gap / max(1.0, largest))
    rows = sum(len(expected[0].array) if expected[0].array.ndim else 1 for expected, _ in pairs)
    return Agreement(rows, same / told if told else 1.0, difference, relative)


def _gap(want: Array, have: Array) -> float:
    """Return the largest difference; infinite where only one of two is a number."""
    odd = ~np.isfinite(want) | ~np.isfinite(have)
    if not np.array_equal(want[odd], have[odd], equal_nan=True):
        return float("inf")
    fine = ~odd
    return float(np.abs(want[fine].astype(np.float64) - have[fine].astype(np.float64)).max(initial=0))


def _is_label(array: Array) -> bool:
    return bool(array.dtype.kind != "f")
