"""Counting, on the hot path: plain additions to numbers in shared memory. `exposition` turns them into text."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from math import ceil, isfinite, log2
from typing import TYPE_CHECKING, Final

import numpy as np

from fairlead_serving import board as at
from fairlead_serving.board import Board
from fairlead_serving.summary import input_bin

if TYPE_CHECKING:
    from fairlead_serving.batching.run import BatchRun
    from fairlead_serving.tensors import Array, Tensor

OTHER: Final = "other"
# Probabilities of a classifier; other models' values may be of any size, so their edges reach far on both sides.
PROBABILITY_EDGES: Final = tuple(step / 20 for step in range(1, 20))
VALUE_EDGES: Final = (
    *(-1e4, -1e3, -100.0, -10.0, -1.0, -0.1, 0.0, 0.1, 0.3, 1.0),
    *(3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e4, 1e5, 1e6),
)
_OUTCOMES: Final = {name: at.REQUESTS + position for position, name in enumerate(at.OUTCOMES)}
_SECONDS: Final = at.SECONDS_EDGES
_A_DOUBLING: Final = 1 << at.NATIVE_SCHEMA
_SECONDS_SUM: Final = len(_SECONDS) + 1
_ROWS_SUM: Final = len(at.ROWS_EDGES) + 1
_SCORE_SUM: Final = at.SCORE_EDGES + 1
# Scores and inputs cost some microseconds to sum up, so that not more than 500 runs a second are looked at.
_SAMPLE_PAUSE: Final = 0.002
_FEW: Final = 8
_TABLE: Final = 2
_MAX_CACHED: Final = 1000


class Metrics:
    """The counters of one worker process. Only the event loop's thread may change them."""

    def __init__(self, model: str, version: str, revision: str, board: Board | None = None, worker: int = 0) -> None:
        """Count into a worker's slot of a board; by default into a board of its own."""
        self.identity = (model, version, revision)
        self.board = board or Board()
        self.info: tuple[str, str] | None = None  # digest and format, once a model is loaded
        self.classifies = False
        self._slot = self.board.slot(worker)
        self._classes: dict[object, int] = {}
        self._next_sample = 0.0
        self._in_flight = 0

    def begun(self) -> None:
        """Note that this process is the worker from now on."""
        self._slot[at.STARTS] += 1
        self._slot[at.PROCESS] = os.getpid()

    def loaded(self, digest: str, model_format: str, classes: Sequence[str] | None, seconds: float) -> None:
        """Note what has been loaded and how many seconds that took; `classes` is None unless it is a classifier."""
        self.info = (digest, model_format)
        self._slot[at.LOAD_SECONDS] = seconds
        self.classifies = classes is not None
        for label in (classes or ())[: at.MAX_CLASSES]:
            self.board.label(label)

    def started(self) -> None:
        """Count an inference request that is being answered from now on."""
        self._in_flight += 1
        self._slot[at.IN_FLIGHT] = self._in_flight

    def ended(self, outcome: str, seconds: float) -> None:
        """Count the end of a request that `started`."""
        self._in_flight -= 1
        self._slot[at.IN_FLIGHT] = self._in_flight
        self.finished(outcome, seconds)

    def finished(self, outcome: str, seconds: float) -> None:
        """Count one inference request, whatever became of it."""
        slot = self._slot
        slot[_OUTCOMES[outcome]] += 1
        if outcome == "rejected":
            # It took no time, and would make a model that refuses everything look fast.
            return
        slot[at.DURATION + bisect_left(_SECONDS, seconds)] += 1
        slot[at.DURATION + _SECONDS_SUM] += seconds
        index = ceil(log2(seconds) * _A_DOUBLING) - at.NATIVE_FIRST if seconds > 0 else 0
        slot[at.NATIVE + min(max(index, 0), at.NATIVE_BUCKETS - 1)] += 1

    def connection_opened(self) -> None:
        """Count a connection that brought its first inference request."""
        self._slot[at.OPENED] += 1

    def connection_closed(self) -> None:
        """Count the end of such a connection."""
        self._slot[at.CLOSED] += 1

    def dropped_line(self) -> None:
        """Count a line of the access or prediction log that nobody took in time."""
        self._slot[at.DROPPED_LINES] += 1

    def feedback(self, result: str) -> None:
        """Count feedback on one prediction: right, wrong or, where that is not known any more, unmatched."""
        index = at.UNMATCHED if result == "unmatched" else at.RIGHT_OR_WRONG + at.FEEDBACK.index(result)
        self._slot[index] += 1

    def ran(self, run: BatchRun) -> None:
        """Count one run of the model: its size, the wait before it, and what came out."""
        slot = self._slot
        slot[at.ROWS + bisect_left(at.ROWS_EDGES, run.rows)] += 1
        slot[at.ROWS + _ROWS_SUM] += run.rows
        self._count_waits([run.began - job.queued for job in run.batch])
        sampled = run.began >= self._next_sample
        for outputs in [run.joint] if run.joint else run.results:
            if isinstance(outputs, list):
                self.predicted(outputs, scored=sampled)
        if sampled:
            self._next_sample = run.began + _SAMPLE_PAUSE
            found = input_bin(run.batch[0].feed)
            if found is not None:
                slot[at.INPUTS + found] += 1

    def predicted(self, outputs: Sequence[Tensor], *, scored: bool = True) -> None:
        """Count the predictions in the outputs of one run: by class or by value and, if `scored`, by score."""
        first = outputs[0]
        values = first.array.ravel().tolist()
        if self.classifies:
            self._count_classes(values)
        if scored:
            self._count_scores(outputs)
        if first.datatype == "BYTES":
            return
        total = sum(values)
        if not isfinite(total):
            values = [value for value in values if isfinite(value)]
            total = sum(values)
        self._slot[at.VALUE_SUM] += total
        self._slot[at.VALUE_COUNT] += len(values)

    def _count_waits(self, waits: Sequence[float]) -> None:
        slot = self._slot
        if max(waits) <= _SECONDS[0]:
            slot[at.QUEUE] += len(waits)
        else:
            for wait in waits:
                slot[at.QUEUE + bisect_left(_SECONDS, wait)] += 1
        slot[at.QUEUE + _SECONDS_SUM] += sum(waits)

    def _count_classes(self, values: Sequence[object]) -> None:
        known, slot = self._classes, self._slot
        for value, count in [(values[0], 1)] if len(values) == 1 else Counter(values).items():
            index = known.get(value)
            if index is None:
                index = self.board.label(str(value))
                if len(known) < _MAX_CACHED:
                    known[value] = index
            slot[index] += count

    def _count_scores(self, outputs: Sequence[Tensor]) -> None:
        slot, edges = self._slot, PROBABILITY_EDGES
        if self.classifies:
            table = next((item.array for item in outputs if item.array.dtype.kind == "f" and item.array.ndim), None)
            scores = () if table is None else _probabilities(table)
        else:
            edges = VALUE_EDGES
            scores = () if outputs[0].datatype == "BYTES" else outputs[0].array.ravel().tolist()
        if len(scores) <= _FEW:
            for score in scores:
                if isfinite(score):
                    slot[at.SCORE + bisect_left(edges, score)] += 1
                    slot[at.SCORE + _SCORE_SUM] += score
            return
        finite = np.asarray(scores, dtype=np.float64)
        finite = finite[np.isfinite(finite)]
        counts = np.bincount(np.searchsorted(edges, finite), minlength=len(edges) + 1)
        for position in np.flatnonzero(counts).tolist():
            slot[at.SCORE + position] += int(counts[position])
        slot[at.SCORE + _SCORE_SUM] += float(finite.sum())


def _probabilities(scores: Array) -> Sequence[float]:
    """Return for each row the positive class's probability of two, else the largest."""
    if scores.ndim != _TABLE or not scores.shape[1]:
        return [float(score) for score in scores.ravel()]
    if len(scores) <= _FEW:
        return [row[1] if len(row) == _TABLE else max(row) for row in scores.tolist()]
    column = scores[:, 1] if scores.shape[1] == _TABLE else scores.max(axis=1)
    return [float(score) for score in column]
