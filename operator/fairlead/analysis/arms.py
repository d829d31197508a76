"""Both arms' counts of every metric, from the increments of their pods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from fairlead.analysis import native
from fairlead.analysis.counters import (
    BUCKETS,
    DURATION,
    FEEDBACK,
    INF,
    INPUTS,
    LATENCY,
    OUTCOMES,
    PREDICTIONS,
    REQUESTS,
    SCORES,
    PodCounters,
    Seen,
    Snapshot,
    increments,
)
from fairlead.analysis.intervals import Cells, MetricCounts
from fairlead.api.plan import PlanMetric

BAD, TOTAL = "bad", "total"
"""What the two counters of a user's own ratio are called in a snapshot."""

LATE = frozenset({"accuracy"})
"""Metrics whose truth becomes known long after the request."""

Admits = Callable[[str, PodCounters], bool]
Arm = Mapping[str, PodCounters]
"""The increments of one arm's pods."""


def series(metric: str) -> tuple[str, ...]:
    """The raw series that a built-in metric is counted from; none for any other."""
    return _SERIES.get(metric, ())


def counted(
    metrics: Iterable[PlanMetric], before: Seen, now: Seen, canary: Admits, stable: Admits
) -> tuple[dict[str, MetricCounts], list[str]]:
    """Both arms' counts of the metrics from the pods that the two functions admit, and what is wrong with them.

    Pods without a metric are left out, and so is a metric that no pod has.
    """
    grown = increments(before.pods, now.pods)
    found: dict[str, MetricCounts] = {}
    complaints: list[str] = []
    for metric in metrics:
        if metric.ratio is not None:
            own = increments(before.own.get(metric.name, {}), now.own.get(metric.name, {}))
            counts, excess = _own_ratio(*(_arm(own, admits, (TOTAL,)) for admits in (canary, stable)))
            if excess and not metric.dry_run:
                complaints.append(f"metric {metric.name}: {excess}")
        elif metric.name in _COUNTED:
            first, second = (_arm(grown, admits, _SERIES[metric.name]) for admits in (canary, stable))
            counts = _COUNTED[metric.name](first, second)
        else:
            continue
        if counts.canary or counts.stable:
            found[metric.name] = counts
    return found, complaints


def _own_ratio(canary: Arm, stable: Arm) -> tuple[MetricCounts, str]:
    for pod, own in {**canary, **stable}.items():
        if own.get(BAD) > own.get(TOTAL):
            return MetricCounts({}, {}), f"pod {pod} counted {own.get(BAD):g} bad of {own.get(TOTAL):g} in all"
    return _each(lambda own: (own.get(TOTAL), own.get(BAD)), canary, stable), ""


def _arm(grown: Snapshot, admits: Admits, names: tuple[str, ...]) -> Arm:
    return {pod: own for pod, own in grown.items() if own.has(*names) and admits(pod, own)}


def _each(cells: Callable[[PodCounters], Cells], canary: Arm, stable: Arm) -> MetricCounts:
    first, second = ({pod: cells(own) for pod, own in arm.items()} for arm in (canary, stable))
    return MetricCounts(first, second)


def _errors(canary: Arm, stable: Arm) -> MetricCounts:
    """Failures among the requests that were well formed: a client's mistake is no attempt of the model's.

    What an overloaded server turns away has failed as well, for whoever asked.
    """

    def cells(own: PodCounters) -> Cells:
        bad = own.get(REQUESTS, "server_error") + own.get(REQUESTS, "rejected")
        return own.get(REQUESTS, "success") + bad, bad

    return _each(cells, canary, stable)


def _client_errors(canary: Arm, stable: Arm) -> MetricCounts:
    def cells(own: PodCounters) -> Cells:
        return sum(own.get(REQUESTS, outcome) for outcome in OUTCOMES), own.get(REQUESTS, "client_error")

    return _each(cells, canary, stable)


def _accuracy(canary: Arm, stable: Arm) -> MetricCounts:
    def cells(own: PodCounters) -> Cells:
        wrong = own.get(FEEDBACK, "wrong")
        return own.get(FEEDBACK, "right") + wrong, wrong

    return _each(cells, canary, stable)


def _latency(canary: Arm, stable: Arm) -> MetricCounts:
    """Native buckets where every pod has them, since those are finer; else the classic ones that all pods have."""
    pods = [*canary.values(), *stable.values()]
    for name in (LATENCY, DURATION):
        if pods and all(name in own.histograms for own in pods):
            return _native(name, canary, stable)
    first, second = ({pod: own for pod, own in arm.items() if own.has(BUCKETS)} for arm in (canary, stable))
    edges = _common_edges([*first.values(), *second.values()], BUCKETS)

    def cells(own: PodCounters) -> Cells:
        n = own.get(BUCKETS, INF)
        return n, *(min(n, max(0.0, n - own.get(BUCKETS, edge))) for edge in edges)

    counts = _each(cells, first, second)
    return MetricCounts(counts.canary, counts.stable, "histogram", edges)


def _native(name: str, canary: Arm, stable: Arm) -> MetricCounts:
    arms = [{pod: own.histograms[name] for pod, own in arm.items()} for arm in (canary, stable)]
    schema, zero = native.alike(histogram for arm in arms for histogram in arm.values())
    first, second = (
        {pod: native.at(histogram, schema, zero).buckets for pod, histogram in arm.items()} for arm in arms
    )
    return MetricCounts(first, second, "native", schema=schema or 0)


def _classes(metric: str) -> Callable[[Arm, Arm], MetricCounts]:
    def cells(own: PodCounters) -> Cells:
        return {str(label): value for label, value in own.values[metric].items() if value > 0}

    def both(canary: Arm, stable: Arm) -> MetricCounts:
        counts = _each(cells, canary, stable)
        return MetricCounts(counts.canary, counts.stable, "categorical")

    return both


def _scores(canary: Arm, stable: Arm) -> MetricCounts:
    """Each bucket between edges that all pods have is a class, named by its upper edge."""
    edges = (*_common_edges([*canary.values(), *stable.values()], SCORES), INF)

    def cells(own: PodCounters) -> Cells:
        below, out = 0.0, {}
        for edge in edges:
            value = own.get(SCORES, edge)
            if value > below:
                out["+Inf" if edge == INF else f"{edge:g}"], below = value - below, value
        return out

    counts = _each(cells, canary, stable)
    return MetricCounts(counts.canary, counts.stable, "categorical")


def _common_edges(pods: list[PodCounters], metric: str) -> tuple[float, ...]:
    """The finite edges that every pod has."""
    sets = [set(own.values[metric]) for own in pods]
    shared = set.intersection(*sets) if sets else set()
    return tuple(sorted(edge for edge in shared if isinstance(edge, float) and edge != INF))


_SERIES: Mapping[str, tuple[str, ...]] = {
    "error-rate": (REQUESTS,),
    "client-error-rate": (REQUESTS,),
    "latency": (BUCKETS, LATENCY, DURATION),
    "prediction-distribution": (PREDICTIONS,),
    "score-distribution": (SCORES,),
    "input-distribution": (INPUTS,),
    "accuracy": (FEEDBACK,),
}
_COUNTED: Mapping[str, Callable[[Arm, Arm], MetricCounts]] = {
    "error-rate": _errors,
    "client-error-rate": _client_errors,
    "latency": _latency,
    "prediction-distribution": _classes(PREDICTIONS),
    "score-distribution": _scores,
    "input-distribution": _classes(INPUTS),
    "accuracy": _accuracy,
}
