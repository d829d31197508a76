"""Intervals from before the rollout, for what has to be known of stable when judging begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fairlead.analysis import counters, engine
from fairlead.analysis.counters import PodCounters
from fairlead.analysis.intervals import Interval
from fairlead.analysis.source import AmbiguousError, Instant
from fairlead.api.plan import AnalysisPlan

BLOCKS = 10
MOST = 120


def ticks(plan: AnalysisPlan) -> int:
    """How many intervals to look back: ten blocks, as far as that is affordable."""
    return min(MOST, BLOCKS * engine.block_ticks(plan))


def intervals(
    window: Sequence[Instant],
    start: float,
    step: float,
    stable: Callable[[str, PodCounters, float], bool],
) -> list[Interval]:
    """The intervals between the instants of a window; `stable` admits a pod for one that begins at a time."""
    out = []
    before: tuple[int, counters.Snapshot] | None = None
    for t, samples in window:
        tick = round((t - start) / step)
        try:
            now = counters.snapshot(samples)
        except AmbiguousError:
            continue
        if before is not None and before[0] == tick - 1:
            begin = t - step
            grown = counters.increments(before[1], now)
            opened, carried = counters.traffic(grown)
            metrics = counters.counted(
                grown,
                lambda _pod, _own: False,
                lambda pod, own, begin=begin: stable(pod, own, begin),  # type: ignore[misc]
            )
            out.append(Interval(tick - MOST - 1, t, settled=False, metrics=metrics, opened=opened, carried=carried))
        before = tick, now
    return out
