"""Counting, on the hot path: plain additions to numbers in shared memory. `exposition` turns them into text."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from fairlead_serving.metrics import board as at
from fairlead_serving.metrics.board import Board
from fairlead_serving.metrics.histograms import Sizes, Times, classic_bucket, native_bucket
from fairlead_serving.metrics.predictions import Predictions
from fairlead_serving.metrics.summary import input_bin
from fairlead_serving.outputs import Outputs, Part

if TYPE_CHECKING:
    from fairlead_serving.batching.run import BatchRun
    from fairlead_serving.call import Call

_OUTCOMES: Final = {name: at.REQUESTS + position for position, name in enumerate(at.OUTCOMES)}
_SUCCESS: Final = _OUTCOMES["success"]
_SECONDS_SUM_AT: Final = at.DURATION + at.SECONDS_SUM
# Scores and inputs cost some ten microseconds to sum up, as what does it is in no cache of a core by then. So not more
# than 100 runs a second are looked at, and a tenth of that where there are so many runs that each of them is cheap.
_SAMPLE_PAUSE: Final = 0.01
_BUSY_PAUSE: Final = 0.1
_BUSY_RUNS_A_SECOND: Final = 800
# What is seen of requests is held for up to so long and counted together: many at once cost less than one by one.
HOLD_SECONDS: Final = 0.02


class Metrics:
    """The counters of one worker process. Only the event loop's thread may change them, but for what is dropped."""

    def __init__(self, model: str, version: str, revision: str, board: Board | None = None, worker: int = 0) -> None:
        """Count into a worker's slot of a board; by default into a board of its own."""
        self.identity = (model, version, revision)
        self.board = board or Board()
        self.info: tuple[str, str] | None = None  # digest and format, once a model is loaded
        self.has_routes = self.falls_back = False
        self._slot = self.board.slot(worker)
        self.predictions = Predictions(self.board, self._slot)
        self._last_sample = self._next_sample = 0.0
        self._runs_since = 0
        # When what is held should be counted with what comes then, by `time.perf_counter`, and what that is.
        self.due = 0.0
        self._durations = Times(self._slot, at.DURATION, at.NATIVE)
        self._waits = Times(self._slot, at.QUEUE)
        self._rows = Sizes(self._slot, at.ROWS)
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
        self.predictions.classifies = classes is not None
        for label in (classes or ())[: at.MAX_CLASSES]:
            self.board.label(label)

    @property
    def classifies(self) -> bool:
        """Whether the model predicts classes."""
        return self.predictions.classifies

    def publish(self) -> None:
        """Let the supervisor and the other workers see how many requests are in flight."""
        self._slot[at.IN_FLIGHT] = self.in_flight

    def ended(self, outcome: str, seconds: float) -> None:
        """Count the end of a request that was in flight."""
        self.in_flight -= 1
        self.publish()
        self.finished(outcome, seconds)

    def succeeded(self, calls: list[Call], now: float) -> None:
        """Count the end of requests that were in flight and were answered, and hold how long each took."""
        slot = self._slot
        self.in_flight -= len(calls)
        slot[at.IN_FLIGHT] = self.in_flight
        slot[_SUCCESS] += len(calls)
        durations = self._durations
        for call in calls:
            durations.add(now - call.arrived)

    def settle(self, now: float) -> None:
        """Count all that is held. `now` is by `time.perf_counter`."""
        self.due = now + HOLD_SECONDS
        self._durations.settle()
        self._waits.settle()
        self._rows.settle()
        self.predictions.settle()

    def finished(self, outcome: str, seconds: float) -> None:
        """Count one inference request, whatever became of it."""
        slot = self._slot
        slot[_OUTCOMES[outcome]] += 1
        if outcome == "rejected":
            # It took no time, and would make a model that refuses everything look fast.
            return
        slot[at.DURATION + classic_bucket(seconds)] += 1
        slot[_SECONDS_SUM_AT] += seconds
        slot[at.NATIVE + native_bucket(seconds)] += 1

    def routed(self, outcome: str, seconds: float) -> None:
        """Count one request to a route of the model's own, by the class of its status, such as `2xx`."""
        slot = self._slot
        slot[at.ROUTES + at.ROUTE_OUTCOMES.index(outcome)] += 1
        slot[at.ROUTE_SECONDS + classic_bucket(seconds)] += 1
        slot[at.ROUTE_SECONDS + at.SECONDS_SUM] += seconds

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
        self._rows.add(run.rows)
        waits = self._waits
        for job in run.batch:
            waits.add(began - job.queued)
        self._runs_since += 1
        sampled = began >= self._next_sample
        if run.joint is not None:
            self._hold(run.joint, scored=sampled)
        else:
            for result in run.results:
                if isinstance(result, Part):
                    self._hold(Outputs(result.tensors), scored=sampled)
        if sampled:
            busy = self._runs_since > _BUSY_RUNS_A_SECOND * (began - self._last_sample)
            self._last_sample, self._runs_since = began, 0
            self._next_sample = began + (_BUSY_PAUSE if busy else _SAMPLE_PAUSE)
            found = input_bin(run.batch[0].feed)
            if found is not None:
                self._slot[at.INPUTS + found] += 1

    def _hold(self, outputs: Outputs, *, scored: bool) -> None:
        self.predictions.hold(outputs)
        if scored:
            self.predictions.count_scores(outputs)
