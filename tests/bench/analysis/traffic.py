"""Traffic over connections that kube-proxy spreads on pods, and the Prometheus that scrapes those pods.

Every client opens a connection, which goes to any ready pod by chance and stays there for at most so many requests or
seconds. Each pod is scraped at its own phase. What the store answers is what Prometheus would: the last scraped value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fairlead.analysis.source import Sample

EDGES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
OUTCOMES = ("success", "client_error", "server_error")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Version:
    """How one version answers: share of server errors, and latency as a lognormal in seconds."""

    errors: float = 0.0
    client_errors: float = 0.0
    median: float = 0.004
    sigma: float = 0.5
    slow_share: float = 0.0
    """Share of requests that take `slow_by` seconds longer."""
    slow_by: float = 0.05


@dataclass(frozen=True)
class Load:
    """The clients: requests a second in all, number of connections at a time, and when a connection ends."""

    rate: float = 200.0
    clients: int = 32
    requests_per_connection: int = 10
    connection_age: float = 5.0
    unlike: float = 0.0
    """Spread (of a lognormal) of the clients' own error shares and latencies."""
    outages: Sequence[tuple[float, float, float]] = ()
    """(start, end, share of errors) that hit all pods alike."""
    stalls: float = 0.0
    """Pod-wide pauses a second; each makes all requests of the pod slow for 0.2 s."""
    pod_spread: float = 0.0
    """Spread (of a lognormal) of the pods' own speeds, for as long as they live."""


@dataclass
class Pod:
    """One pod: its revision, from when on it gets connections, when it is scraped."""

    name: str
    revision: str
    version: Version
    ready: float
    phase: float
    times: Floats = field(default_factory=lambda: np.empty(0))
    outcome: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    bucket: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    opened: Floats = field(default_factory=lambda: np.empty(0))


def drive(pods: Sequence[Pod], load: Load, start: float, end: float, random: np.random.Generator) -> None:
    """Send the load to the pods from `start` to `end` (epoch seconds)."""
    parts: list[tuple[Floats, NDArray[np.int64], Floats]] = []
    opened: list[tuple[Floats, NDArray[np.int64]]] = []
    factors = random.lognormal(-(load.unlike**2) / 2, load.unlike, load.clients)
    for client in range(load.clients):
        times = _client_times(load, start, end, random)
        connection, begin = _connections(times, load)
        to = _spread(pods, begin, random)
        parts.append((times, to[connection], np.full(times.shape, factors[client])))
        opened.append((begin, to))
    times, to, factor = (np.concatenate(column) for column in zip(*parts, strict=True))
    starts, targets = (np.concatenate(column) for column in zip(*opened, strict=True))
    for i, pod in enumerate(pods):
        own = np.flatnonzero(to == i)
        own = own[np.argsort(times[own])]
        pod.times, pod.opened = times[own], np.sort(starts[targets == i])
        _answer(pod, factor[own], load, (start, end), random)


def _client_times(load: Load, start: float, end: float, random: np.random.Generator) -> Floats:
    gap = load.clients / load.rate
    gaps = random.uniform(0.5 * gap, 1.5 * gap, int((end - start) / gap) + 1)
    times = start + np.cumsum(gaps)
    return times[times < end]


def _connections(times: Floats, load: Load) -> tuple[NDArray[np.int64], Floats]:
    """The number of each request's connection, and when each connection was opened."""
    number, begin, used = np.zeros(times.shape, np.int64), [times[0]], 0
    for i, t in enumerate(times):
        if used >= load.requests_per_connection or t - begin[-1] >= load.connection_age:
            begin.append(t)
            used = 0
        number[i], used = len(begin) - 1, used + 1
    return number, np.array(begin)


def _spread(pods: Sequence[Pod], begin: Floats, random: np.random.Generator) -> NDArray[np.int64]:
    """The pod of each connection: any that is ready, by chance."""
    draw = random.random((len(begin), len(pods)))
    draw[np.array([pod.ready for pod in pods])[None, :] > begin[:, None]] = -1
    chosen: NDArray[np.int64] = np.argmax(draw, axis=1)
    return chosen


def _answer(pod: Pod, factor: Floats, load: Load, span: tuple[float, float], random: np.random.Generator) -> None:
    n, version = len(pod.times), pod.version
    errors = version.errors * factor
    for begin, end, share in load.outages:
        errors = np.where((pod.times >= begin) & (pod.times < end), np.maximum(errors, share), errors)
    draw = random.random(n)
    failed, refused = draw < errors, draw > 1 - version.client_errors * factor
    pod.outcome = np.where(failed, 2, np.where(refused, 1, 0))
    speed = random.lognormal(0.0, load.pod_spread)
    seconds = random.lognormal(np.log(version.median), version.sigma, n) * factor**0.5 * speed
    seconds += np.where(random.random(n) < version.slow_share, version.slow_by, 0.0)
    stalls = np.sort(random.uniform(*span, random.poisson(load.stalls * (span[1] - span[0]))))
    if len(stalls):
        near = np.searchsorted(stalls, pod.times) - 1
        hit = (near >= 0) & (pod.times - stalls[np.maximum(near, 0)] < 0.2)
        seconds += np.where(hit, 0.2 - (pod.times - stalls[np.maximum(near, 0)]), 0.0)
    pod.bucket = np.searchsorted(np.array(EDGES), seconds)


@dataclass
class Store:
    """A MetricSource that answers from the pods' scrapes."""

    pods: Sequence[Pod]
    scrape: float = 5.0
    down: Sequence[tuple[float, float]] = ()
    """Times in which nothing was scraped."""

    async def instant(self, query: str, at: float) -> list[Sample]:
        """All counters at an instant."""
        del query
        return [sample for pod in self.pods for sample in self._pod(pod, at)]

    async def window(self, query: str, start: float, end: float, step: float) -> list[tuple[float, list[Sample]]]:
        """All counters at the instants of a window."""
        instants = np.arange(start, end + 1e-6, step)
        return [(float(t), await self.instant(query, float(t))) for t in instants]

    def _pod(self, pod: Pod, at: float) -> list[Sample]:
        scraped = pod.phase + np.floor((at - pod.phase) / self.scrape) * self.scrape
        while any(begin <= scraped < end for begin, end in self.down):
            scraped -= self.scrape
        if scraped < pod.ready:
            return []
        n = int(np.searchsorted(pod.times, scraped))
        labels = {"pod": pod.name, "revision": pod.revision}
        outcomes = np.bincount(pod.outcome[:n], minlength=3)
        buckets = np.cumsum(np.bincount(pod.bucket[:n], minlength=len(EDGES) + 1))
        name = "fairlead_requests_total"
        out = [
            Sample({"__name__": name, "outcome": o, **labels}, float(c))
            for o, c in zip(OUTCOMES, outcomes, strict=True)
        ]
        name = "fairlead_request_duration_seconds_bucket"
        edges = [*map(str, EDGES), "+Inf"]
        out += [Sample({"__name__": name, "le": le, **labels}, float(c)) for le, c in zip(edges, buckets, strict=True)]
        opened = float(np.searchsorted(pod.opened, scraped))
        return [*out, Sample({"__name__": "fairlead_connections_opened_total", **labels}, opened)]
