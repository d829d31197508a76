"""Which ModelDeployment is looked at next, by whom, and when again.

A key is a namespace and a name. However often it is added, it waits once; it is never worked on twice at the
same time; what is added meanwhile is looked at once more afterwards. A failed pass is repeated with a delay that
doubles. The order and the delays depend on nothing but the calls and the event loop's clock, so that tests can
replay them.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable

from fairlead.controller.telemetry import NullTelemetry, ReconcileResult, Telemetry

Key = tuple[str, str]
Process = Callable[[Key], Awaitable[float | None]]
"""One pass over a key. Returns in how many seconds to look again; None: only when something happens."""

_log = logging.getLogger(__name__)


class WorkQueue:
    """Keys with something to do. Not for use from other threads.

    `workers` bounds the passes at the same time, `timeout` the seconds that one may take: a longer one is
    cancelled and counts as failed. After the n-th failure in a row the next try comes in
    `first_delay` · 2ⁿ⁻¹ seconds, at most `longest_delay`; an exception with a `retry_after` may ask for more than
    that delay. `expected` are the exceptions that are logged in one line; others come with their traceback.
    """

    def __init__(
        self,
        *,
        workers: int = 4,
        timeout: float = 60.0,
        first_delay: float = 0.5,
        longest_delay: float = 60.0,
        expected: tuple[type[Exception], ...] = (),
        telemetry: Telemetry | None = None,
    ) -> None:
        self._workers = workers
        self._timeout = timeout
        self._first_delay = first_delay
        self._longest_delay = longest_delay
        self._expected = expected
        self._telemetry = telemetry or NullTelemetry()
        self._line: asyncio.Queue[Key | None] = asyncio.Queue()
        self._waiting: set[Key] = set()
        self._running: dict[Key, float] = {}
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._deadlines: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._stop = asyncio.Event()
        self._progress = 0.0

    def __len__(self) -> int:
        """How many keys wait for a worker."""
        return len(self._waiting)

    def add(self, key: Key) -> None:
        """Look at this key as soon as a worker is free."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._waiting:
            if not self._waiting:
                self._progress = _now()
            self._waiting.add(key)
            self._line.put_nowait(key)
            self._telemetry.queue_depth(len(self._waiting))

    def add_at(self, key: Key, when: float) -> None:
        """Look at this key at a time of the event loop's clock, or sooner if an earlier time is known already."""
        known = self._deadlines.get(key)
        if known is None or when < known:
            self._deadlines[key] = when
            heapq.heappush(self._heap, (when, key))
            self._arm()

    def add_in(self, key: Key, seconds: float) -> None:
        """Look at this key in so many seconds, or sooner."""
        self.add_at(key, _now() + seconds)

    def stalled_for(self) -> float:
        """Seconds that work has been overdue: 0 when nothing is to be done, however long that lasts."""
        now = _now()
        oldest = min(self._running.values(), default=now)
        return max(now - oldest, now - self._progress if self._waiting else 0.0)

    def stop(self) -> None:
        """Start no more passes. `run` returns when those in progress are over."""
        self._stop.set()

    async def run(self, process: Process, *, grace: float = 10.0) -> None:
        """Work until `stop`. Passes still running `grace` seconds after it are cancelled."""
        tasks = [asyncio.create_task(self._work(process), name=f"worker-{i}") for i in range(self._workers)]
        try:
            await self._stop.wait()
            for _ in tasks:
                self._line.put_nowait(None)
            await asyncio.wait(tasks, timeout=grace)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, process: Process) -> None:
        while True:
            key = await self._line.get()
            if key is None or self._stop.is_set():
                return
            self._waiting.discard(key)
            self._telemetry.queue_depth(len(self._waiting))
            self._deadlines.pop(key, None)  # the pass says itself when the next one is due
            self._running[key] = self._progress = _now()
            try:
                await self._pass(key, process)
            finally:
                del self._running[key]
                self._progress = _now()
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    async def _pass(self, key: Key, process: Process) -> None:
        started = _now()
        result: ReconcileResult = "success"
        try:
            async with asyncio.timeout(self._timeout) as limit:
                seconds = await process(key)
        except Exception as exc:  # noqa: BLE001 - whatever a pass trips over, the worker lives on
            expired = isinstance(exc, TimeoutError) and limit.expired()
            result = "timeout" if expired else "error"
            self.add_in(key, self._delay(key, exc))
            known = expired or isinstance(exc, self._expected)
            text = f"took longer than {self._timeout:g} s" if expired else (str(exc) or type(exc).__name__)
            _log.warning("reconcile of %s/%s failed: %s", *key, text, exc_info=None if known else exc)
        else:
            self._failures.pop(key, None)
            if seconds is not None:
                self.add_in(key, max(0.0, seconds))
        finally:
            self._telemetry.reconciled(result, _now() - started)

    def _delay(self, key: Key, exc: Exception) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        doubled: float = self._first_delay * 2.0 ** min(failures - 1, 30)
        asked: float = getattr(exc, "retry_after", None) or 0.0
        return min(max(doubled, asked), self._longest_delay)

    def _arm(self) -> None:
        """Keep one timer, for the earliest deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._heap and self._deadlines.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # an earlier time or a pass in between has replaced it
        if self._heap:
            self._timer = asyncio.get_running_loop().call_at(self._heap[0][0], self._due)

    def _due(self) -> None:
        now = _now()
        while self._heap and self._heap[0][0] <= now:
            when, key = heapq.heappop(self._heap)
            if self._deadlines.get(key) == when:
                del self._deadlines[key]
                self.add(key)
        self._timer = None
        self._arm()


def _now() -> float:
    return asyncio.get_running_loop().time()
