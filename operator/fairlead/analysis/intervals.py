"""What the engine is fed: one interval with both arms' counts of every metric, per pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["ratio", "histogram", "native", "categorical"]

Cells = tuple[float, ...] | Mapping[int, float] | Mapping[str, float]
"""One pod's counts of one metric in one interval.

ratio        (n, k): how many there were, and how many of them were bad
histogram    (n, above the first edge, above the second, …)
native       count by bucket index; the zero bucket is ZERO_BUCKET
categorical  count by class
"""

ZERO_BUCKET = -(2**31)
"""Index of a native histogram's zero bucket: below every other one."""

WHOLE = ""
"""The pod's name where an arm was counted as a whole, so that nothing is known of its pods."""


@dataclass(frozen=True, slots=True)
class MetricCounts:
    """Both arms' counts by pod; an arm without data is empty.

    `edges` are a classic histogram's finite bucket edges in seconds; `schema` is a native one's: bucket i ends at
    2^(i · 2^−schema) seconds.
    """

    canary: Mapping[str, Cells]
    stable: Mapping[str, Cells]
    kind: Kind = "ratio"
    edges: tuple[float, ...] = ()
    schema: int = 0


@dataclass(slots=True)  # not frozen: one is made for every interval of thousands of simulated rollouts
class Interval:
    """The interval that ends at `t`, instant number `tick` of the rollout's grid.

    `settled` says that the canary's counts may be judged: the share has been in force for long enough. Pods that are
    still warming up are left out of `metrics`. A metric that is not there had no data.
    """

    tick: int
    t: float
    stage: int = 0
    settled: bool = True
    metrics: Mapping[str, MetricCounts] = field(default_factory=dict)
    late: Mapping[str, MetricCounts] = field(default_factory=dict)
    """Ground truth that became known within the interval, by metric, for requests of any earlier time."""
    share: float | None = None
    """The share of the requests that the canary should have had, between 0 and 1; None where that is not known."""
    connections: float | None = None
    """Connections opened to canary pods, warm or not; None when no such counter is there."""
    opened: float = 0.0
    """Connections opened to pods of either revision within the interval; `carried`: the requests in it."""
    carried: float = 0.0
    opened_canary: float | None = None
    """Those of them that were opened to the canary; None where that is not known."""
    canary_seen: bool = True
    """The canary has series at all."""
    acted: tuple[str, ...] = ()
    """Rules that already acted on the counts: warm-up, counter-reset."""
