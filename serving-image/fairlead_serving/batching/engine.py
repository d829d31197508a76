"""Runs the model for whoever asks: at once where that is quick, else in one thread, with all that waits joined."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

from fairlead_serving.batching.cost import RunCost
from fairlead_serving.batching.feeds import rows_of, shape_key
from fairlead_serving.batching.queue import FairQueue, Job
from fairlead_serving.batching.run import BatchRun
from fairlead_serving.errors import OverloadedError
from fairlead_serving.rows import Rows

if TYPE_CHECKING:
    import asyncio

    from fairlead_serving.batching.probe import Probe
    from fairlead_serving.batching.run import Run

    Deliver = Callable[[BatchRun], None]

_log = logging.getLogger(__name__)
# A hop to the other thread costs some 30 µs, so what is not much slower stays on the loop.
_QUICK_SECONDS: Final = 500e-6
# Half of the latency target is for the run, half for the wait before it.
_RUN_SHARE: Final = 0.5
# Beyond a fixed share of 5 %, a larger batch makes its requests wait and gains nothing.
_OVERHEAD: Final = 0.05
_SMALL_BATCH: Final = 8
# So few requests may always wait, or a model slower than its target would refuse nearly everybody.
_ALWAYS: Final = 4
_MAX_JOBS: Final = 4096
# A client may have so many times the room that is left: one alone fills four fifths, and there is room for a newcomer.
_GREED: Final = 4.0


class Limits(NamedTuple):
    """The latency to stay below, in seconds, and the most rows of a batch, 1 to join nothing.

    `max_bytes` is what all large requests that wait may hold together.
    """

    target: float
    max_rows: int
    max_bytes: int = 256 * 1024 * 1024


class Engine:
    """The one executor of a process. All methods but the run itself belong to the event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        run: Run,
        deliver: Deliver,
        limits: Limits,
        taken: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare to run a model.

        `run` computes the wanted outputs of a feed and raises RequestError only. `deliver` is given each run when it is
        over, on the loop. `taken` is called when a request has to wait, and before each run.
        """
        self.cost = RunCost()
        # Whether requests may be joined: true once the model has shown that its rows are independent.
        self.joins = False
        self._deliver_to = deliver
        self._taken = taken
        self._loop = loop
        self._run = run
        self._target = limits.target
        self._max_rows = limits.max_rows
        self._queue = FairQueue()
        # What has come in while the executor is free, until the loop has read all that is there: most often one batch,
        # which need not go through the queue.
        self._fresh: list[Job] = []
        self._fresh_rows = 0
        self._calm_rows = 0.0  # with fewer fresh rows than that, no request waits too long
        self._beside = ThreadPoolExecutor(1, "model")
        self._scheduled = False
        self._runs = 0
        self._began = 0.0
        self._running = 0.0  # predicted seconds of the run in the thread, 0 when the executor is free

    def learn(self, found: Probe) -> None:
        """Take over what a model has shown before it serves."""
        self.joins = found.joins and self._max_rows > 1
        for rows, seconds in found.runs:
            self._observe(rows, seconds)

    @property
    def waiting(self) -> int:
        """How many requests wait for the model."""
        return self._queue.jobs + len(self._fresh)

    def submit(self, job: Job) -> None:
        """Queue one request; it is delivered later, never from within this call.

        Raises OverloadedError when the wait would be too long.
        """
        queue = self._queue
        if self._running or queue.jobs or self._fresh_rows >= self._calm_rows:
            if queue.jobs >= _ALWAYS or len(self._fresh) >= _ALWAYS:
                self._admit(job.client)
            waits = self._running or queue.jobs
        else:
            waits = False
        feed = job.feed
        if type(feed) is Rows:
            job.rows = feed.rows
            if self.joins:
                job.key = feed.form.key
        else:
            job.rows = rows_of(feed)
            key = shape_key(feed) if self.joins else None
            if key is not None:
                job.key = (key, job.wanted)
        job.queued = time.perf_counter()
        if waits:
            queue.push(job)
            self._taken()
        else:
            job.state = Job.FRESH
            self._fresh.append(job)
            self._fresh_rows += job.rows
        if not (self._scheduled or self._running):
            # Whatever else has come in by now is read before this runs, and goes along.
            self._scheduled = True
            self._loop.call_soon(self._next)

    def cancel(self, job: Job) -> bool:
        """Take a request out of the queue, and return whether it was still there."""
        if job.state == Job.FRESH:
            job.state = Job.CANCELLED
            self._fresh.remove(job)
            self._fresh_rows -= job.rows
            return True
        return self._queue.cancel(job)

    def wait(self) -> float:
        """Return the predicted seconds until a request that comes now would start."""
        rows = self._queue.rows + self._fresh_rows
        runs = math.ceil(rows / self._most_rows()) if self.joins else self.waiting
        return self._left() + runs * self.cost.fixed + rows * self.cost.a_row

    def _left(self) -> float:
        """Return the seconds that the run in the thread will go on; one that is overdue, as long as it has so far."""
        if not self._running:
            return 0.0
        elapsed = time.perf_counter() - self._began
        return self._running - elapsed if elapsed < self._running else elapsed

    def _admit(self, client: Hashable) -> None:
        queue, alone, limit = self._queue, self.cost.seconds(1), self._longest_wait()
        # As if nothing were joined; most often that is short enough to look no further.
        if self._left() + (queue.rows + self._fresh_rows) * alone < limit / 2 and queue.jobs < _MAX_JOBS:
            return
        self._settle()
        wait = self.wait()
        own = wait * queue.rows_of(client) / queue.rows
        if queue.jobs >= _MAX_JOBS or wait >= limit or own > _GREED * (limit - wait):
            raise OverloadedError(wait, queue.jobs)

    def _longest_wait(self) -> float:
        return max(self._target, _ALWAYS * self.cost.seconds(1))

    def _most_rows(self) -> float:
        cost = self.cost
        useful = max(_SMALL_BATCH, cost.worthwhile_rows(_OVERHEAD))
        return float(int(min(self._max_rows, useful, cost.rows_within(_RUN_SHARE * self._target))))

    def _settle(self) -> None:
        """Let what has just come in wait in the queue."""
        for job in self._fresh:
            self._queue.push(job)
        self._fresh = []
        self._fresh_rows = 0

    def _take(self) -> list[Job]:
        """Return the next batch, empty where nothing waits."""
        fresh = self._fresh
        if fresh and not self._queue.jobs:
            key = fresh[0].key
            alike = len(fresh) == 1 or (key is not None and [job.key for job in fresh].count(key) == len(fresh))
            if alike and (len(fresh) == 1 or self._fresh_rows <= self._most_rows()):
                self._fresh = []
                self._fresh_rows = 0
                for job in fresh:
                    job.state = Job.STARTED
                return fresh
        self._settle()
        return self._queue.take(self._most_rows())

    def _next(self) -> None:
        """Start the next batch; the executor is free."""
        self._scheduled = False
        batch = self._take()
        if not batch:
            return
        self._taken()
        predicted = self.cost.seconds(sum([job.rows for job in batch]) if len(batch) > 1 else batch[0].rows)
        if self.cost.known and predicted <= _QUICK_SECONDS:
            # Runs on the loop are many and alike, so that an eighth of them tells as much.
            self._runs += 1
            self._over(BatchRun(self._run, batch), learn=not self._runs % 8)
            if self._queue.jobs and not self._scheduled:
                self._scheduled = True
                self._loop.call_soon(self._next)
        else:
            self._running = predicted or _QUICK_SECONDS
            self._began = time.perf_counter()
            self._beside.submit(self._run_beside, batch)

    def _run_beside(self, batch: list[Job]) -> None:
        ran = BatchRun(self._run, batch)
        self._loop.call_soon_threadsafe(self._back, ran)

    def _back(self, ran: BatchRun) -> None:
        """Let the thread work on before the answers are written."""
        self._running = 0.0
        self._next()
        self._over(ran, learn=True)

    def _observe(self, rows: int, seconds: float) -> None:
        self.cost.observe(rows, seconds)
        alone = self.cost.seconds(1)
        self._calm_rows = self._longest_wait() / 2 / alone if alone else 0.0

    def _over(self, ran: BatchRun, *, learn: bool) -> None:
        if learn and ran.seconds is not None:
            self._observe(ran.rows, ran.seconds)
        if ran.misfit:
            _log.warning("the model's outputs have not a row for each row of its inputs: requests are joined no more")
            self.joins = False
        self._deliver_to(ran)
