"""What the engine is fed: one interval with both arms' counts of every metric, per pod."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Cells = tuple[float, ...]
"""One pod's counts of one metric in one interval: the requests, then the bad ones for each cut.

A ratio has one cut. A histogram has one per finite edge: the requests above it.
"""


@dataclass(frozen=True, slots=True)
class MetricCounts:
    """Both arms' counts by pod. `edges` are a histogram's finite bucket edges in seconds."""

    canary: Mapping[str, Cells]
    stable: Mapping[str, Cells]
    edges: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Interval:
    """The interval that ends at `t`, instant number `tick` of the rollout's grid.

    `stage_started` is when the stage's share was reached. `settled` says that the canary's counts may be judged: the
    share has been in force for long enough. Pods that are still warming up are left out of `metrics`.
    """

    tick: int
    t: float
    stage: int = 0
    stage_started: float | None = None
    settled: bool = True
    metrics: Mapping[str, MetricCounts] = field(default_factory=dict)
    connections: float | None = None
    """Connections opened to canary pods, warm or not; None when no such counter is there."""
    opened: float = 0.0
    """Connections opened to pods of either revision within the interval; `carried`: the requests in it."""
    carried: float = 0.0
    canary_seen: bool = True
    """The canary has series at all."""
