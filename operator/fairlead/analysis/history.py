"""Intervals from before the rollout, for what has to be known of stable when judging begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fairlead.analysis import arms, clumping, counters
from fairlead.analysis.counters import PodCounters, Seen
from fairlead.analysis.intervals import Interval
from fairlead.api.plan import AnalysisPlan

BLOCKS = 10
MOST = 120


def ticks(plan: AnalysisPlan) -> int:
    """How many intervals to look back: ten blocks, as far as that is affordable."""
    return min(MOST, BLOCKS * clumping.block_ticks(plan))


def intervals(
    window: Sequence[tuple[float, Seen]],
    start: float,
    plan: AnalysisPlan,
    stable: Callable[[str, PodCounters, float], bool],
) -> list[Interval]:
    """The intervals between the instants of a window; `stable` admits a pod for one that begins at a time."""
    out = []
    before: tuple[int, Seen] | None = None
    for t, now in window:
        tick = round((t - start) / plan.interval)
        if not now.pods:
            continue
        if before is not None and before[0] == tick - 1:
            begin = t - plan.interval
            opened, carried = counters.traffic(counters.increments(before[1].pods, now.pods))
            metrics, _ = arms.counted(
                [metric for metric in plan.metrics if metric.name not in arms.LATE],
                before[1],
                now,
                lambda _pod, _own: False,
                lambda pod, own, begin=begin: stable(pod, own, begin),  # type: ignore[misc]
            )
            out.append(Interval(tick - MOST - 1, t, settled=False, metrics=metrics, opened=opened, carried=carried))
        before = tick, now
    return out
