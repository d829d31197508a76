"""The requests that wait for the model: fair among clients, grouped by what can be joined."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, Final

from mypy_extensions import mypyc_attr

_MANY: Final = 64


@mypyc_attr(allow_interpreted_subclasses=True)
class Job:
    """One request on its way through the model.

    `feed` is what the model takes, `wanted` the outputs to compute, `client` whose turn it takes. The engine sets
    `rows`, what it costs, and `key`, equal for jobs that can be joined.
    """

    NEW: Final = 0
    FRESH: Final = 1
    WAITING: Final = 2
    STARTED: Final = 3
    CANCELLED: Final = 4

    # Of the class, since thousands a second are made and most never change them.
    feed: Any = None
    wanted: Sequence[str] = ()
    client: Hashable = None
    key: Hashable = None
    rows = 1
    queued = 0.0
    state: int = NEW


class FairQueue:
    """Start-time fair queueing: each client's jobs are served as if it had the model to itself, one n-th of the time.

    A client's next job is tagged with the virtual time at which its previous one would end; the smallest tag goes
    first. So a client with a thousand rows waiting does not hold up one with a single row.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._heaps: dict[Hashable, list[tuple[float, int, Job]]] = {}
        self._clients: dict[Hashable, list[float]] = {}  # rows waiting, jobs waiting, virtual end of the last job
        self._now = 0.0
        self._count = 0
        self._cancelled = 0
        self.jobs = 0
        self.rows = 0

    def rows_of(self, client: Hashable) -> int:
        """Return how many rows a client has waiting."""
        own = self._clients.get(client)
        return int(own[0]) if own else 0

    def push(self, job: Job) -> None:
        """Add a job."""
        job.state = Job.WAITING
        own = self._clients.get(job.client)
        if own is None:
            own = self._clients[job.client] = [0.0, 0.0, self._now]
        tag = max(own[2], self._now)
        own[0] += job.rows
        own[1] += 1
        own[2] = tag + job.rows
        self._count += 1
        self.jobs += 1
        self.rows += job.rows
        heap = self._heaps.get(job.key)
        if heap is None:
            heap = self._heaps[job.key] = []
        heappush(heap, (tag, self._count, job))

    def cancel(self, job: Job) -> bool:
        """Take a job out, and return whether it was still waiting."""
        if job.state != Job.WAITING:
            return False
        job.state = Job.CANCELLED
        job.feed = None
        self._left(job)
        self._cancelled += 1
        if self._cancelled > self.jobs + _MANY:
            self._sweep()
        return True

    def take(self, most_rows: float) -> list[Job]:
        """Take the job whose turn it is and all that can be joined to it, up to so many rows; empty if none waits."""
        heap = self._first()
        batch: list[Job] = []
        rows = 0
        while heap:
            tag, _, job = heap[0]
            if job.state == Job.CANCELLED:
                self._cancelled -= 1
                heappop(heap)
                continue
            if batch and (job.key is None or rows + job.rows > most_rows):
                break
            heappop(heap)
            job.state = Job.STARTED
            self._now = max(self._now, tag)
            self._left(job)
            batch.append(job)
            rows += job.rows
        if batch and not heap:
            del self._heaps[batch[0].key]
        return batch

    def _first(self) -> list[tuple[float, int, Job]] | None:
        """Return the group in which the next job is."""
        if not self.jobs:
            return None
        if len(self._heaps) > 1:
            for heap in self._heaps.values():
                while heap and heap[0][2].state == Job.CANCELLED:
                    self._cancelled -= 1
                    heappop(heap)
            self._heaps = {key: heap for key, heap in self._heaps.items() if heap}
        return min(self._heaps.values(), key=lambda heap: heap[0][:2])

    def _sweep(self) -> None:
        """Forget the cancelled jobs, which otherwise leave when their turn comes."""
        self._cancelled = 0
        for key, heap in tuple(self._heaps.items()):
            heap[:] = [entry for entry in heap if entry[2].state == Job.WAITING]
            heapify(heap)
            if not heap:
                del self._heaps[key]

    def _left(self, job: Job) -> None:
        self.jobs -= 1
        self.rows -= job.rows
        own = self._clients[job.client]
        own[0] -= job.rows
        own[1] -= 1
        if not own[1]:
            del self._clients[job.client]
