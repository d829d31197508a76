"""Counting what a model predicts: by class or as values, and by score."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fairlead_serving.metrics import board as at

if TYPE_CHECKING:
    from fairlead_serving.metrics.board import Board
    from fairlead_serving.outputs import Outputs

OTHER: Final = "other"
# Probabilities of a classifier; other models' values may be of any size, so their edges reach far on both sides.
PROBABILITY_EDGES: Final = tuple(step / 20 for step in range(1, 20))
VALUE_EDGES: Final = (
    *(-1e4, -1e3, -100.0, -10.0, -1.0, -0.1, 0.0, 0.1, 0.3, 1.0),
    *(3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e4, 1e5, 1e6),
)
_SCORE_SUM: Final = at.SCORE_EDGES + 1
# More values of one run are counted at once.
_MOST_HELD: Final = 4096
_FEW_CLASSES: Final = 4
# So many scores are counted sooner one by one than by numpy, whose every step costs more than a microsecond.
_FEW: Final = 64
_TABLE: Final = 2
_MAX_CACHED: Final = 1000


class Predictions:
    """Counts into a worker's slot of a board. Belongs to the event loop's thread."""

    def __init__(self, board: Board, slot: memoryview[float]) -> None:
        """Start with a model of which nothing is known."""
        # Whether the first output holds classes.
        self.classifies = False
        self._board = board
        self._slot = slot
        self._classes: dict[object, int] = {}
        self._numbers: list[Any] = []
        self._texts: list[Any] = []

    def hold(self, outputs: Outputs) -> None:
        """Note the predictions in the outputs of one run, to be counted by `settle` with those of other runs."""
        values = outputs.predictions
        numeric = outputs.tensors[0].datatype != "BYTES"
        if len(values) > _MOST_HELD:
            self._count(values, numeric=numeric)
        elif numeric:
            self._numbers += values
        else:
            self._texts += values

    def settle(self) -> None:
        """Count what is held."""
        if self._numbers:
            values, self._numbers = self._numbers, []
            self._count(values, numeric=True)
        if self._texts:
            values, self._texts = self._texts, []
            self._count(values, numeric=False)

    def _count(self, values: list[Any], *, numeric: bool) -> None:
        if self.classifies:
            self._count_classes(values)
        if not numeric:
            return
        total = sum(values)
        if not isfinite(total):
            values = [value for value in values if isfinite(value)]
            total = sum(values)
        self._slot[at.VALUE_SUM] += total
        self._slot[at.VALUE_COUNT] += len(values)

    def _count_classes(self, values: list[object]) -> None:
        known, slot = self._classes, self._slot
        if len(known) <= _FEW_CLASSES:
            left = len(values)
            for value, place in known.items():
                count = values.count(value)
                slot[place] += count
                left -= count
            if not left:
                return
            values = [value for value in values if value not in known]
        for value, count in [(values[0], 1)] if len(values) == 1 else Counter(values).items():
            index = known.get(value)
            if index is None:
                index = self._board.label(str(value))
                if len(known) < _MAX_CACHED:
                    known[value] = index
            slot[index] += count

    def count_scores(self, outputs: Outputs) -> None:
        """Count the scores in the outputs of one run."""
        slot, edges = self._slot, PROBABILITY_EDGES if self.classifies else VALUE_EDGES
        scores = _probabilities(outputs) if self.classifies else _values(outputs)
        if len(scores) <= _FEW:
            finite = sorted([score for score in scores if isfinite(score)])
            _spread(slot, at.SCORE, edges, finite)
            slot[at.SCORE + _SCORE_SUM] += sum(finite)
            return
        numbers = np.asarray(scores, dtype=np.float64)
        numbers = numbers[np.isfinite(numbers)]
        counts = np.bincount(np.searchsorted(edges, numbers), minlength=len(edges) + 1)
        for position in np.flatnonzero(counts).tolist():
            slot[at.SCORE + position] += int(counts[position])
        slot[at.SCORE + _SCORE_SUM] += float(numbers.sum())


def _spread(slot: memoryview[float], first: int, edges: tuple[float, ...], ordered: list[float]) -> None:
    """Count values, the smallest first, into a histogram's buckets; most often all are in a few neighbours."""
    done, bucket = 0, 0
    while done < len(ordered):
        bucket = bisect_left(edges, ordered[done], bucket)
        below = bisect_right(ordered, edges[bucket], done) if bucket < len(edges) else len(ordered)
        slot[first + bucket] += below - done
        done = below


def _values(outputs: Outputs) -> list[float]:
    return [] if outputs.tensors[0].datatype == "BYTES" else outputs.predictions


def _probabilities(outputs: Outputs) -> list[float]:
    """Return for each row the positive class's probability of two, else the largest."""
    for _, _, array in outputs.tensors:
        if array.dtype.kind == "f" and array.ndim:
            if array.ndim != _TABLE or not array.shape[1]:
                column = array.ravel()
            else:
                column = array[:, 1] if array.shape[1] == _TABLE else array.max(axis=1)
            found: list[float] = column.tolist()
            return found
    return []
