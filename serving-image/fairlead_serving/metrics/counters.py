"""Counting, on the hot path: plain additions to numbers in shared memory. `exposition` turns them into text."""

from __future__ import annotations

import os
import threading
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fairlead_serving.metrics import board as at
from fairlead_serving.metrics.board import Board
from fairlead_serving.metrics.summary import input_bin
from fairlead_serving.outputs import Outputs, Part

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
_SECONDS_SUM: Final = len(_SECONDS) + 1
_SUCCESS: Final = _OUTCOMES["success"]
_SECONDS_SUM_AT: Final = at.DURATION + _SECONDS_SUM
_NATIVE_EDGES: Final = tuple(
    2 ** ((at.NATIVE_FIRST + step) / (1 << at.NATIVE_SCHEMA)) for step in range(at.NATIVE_BUCKETS - 1)
)
_ROWS_SUM: Final = len(at.ROWS_EDGES) + 1
_SCORE_SUM: Final = at.SCORE_EDGES + 1
# Scores and inputs cost some microseconds to sum up, so that not more than 100 runs a second are looked at.
_SAMPLE_PAUSE: Final = 0.01
# What is seen of requests is held for up to so long and counted together: many at once cost less than one by one.
HOLD_SECONDS: Final = 0.005
# More values of one run are counted at once.
_MOST_HELD: Final = 4096
_FEW_CLASSES: Final = 4
# So many scores are counted sooner one by one than by numpy, whose every step costs more than a microsecond.
_FEW: Final = 64
_TABLE: Final = 2
_MAX_CACHED: Final = 1000


