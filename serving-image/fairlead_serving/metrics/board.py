"""The numbers of all worker processes, in memory that they share and that outlives each of them.

Every worker writes its own slot only, so nothing is locked and nothing is lost when one dies: its successor counts on
from the slot it left. Whoever is scraped adds the slots up. Names of classes come up while serving, so they lie in one
table for all, which is changed under a file lock that the kernel takes back from a process that dies.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from typing import Final

OUTCOMES: Final = ("success", "client_error", "server_error", "rejected", "cancelled")
# What became of requests to a model's own routes: the class of the status, or the client had gone.
ROUTE_OUTCOMES: Final = ("2xx", "3xx", "4xx", "5xx", "cancelled")
SECONDS_EDGES: Final[tuple[float, ...]] = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
ROWS_EDGES: Final[tuple[float, ...]] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
SCORE_EDGES: Final = 19
# Behind the buckets of a histogram, which are one more than its edges, stands its sum.
SECONDS_SUM: Final = len(SECONDS_EDGES) + 1
ROWS_SUM: Final = len(ROWS_EDGES) + 1
# Buckets of the native histogram of durations: eight to each doubling, from a microsecond to two minutes. The first
# and the last take what is beyond.
NATIVE_SCHEMA: Final = 3
NATIVE_FIRST: Final = -20 << NATIVE_SCHEMA
NATIVE_BUCKETS: Final = (27 << NATIVE_SCHEMA) + 1
INPUT_BINS: Final = 32
MAX_CLASSES: Final = 64
FEEDBACK: Final = ("right", "wrong")

# Where the numbers of a slot stand.
REQUESTS: Final = 0
DURATION: Final = REQUESTS + len(OUTCOMES)
ROWS: Final = DURATION + len(SECONDS_EDGES) + 2
QUEUE: Final = ROWS + len(ROWS_EDGES) + 2
SCORE: Final = QUEUE + len(SECONDS_EDGES) + 2
INPUTS: Final = SCORE + SCORE_EDGES + 2
CLASSES: Final = INPUTS + INPUT_BINS
OTHER_CLASS: Final = CLASSES + MAX_CLASSES
RIGHT_OR_WRONG: Final = OTHER_CLASS + 1
UNMATCHED: Final = RIGHT_OR_WRONG + len(FEEDBACK)
VALUE_SUM: Final = UNMATCHED + 1
VALUE_COUNT: Final = VALUE_SUM + 1
OPENED: Final = VALUE_COUNT + 1
CLOSED: Final = OPENED + 1
IN_FLIGHT: Final = CLOSED + 1
LOAD_SECONDS: Final = IN_FLIGHT + 1
DROPPED_LINES: Final = LOAD_SECONDS + 1
DROPPED_SPANS: Final = DROPPED_LINES + 1
STARTS: Final = DROPPED_SPANS + 1
HANGS: Final = STARTS + 1
PROCESS: Final = HANGS + 1
# Signs of life of the event loop, counted twice a second.
TURNS: Final = PROCESS + 1
NATIVE: Final = TURNS + 1
ROUTES: Final = NATIVE + NATIVE_BUCKETS
ROUTE_SECONDS: Final = ROUTES + len(ROUTE_OUTCOMES)
FALLBACKS: Final = ROUTE_SECONDS + len(SECONDS_EDGES) + 2
_SLOT: Final = FALLBACKS + 1

# A prediction that is remembered for feedback, see feedback.py.
ENTRY_BYTES: Final = 16
_DOUBLE: Final = 8
_LABEL: Final = 128
_LABELS: Final = MAX_CLASSES * _LABEL
_LONGEST_LABEL: Final = 120
# A slot begins on a page of its own, so that no two cores write to one cache line.
_PAGE: Final = 4096
_SLOT_BYTES: Final = -(-_SLOT * _DOUBLE // _PAGE) * _PAGE


class Board:
    """Shared memory for a number of workers; processes forked after it was made see the same numbers.

    `memory` bytes more are there for each worker, for whatever it wants to share (see `area`).
    """

    def __init__(self, workers: int = 1, memory: int = 0) -> None:
        """Make the memory, all zeroes. Pages that are never touched cost nothing."""
        self.workers = workers
        self._area_bytes = -(-memory // _PAGE) * _PAGE
        size = _LABELS + workers * (_SLOT_BYTES + self._area_bytes)
        self._file = os.memfd_create("fairlead-metrics")
        os.ftruncate(self._file, size)
        self._memory = mmap.mmap(self._file, size)
        self._view = memoryview(self._memory)
        self._labels: dict[str, int] = {}

    def slot(self, worker: int) -> memoryview[float]:
        """Return a worker's numbers, indexed by the constants of this module."""
        start = _LABELS + worker * _SLOT_BYTES
        return self._view[start : start + _SLOT * _DOUBLE].cast("d")

    def area(self, worker: int) -> memoryview[int]:
        """Return a worker's extra bytes."""
        start = _LABELS + self.workers * _SLOT_BYTES + worker * self._area_bytes
        return self._view[start : start + self._area_bytes]

    def column(self, index: int) -> list[float]:
        """Return one number of every worker."""
        return [self.slot(worker)[index] for worker in range(self.workers)]

    def totals(self) -> list[float]:
        """Return all numbers, each summed over the workers."""
        return [sum(numbers) for numbers in zip(*map(self.slot, range(self.workers)), strict=True)]

    def bury(self, worker: int, *, hung: bool = False) -> None:
        """Settle what a dead worker has left: its connections are closed, and what it was answering has failed.

        `hung` is whether it was ended because it hung.
        """
        slot = self.slot(worker)
        slot[REQUESTS + OUTCOMES.index("server_error")] += slot[IN_FLIGHT]
        slot[IN_FLIGHT] = 0
        slot[CLOSED] = slot[OPENED]
        slot[PROCESS] = 0
        slot[HANGS] += hung

    def labels(self) -> dict[str, int]:
        """Return all classes known to any worker, with the index of their number in a slot."""
        self._read_labels()
        return self._labels

    def label(self, name: str) -> int:
        """Return the index of a class's number in a slot, the one for all other classes when the table is full."""
        found = self._labels.get(name)
        if found is not None:
            return found
        data = _shortened(name)
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            self._read_labels()
            index = self._labels.get(data.decode())
            if index is None and len(self._labels) < MAX_CLASSES:
                start = len(self._labels) * _LABEL
                self._view[start + 1 : start + 1 + len(data)] = data
                self._view[start] = len(data) + 1  # last, since it is what makes the entry count
                self._read_labels()
                index = self._labels[data.decode()]
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
        return OTHER_CLASS if index is None else index

    def _read_labels(self) -> None:
        for position in range(len(self._labels), MAX_CLASSES):
            start = position * _LABEL
            length = self._view[start] - 1
            if length < 0:
                return
            self._labels[bytes(self._view[start + 1 : start + 1 + length]).decode()] = CLASSES + position


def _shortened(name: str) -> bytes:
    """Return a label that fits into the table; a very long one loses its end."""
    data = name.encode(errors="replace")
    return (
        data if len(data) <= _LONGEST_LABEL else data[:_LONGEST_LABEL].decode(errors="ignore").encode() + "…".encode()
    )
