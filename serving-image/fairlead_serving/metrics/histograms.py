"""Histograms of the hot path: values sorted into buckets, and now and then added to the numbers in shared memory."""

from __future__ import annotations

from bisect import bisect_left
from math import inf, log
from typing import Final

from fairlead_serving.metrics import board as at

_CLASSIC: Final = [*at.SECONDS_EDGES, inf]
_NATIVE: Final = [2 ** ((at.NATIVE_FIRST + step) / (1 << at.NATIVE_SCHEMA)) for step in range(at.NATIVE_BUCKETS - 1)]
# The native buckets, parted where a classic one ends: so a time is looked up once for both.
_BOTH: Final = sorted({*_NATIVE, *_CLASSIC})
_CLASSIC_OF: Final = [bisect_left(_CLASSIC, bound) for bound in _BOTH]
_NATIVE_OF: Final = [bisect_left(_NATIVE, bound) for bound in _BOTH]
# The logarithm tells which native edge is just below, give or take its rounding, and with that where to look first.
_STEPS: Final = (1 << at.NATIVE_SCHEMA) / log(2)
_OFFSET: Final = float(-at.NATIVE_FIRST)
_ROUNDING: Final = 1e-9
_FROM: Final = [bisect_left(_BOTH, edge * (1 - _ROUNDING)) for edge in _NATIVE]
_LEAST: Final = _NATIVE[0]
_MOST: Final = _NATIVE[-1]
_NO_TIME: Final = -1.0
_ROWS_OF: Final = [bisect_left(at.ROWS_EDGES, rows) for rows in range(int(at.ROWS_EDGES[-1]) + 1)]


def classic_bucket(seconds: float) -> int:
    """Return which of the classic buckets a time is in."""
    return bisect_left(_CLASSIC, seconds)


def native_bucket(seconds: float) -> int:
    """Return which of the native histogram's buckets a time is in."""
    return bisect_left(_NATIVE, seconds)


class Times:
    """Times seen since the last `settle`, as counts: to add one takes no memory and some 10 ns when compiled."""

    def __init__(self, slot: memoryview[float], classic: int, native: int | None = None) -> None:
        """Count for the classic histogram at an index of a worker's numbers, and for the native one."""
        self._slot = slot
        self._classic = classic
        self._native = native
        self._bounds: list[float] = _CLASSIC if native is None else _BOTH
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0
        # Buckets outside of these are empty.
        self._first, self._last = len(self._bounds), -1
        # The bucket of the last time, and how many in a row have been in it: most often the next one is too.
        self._bucket = 0
        self._above = _NO_TIME
        self._most = self._bounds[0]
        self._row = 0

    def add(self, seconds: float) -> None:
        """Note a time."""
        if not self._above < seconds <= self._most:
            self._turn_to(seconds)
        self._row += 1
        self._sum += seconds

    def _turn_to(self, seconds: float) -> None:
        """Let the row begin that a time belongs to."""
        self._end_row()
        bounds, bucket = self._bounds, self._bucket
        if self._native is not None and _LEAST < seconds <= _MOST and not self._above / 2 < seconds < self._most * 2:
            bucket = _FROM[int(log(seconds) * _STEPS + _OFFSET)]
        while seconds > bounds[bucket]:
            bucket += 1
        while bucket and seconds <= bounds[bucket - 1]:
            bucket -= 1
        self._bucket = bucket
        self._above = bounds[bucket - 1] if bucket else _NO_TIME
        self._most = bounds[bucket]

    def _end_row(self) -> None:
        bucket = self._bucket
        self._counts[bucket] += self._row
        self._row = 0
        self._first = min(self._first, bucket)
        self._last = max(self._last, bucket)

    def settle(self) -> None:
        """Add all to the worker's numbers."""
        self._end_row()
        slot, classic, native, counts = self._slot, self._classic, self._native, self._counts
        for bucket in range(self._first, self._last + 1):
            count = counts[bucket]
            if count:
                counts[bucket] = 0
                if native is None:
                    slot[classic + bucket] += count
                else:
                    slot[classic + _CLASSIC_OF[bucket]] += count
                    slot[native + _NATIVE_OF[bucket]] += count
        self._first, self._last = len(self._bounds), -1
        if self._sum:
            slot[classic + at.SECONDS_SUM] += self._sum
            self._sum = 0.0


class Sizes:
    """Numbers of rows seen since the last `settle`, as `Times`."""

    def __init__(self, slot: memoryview[float], first: int) -> None:
        """Count for the histogram at an index of a worker's numbers."""
        self._slot = slot
        self._first = first
        self._counts = [0] * at.ROWS_SUM
        self._sum = 0

    def add(self, rows: int) -> None:
        """Note a number of rows."""
        self._counts[_ROWS_OF[rows] if rows < len(_ROWS_OF) else -1] += 1
        self._sum += rows

    def settle(self) -> None:
        """Add all to the worker's numbers."""
        for bucket, count in enumerate(self._counts):
            if count:
                self._counts[bucket] = 0
                self._slot[self._first + bucket] += count
        if self._sum:
            self._slot[self._first + at.ROWS_SUM] += self._sum
            self._sum = 0