class Metrics:
    """The counters of one worker process. Only the event loop's thread may change them, but for what is dropped."""

    def __init__(self, model: str, version: str, revision: str, board: Board | None = None, worker: int = 0) -> None:
        """Count into a worker's slot of a board; by default into a board of its own."""
        self.identity = (model, version, revision)
        self.board = board or Board()
        self.info: tuple[str, str] | None = None  # digest and format, once a model is loaded
        self.classifies = False
        self.has_routes = self.falls_back = False
        self._slot = self.board.slot(worker)
        self._classes: dict[object, int] = {}
        self._next_sample = 0.0
        # When what is held should be counted with what comes then, by `time.perf_counter`, and what that is.
        self.due = 0.0
        self._durations: list[float] = []
        self._waits: list[float] = []
        self._rows: list[float] = []
        self._numbers: list[object] = []
        self._texts: list[object] = []
        # Inference requests being answered. Whoever changes it sees to it that it is published before it matters.
        self.in_flight = 0
        self._drops = threading.Lock()

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

    def publish(self) -> None:
        """Let the supervisor and the other workers see how many requests are in flight."""
        self._slot[at.IN_FLIGHT] = self.in_flight

    def ended(self, outcome: str, seconds: float) -> None:
        """Count the end of a request that was in flight."""
        self.in_flight -= 1
        self.publish()
        self.finished(outcome, seconds)

    def succeeded(self, durations: list[float]) -> None:
        """Count the end of requests that were in flight and were answered, and hold how many seconds each took."""
        slot = self._slot
        self.in_flight -= len(durations)
        slot[at.IN_FLIGHT] = self.in_flight
        slot[_SUCCESS] += len(durations)
        self._durations += durations

    def settle(self, now: float) -> None:
        """Count all that is held. `now` is by `time.perf_counter`."""
        self.due = now + HOLD_SECONDS
        slot = self._slot
        if self._durations:
            ordered, self._durations = sorted(self._durations), []
            slot[_SECONDS_SUM_AT] += sum(ordered)
            _spread(slot, at.DURATION, _SECONDS, ordered)
            _spread(slot, at.NATIVE, _NATIVE_EDGES, ordered)
        if self._rows:
            ordered, self._rows = sorted(self._rows), []
            slot[at.ROWS + _ROWS_SUM] += sum(ordered)
            _spread(slot, at.ROWS, at.ROWS_EDGES, ordered)
            ordered, self._waits = sorted(self._waits), []
            slot[at.QUEUE + _SECONDS_SUM] += sum(ordered)
            _spread(slot, at.QUEUE, _SECONDS, ordered)
        if self._numbers:
            values, self._numbers = self._numbers, []
            self._count_predictions(values, numeric=True)
        if self._texts:
            values, self._texts = self._texts, []
            self._count_predictions(values, numeric=False)

    def finished(self, outcome: str, seconds: float) -> None:
        """Count one inference request, whatever became of it."""
        slot = self._slot
        slot[_OUTCOMES[outcome]] += 1
        if outcome == "rejected":
            # It took no time, and would make a model that refuses everything look fast.
            return
        slot[at.DURATION + bisect_left(_SECONDS, seconds)] += 1
        slot[_SECONDS_SUM_AT] += seconds
        slot[at.NATIVE + bisect_left(_NATIVE_EDGES, seconds)] += 1

    def routed(self, outcome: str, seconds: float) -> None:
        """Count one request to a route of the model's own, by the class of its status, such as `2xx`."""
        slot = self._slot
        slot[at.ROUTES + at.ROUTE_OUTCOMES.index(outcome)] += 1
        slot[at.ROUTE_SECONDS + bisect_left(_SECONDS, seconds)] += 1
        slot[at.ROUTE_SECONDS + _SECONDS_SUM] += seconds

    def fell_back(self) -> None:
        """Count one answer of the fallback."""
        self._slot[at.FALLBACKS] += 1

    def connection_opened(self) -> None:
        """Count a connection that brought its first inference request."""
        self._slot[at.OPENED] += 1

    def connection_closed(self) -> None:
        """Count the end of such a connection."""
        self._slot[at.CLOSED] += 1

    def dropped_lines(self, count: int = 1) -> None:
        """Count lines of the access or prediction log that nobody took in time; from any thread."""
        with self._drops:
            self._slot[at.DROPPED_LINES] += count

    def dropped_spans(self, count: int) -> None:
        """Count spans of traces that could not be sent; from any thread."""
        with self._drops:
            self._slot[at.DROPPED_SPANS] += count

    def turned(self) -> None:
        """Give a sign of life of the event loop, for the supervisor."""
        self._slot[at.TURNS] += 1

    def feedback(self, result: str) -> None:
        """Count feedback on one prediction: right, wrong or, where that is not known any more, unmatched."""
        index = at.UNMATCHED if result == "unmatched" else at.RIGHT_OR_WRONG + at.FEEDBACK.index(result)
        self._slot[index] += 1

    def ran(self, run: BatchRun) -> None:
        """Hold what one run of the model shows: its size, the wait before it, and what came out."""
        began = run.began
        self._rows.append(float(run.rows))
        self._waits += [began - job.queued for job in run.batch]
        sampled = began >= self._next_sample
        if run.joint is not None:
            self._hold(run.joint, scored=sampled)
        else:
            for result in run.results:
                if isinstance(result, Part):
                    self._hold(Outputs(result.tensors), scored=sampled)
        if sampled:
            self._next_sample = began + _SAMPLE_PAUSE
            found = input_bin(run.batch[0].feed)
            if found is not None:
                self._slot[at.INPUTS + found] += 1

    def _hold(self, outputs: Outputs, *, scored: bool) -> None:
        values = outputs.predictions
        if len(values) > _MOST_HELD:
            self.predicted(outputs, scored=scored)
            return
        if outputs.tensors[0].datatype == "BYTES":
            self._texts += values
        else:
            self._numbers += values
        if scored:
            self._count_scores(outputs.tensors)

    def predicted(self, outputs: Outputs, *, scored: bool = True) -> None:
        """Count the predictions in the outputs of one run: by class or by value and, if `scored`, by score."""
        self._count_predictions(outputs.predictions, numeric=outputs.tensors[0].datatype != "BYTES")
        if scored:
            self._count_scores(outputs.tensors)

    def _count_predictions(self, values: list[Any], *, numeric: bool) -> None:
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
                index = self.board.label(str(value))
                if len(known) < _MAX_CACHED:
                    known[value] = index
            slot[index] += count

    def _count_scores(self, outputs: Sequence[Tensor]) -> None:
        slot, edges = self._slot, PROBABILITY_EDGES
        scores: Sequence[float]
        if self.classifies:
            table = next((item.array for item in outputs if item.array.dtype.kind == "f" and item.array.ndim), None)
            scores = () if table is None else _probabilities(table)
        else:
            edges = VALUE_EDGES
            scores = () if outputs[0].datatype == "BYTES" else outputs[0].array.ravel().tolist()
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


def _probabilities(scores: Array) -> Sequence[float]:
    """Return for each row the positive class's probability of two, else the largest."""
    if scores.ndim != _TABLE or not scores.shape[1]:
        column = scores.ravel()
    else:
        column = scores[:, 1] if scores.shape[1] == _TABLE else scores.max(axis=1)
    found: list[float] = column.tolist()
    return found
