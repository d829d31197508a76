"""From raw counters per pod to what happened between two instants.

Increments are differences of raw values, never PromQL's `increase()`, which extrapolates. A pod whose counters
went down was restarted: its new values are the increments. A pod that was not seen at the earlier instant gives
nothing, since it is not known when its requests came; neither does one that is gone at the later instant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from fairlead.analysis.intervals import Cells, MetricCounts
from fairlead.analysis.source import AmbiguousError, Sample

REQUESTS = "fairlead_requests_total"
BUCKETS = "fairlead_request_duration_seconds_bucket"
CONNECTIONS = "fairlead_connections_opened_total"

INF = float("inf")
_LABEL = {REQUESTS: "outcome", BUCKETS: "le"}


@dataclass(frozen=True, slots=True)
class PodCounters:
    """One pod's counters at one instant, or their increments: by (metric, outcome or bucket edge)."""

    revision: str
    values: Mapping[tuple[str, str | float], float] = field(default_factory=dict)

    def get(self, metric: str, label: str | float = "") -> float:
        """The value, 0 when there is no such series."""
        return self.values.get((metric, label), 0.0)


Snapshot = Mapping[str, PodCounters]
"""All pods' counters at one instant, by pod name."""


def snapshot(samples: Iterable[Sample]) -> Snapshot:
    """Sort the answer by pod. Raises AmbiguousError when a series has no pod or two series are one counter."""
    revisions: dict[str, str] = {}
    values: dict[str, dict[tuple[str, str | float], float]] = {}
    for sample in samples:
        labels = sample.labels
        if not sample.value >= 0 or sample.value == INF:  # NaN too: no such count exists
            continue
        name, pod, revision = labels.get("__name__", ""), labels.get("pod", ""), labels.get("revision", "")
        if not pod:
            message = f"{name} has no pod label: let the scrape configuration add namespace and pod"
            raise AmbiguousError(message)
        own = values.setdefault(pod, {})
        key = (name, _label(name, labels))
        if key in own or revisions.setdefault(pod, revision) != revision:
            message = f"there are two series of {name} for pod {pod}: is it scraped by two jobs?"
            raise AmbiguousError(message)
        own[key] = sample.value
    return {pod: PodCounters(revisions[pod], own) for pod, own in values.items()}


def increments(before: Snapshot, now: Snapshot) -> Snapshot:
    """What each pod that is in both snapshots counted in between."""
    return {pod: _grown(before[pod], later) for pod, later in now.items() if pod in before}


def counted(
    grown: Snapshot, canary: Callable[[str, PodCounters], bool], stable: Callable[[str, PodCounters], bool]
) -> dict[str, MetricCounts]:
    """Both arms' counts of every metric from the increments of the pods that the two functions admit."""
    first = {pod: own for pod, own in grown.items() if canary(pod, own)}
    second = {pod: own for pod, own in grown.items() if stable(pod, own)}
    edges = _common_edges([*first.values(), *second.values()])

    def metric(cells: Callable[[PodCounters], Cells], edges: tuple[float, ...] = ()) -> MetricCounts:
        both = [{pod: cells(own) for pod, own in arm.items()} for arm in (first, second)]
        return MetricCounts(both[0], both[1], edges)

    return {
        "error-rate": metric(_errors),
        "client-error-rate": metric(_client_errors),
        "latency": metric(lambda own: _tails(own, edges), edges),
    }


def requests(own: PodCounters) -> float:
    """All inference requests."""
    return sum(own.get(REQUESTS, outcome) for outcome in ("success", "client_error", "server_error"))


def traffic(grown: Snapshot) -> tuple[float, float]:
    """Connections opened and requests counted by all pods together."""
    return sum(own.get(CONNECTIONS) for own in grown.values()), sum(requests(own) for own in grown.values())


def _errors(own: PodCounters) -> Cells:
    """Server errors among the requests that were well formed: a client's mistake is no attempt of the model's."""
    bad = own.get(REQUESTS, "server_error")
    return own.get(REQUESTS, "success") + bad, bad


def _client_errors(own: PodCounters) -> Cells:
    return requests(own), own.get(REQUESTS, "client_error")


def _tails(own: PodCounters, edges: tuple[float, ...]) -> Cells:
    n = own.get(BUCKETS, INF)
    return n, *(min(n, max(0.0, n - own.get(BUCKETS, edge))) for edge in edges)


def _common_edges(pods: list[PodCounters]) -> tuple[float, ...]:
    """The finite edges that every pod with a histogram has."""
    sets = [{key[1] for key in own.values if key[0] == BUCKETS} for own in pods]
    shared = set.intersection(*filter(None, sets)) if any(sets) else set()
    return tuple(sorted(edge for edge in shared if isinstance(edge, float) and edge != INF))


def _grown(before: PodCounters, now: PodCounters) -> PodCounters:
    """A series that the pod did not have yet began at 0, or the first errors of a pod would be lost."""
    restarted = any(now.values.get(key, old) < old for key, old in before.values.items())
    old = {} if restarted else before.values
    return PodCounters(now.revision, {key: value - old.get(key, 0.0) for key, value in now.values.items()})


def _label(name: str, labels: Mapping[str, str]) -> str | float:
    text = labels.get(_LABEL.get(name, ""), "")
    if name != BUCKETS:
        return text
    try:
        return float(text)
    except ValueError as error:
        message = f"{name} has the bucket edge {text!r}, which is not a number"
        raise AmbiguousError(message) from error
