"""What the judge needs of a metric store, and how asking it can fail.

MetricError
├── ProviderError   nobody answered, or not in time: ask again later
│   └── RestingError   not even asked, since it failed too often just now
└── QueryError      asked, and refused: a person has to mend something
    └── AmbiguousError   answered, but the series cannot mean one thing; at that instant they never will
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fairlead.analysis.native import Histogram


class MetricError(Exception):
    """The metrics could not be had; the text is a sentence for people."""


class ProviderError(MetricError):
    """The metric store is unreachable, too slow or broken."""


class RestingError(ProviderError):
    """The metric store failed several times in a row and is left alone for a while."""


class QueryError(MetricError):
    """The question was refused, or the answer cannot mean one thing."""


class AmbiguousError(QueryError):
    """The series of one instant contradict each other. Asking for the same instant again is of no use."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One series' value at the instant asked for; for a native histogram that is its count.

    A bare number, which has no series, has no labels.
    """

    labels: Mapping[str, str]
    value: float
    histogram: Histogram | None = None


Instant = tuple[float, Sequence[Sample]]
"""An instant (epoch seconds) and every series' value at it."""


class MetricSource(Protocol):
    """A store of raw counters. Empty answers mean no data; both methods raise MetricError only."""

    async def instant(self, query: str, at: float) -> Sequence[Sample]:
        """Every series' last value at `at` (epoch seconds)."""
        ...

    async def window(self, query: str, start: float, end: float, step: float) -> Sequence[Instant]:
        """Every series' last value at each instant of a window, in order of time."""
        ...
