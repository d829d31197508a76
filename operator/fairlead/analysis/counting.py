"""From the counts of an interval to the ones that each test of a metric looks at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, cast

from fairlead.analysis.evidence import Counts
from fairlead.analysis.intervals import WHOLE, MetricCounts
from fairlead.analysis.state import NO_REQUESTS, Metric, Process, Window
from fairlead.api.plan import PlanMetric

QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
"""The judged latency edges are the ones nearest to these quantiles."""
SKETCH = 100
"""Requests that the choice of the edges needs."""
_FINEST_SHIFT = 1
ALL = -1.0
"""Key of a sketch's whole number of requests; no edge is negative, and a native index is kept as itself."""

Cells = dict[str, list[float]]
"""By pod: requests, then the bad ones of each process."""


def prepare(metric: Metric, counts: MetricCounts, *, pooled: bool) -> None:
    """Fix what the metric's tests are: once, from the first counts that suffice.

    The edges of a histogram are chosen from both arms together (`pooled`) or, before a rollout, from stable alone.
    Given the pooled total of each bucket the choice says nothing of how it fell on the arms, so it may look at the
    very interval that is judged next.
    """
    if not metric.kind:
        metric.kind, metric.schema = counts.kind, counts.schema
    if metric.kind == "native" and counts.schema < metric.schema:
        _coarsen(metric, counts.schema)
    if metric.processes:
        return
    if metric.kind in ("ratio", "categorical"):
        metric.processes = [Process()]
        return
    _sketch(metric, counts, pooled=pooled)
    _choose(metric)


def fits(metric: Metric, counts: MetricCounts) -> bool:
    """Whether the counts can be judged together with those before: of the same kind, and with all judged edges."""
    if metric.kind != counts.kind:
        return False
    return metric.kind != "histogram" or _places(counts.edges, metric.cuts) is not None


def stable_cells(metric: Metric, counts: MetricCounts, events: frozenset[int] = frozenset()) -> Cells:
    """Stable's counts by pod."""
    return {pod: _cells(metric, counts, cells, events, 0) for pod, cells in counts.stable.items()}


def canary_window(
    metric: Metric, counts: MetricCounts, plan: PlanMetric, events: frozenset[int] = frozenset()
) -> Window:
    """The canary's counts; for native histograms at cuts as much further up as its latency may be above stable's."""
    if not counts.canary:
        return NO_REQUESTS
    if metric.kind != "native":
        return total(_cells(metric, counts, cells, events, 0) for cells in counts.canary.values())
    shifts = [
        shift(margin.slowdown, metric.schema) for margin in (plan.native_rollback, plan.native_promotion) if margin
    ]
    first, *rest = [
        total(_cells(metric, counts, cells, events, by) for cells in counts.canary.values()) for by in shifts or [0]
    ]
    return Window(first.n, first.bad, rest[0].bad if rest else ())


def total(pods: Iterable[list[float]]) -> Window:
    """All pods together."""
    rows = list(pods)
    if len(rows) == 1:
        row = rows[0]
        return Window(row[0], tuple(row[1:]))
    if not rows:
        return NO_REQUESTS
    n, *bad = (sum(column) for column in zip(*rows, strict=True))
    return Window(n, tuple(bad))


def column(cells: Mapping[str, list[float]], place: int) -> list[Counts]:
    """The counts of one process by pod, for pods that are told apart."""
    return [Counts(row[0], row[place + 1]) for pod, row in cells.items() if pod != WHOLE]


def shift(slowdown: float, schema: int) -> int:
    """Buckets that a factor of the latency is: at least one where it is above 1."""
    if slowdown <= 1.0:
        return 0
    return max(_FINEST_SHIFT, round(math.log2(slowdown) * 2.0**schema))


def boundary(index: float, schema: int) -> float:
    """Upper end of a native bucket in seconds."""
    return float(2.0 ** min(1023.0, index * 2.0**-schema))


def _cells(metric: Metric, counts: MetricCounts, cells: Any, events: frozenset[int], by: int) -> list[float]:
    match metric.kind:
        case "ratio":
            return [cells[0], cells[1]]
        case "histogram":
            return [cells[0], *(cells[place] for place in _places(counts.edges, metric.cuts) or ())]
        case "native":
            return _tails(coarser(cast("Mapping[int, float]", cells), counts.schema, metric.schema), metric.cuts, by)
        case _:
            tally = metric.witness.tally(cast("Mapping[str, float]", cells))
            return [sum(tally.values()), sum(count for key, count in tally.items() if key in events)]


@lru_cache(maxsize=64)
def _places(edges: tuple[float, ...], cuts: tuple[float, ...]) -> tuple[int, ...] | None:
    """Where a pod's counts have the judged edges; None when one of them is not there."""
    known = {edge: place for place, edge in enumerate(edges, start=1)}
    return tuple(known[cut] for cut in cuts) if set(cuts) <= known.keys() else None


def _tails(buckets: Mapping[int, float], cuts: tuple[float, ...], by: int) -> list[float]:
    return [
        sum(buckets.values()),
        *(sum(count for index, count in buckets.items() if index > cut + by) for cut in cuts),
    ]


def coarser(buckets: Mapping[int, float], schema: int, wanted: int) -> Mapping[int, float]:
    """A native histogram at a lower schema: each step down joins two neighbouring buckets."""
    steps = schema - wanted
    if steps <= 0:
        return buckets
    out: dict[int, float] = {}
    for index, count in buckets.items():
        # The zero bucket's index stays below every other one.
        joined = index if index < -(2**30) else -((-index) >> steps)
        out[joined] = out.get(joined, 0.0) + count
    return out


def _coarsen(metric: Metric, schema: int) -> None:
    """A pod counts in coarser buckets from now on: judge at that resolution; the evidence so far stands."""
    steps = metric.schema - schema
    metric.cuts = tuple(float(-((-int(cut)) >> steps)) for cut in metric.cuts)
    metric.sketch = {}
    metric.schema = schema


def _sketch(metric: Metric, counts: MetricCounts, *, pooled: bool) -> None:
    arms = [*counts.stable.values(), *(counts.canary.values() if pooled else ())]
    if metric.kind == "histogram":
        keys = (ALL, *counts.edges)
        if set(keys) != set(metric.sketch):
            metric.sketch = dict.fromkeys(keys, 0.0)
        for cells in arms:
            for key, value in zip(keys, cast("tuple[float, ...]", cells), strict=True):
                metric.sketch[key] += value
        return
    for cells in arms:
        for index, count in coarser(cast("Mapping[int, float]", cells), counts.schema, metric.schema).items():
            metric.sketch[index] = metric.sketch.get(index, 0.0) + count


def _choose(metric: Metric) -> None:
    """Take the cuts whose tails are nearest to the quantiles' ones, on the logarithmic scale."""
    if metric.kind == "histogram":
        n = metric.sketch.get(ALL, 0.0)
        above = {edge: count for edge, count in metric.sketch.items() if edge != ALL}
    else:
        n = sum(metric.sketch.values())
        above, rest = {}, n
        for index in sorted(metric.sketch):
            rest -= metric.sketch[index]
            above[index] = rest
    if n < SKETCH or not above:
        return
    tails = {cut: min(n - 0.5, max(0.5, count)) / n for cut, count in above.items()}
    chosen = {min(tails, key=lambda cut: (abs(math.log(tails[cut] / (1 - q))), cut)) for q in QUANTILES}
    metric.cuts, metric.sketch = tuple(sorted(chosen)), {}
    metric.processes = [Process() for _ in metric.cuts]
