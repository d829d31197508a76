"""Traffic of a cell: counts of both arms in every interval of many rollouts, drawn from one seeded generator."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tests.bench.analysis import connections
from tests.bench.analysis.cells import COLD, PROVING, SHARES, Cell

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Random = np.random.Generator

HISTORY = 10
"""Intervals before the rollout that are known of stable."""
CLASSIC = np.array([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
"""Bucket edges in seconds, the client libraries' default."""
SCHEMA, LOWEST, HIGHEST = 3, -48, 48
NATIVE = 2.0 ** (np.arange(LOWEST, HIGHEST + 1) / 2**SCHEMA)
"""Upper ends of the native buckets that are used, in seconds."""
MEDIAN, SIGMA = 0.08, float(np.log(0.4 / 0.08)) / 2.3263478740408408
"""Latency: a lognormal with a median of 80 ms and a 99 % quantile of 400 ms."""
CLASSES = 10
OUTAGE, OUTAGE_FACTOR = 120.0, 10.0
"""Length of a shared outage in seconds, and the factor on the error shares in it."""


@dataclass(frozen=True)
class Arm:
    """Counts by rollout, interval and pod; the last axis is (n, k), or one cell for each bucket or class."""

    pods: Ints

    @property
    def total(self) -> Ints:
        """The pods together: rollout, interval, cell."""
        summed: Ints = self.pods.sum(axis=2)
        return summed


@dataclass(frozen=True)
class Traffic:
    """What both arms got; the first HISTORY intervals lie before the rollout and have no canary."""

    canary: Arm
    stable: Arm
    weight: Floats
    """The canary's share of the requests in each interval after the history, in per cent."""

    @property
    def judged(self) -> tuple[Ints, Ints]:
        """Canary's and stable's totals without the history."""
        return self.canary.total[:, HISTORY:], self.stable.total[:, HISTORY:]


def weights(cell: Cell) -> Floats:
    """The canary's weight in each interval, in per cent."""
    if cell.clients:
        return np.full(round(cell.length / cell.tick), 100.0 / (cell.pods + 1))
    if cell.goal in ("prove", "unproven"):
        return np.full(round(cell.length / cell.tick), float(PROVING))
    starts = np.arange(round(cell.length / cell.tick)) * cell.tick
    ends = np.cumsum([seconds for _, seconds in SHARES])
    place = np.minimum(np.searchsorted(ends, starts, side="right"), len(SHARES) - 1)
    return np.array([float(share) for share, _ in SHARES])[place]


def traffic(cell: Cell, runs: int, seed: int) -> Traffic:
    """Draw `runs` rollouts of the cell."""
    random = np.random.default_rng(seed)
    if cell.clients:
        canary, stable = connections.draw(cell, HISTORY, runs, random)
        return Traffic(Arm(canary), Arm(stable), weights(cell))
    share = np.concatenate((np.zeros(HISTORY), weights(cell) / 100))
    if cell.kind == "ratio":
        return _ratios(cell, share, runs, random)
    requests = np.full((runs, len(share)), round(cell.rate * cell.tick))
    n_c = random.binomial(requests, share)
    even, good, bad = cell_shares(cell)
    late = np.arange(len(share)) >= HISTORY + cell.onset
    canary_shares = np.where(late[:, None], bad, good)
    return Traffic(
        Arm(random.multinomial(n_c, canary_shares)[:, :, None, :]),
        Arm(random.multinomial(requests - n_c, even)[:, :, None, :]),
        weights(cell),
    )


def cell_shares(cell: Cell) -> tuple[Floats, Floats, Floats]:
    """Shares by bucket or class of stable, of a canary like it, and of the worse one."""
    if cell.kind == "categorical":
        even = np.full(CLASSES, 1 / CLASSES)
        return even, even, shifted_deciles(cell.shift)
    edges = CLASSIC if cell.kind == "histogram" else NATIVE
    like, worse = _bucket_shares(edges, 1.0, 1.0), _bucket_shares(edges, cell.worse, cell.tail)
    return like, like, worse


def _bucket_shares(edges: Floats, factor: float, tail: float) -> Floats:
    """The lognormal's shares by bucket, values above p90 stretched by `factor`, those above p99 by `tail`."""
    normal = NormalDist()
    above = np.array([_above(float(edge), normal) for edge in edges])
    for quantile, stretch in ((0.9, factor), (0.99, tail)):
        if stretch == 1.0:
            continue
        start = MEDIAN * np.exp(SIGMA * normal.inv_cdf(quantile))
        moved = np.array([_above(float(edge) / stretch, normal) for edge in edges])
        above = np.where(edges < start, above, np.where(edges < start * stretch, 1 - quantile, moved))
    return -np.diff(np.concatenate(([1.0], above, [0.0])))


def _above(seconds: float, normal: NormalDist) -> float:
    return 1 - normal.cdf(np.log(seconds / MEDIAN) / SIGMA)


def shifted_deciles(index: float) -> Floats:
    """Shares of the standard normal's deciles after a shift of the mean that gives this stability index."""
    normal = NormalDist()
    edges = [normal.inv_cdf(i / CLASSES) for i in range(1, CLASSES)]

    def shares(shift: float) -> Floats:
        return np.diff([0.0, *(normal.cdf(edge - shift) for edge in edges), 1.0])

    low, high = 0.0, 3.0
    for _ in range(60):
        middle = (low + high) / 2
        p = shares(middle)
        if float(((p - 1 / CLASSES) * np.log(p * CLASSES)).sum()) < index:
            low = middle
        else:
            high = middle
    return shares(low)


def _ratios(cell: Cell, share: Floats, runs: int, random: Random) -> Traffic:
    """Error counts: by pods where the cell has them, on a finer grid where the arms are scraped apart."""
    parts = 3 if cell.offset else 1
    steps = len(share) * parts
    base = np.full((runs, steps), cell.base)
    if cell.shocks:
        base = np.minimum(base * _shocks(cell, steps, HISTORY * parts, runs, random), 0.9)
    late = np.arange(steps) >= (HISTORY + cell.onset) * parts
    worse = np.where(late, np.minimum(cell.worse * base + cell.more, 0.95), base)
    first = HISTORY * parts
    worse[:, first : first + round(cell.cold / cell.tick * parts)] *= COLD
    requests = random.binomial(round(cell.rate * cell.tick / parts), np.repeat(share, parts), (runs, steps))
    rest = round(cell.rate * cell.tick / parts) - requests
    canary = _pods(cell, requests, worse, 1, random)
    stable = _pods(cell, rest, base, max(1, cell.pods), random)
    if parts > 1:
        canary, stable = _apart(canary, round(cell.offset / cell.tick * parts), parts), _apart(stable, 0, parts)
    return Traffic(Arm(canary), Arm(stable), weights(cell))


def _pods(cell: Cell, requests: Ints, share: Floats, pods: int, random: Random) -> Ints:
    """Requests and errors by pod: (runs, steps, pods, 2)."""
    n = random.multinomial(requests, np.full(pods, 1 / pods))
    own = random.lognormal(0.0, cell.spread, (len(n), 1, pods)) if cell.spread else np.ones(1)
    p = np.minimum(share[:, :, None] * own, 1.0)
    if cell.burst == 1.0:
        return np.stack((n, random.binomial(n, p)), axis=-1)
    clusters = random.poisson(n * p / cell.burst)
    more = random.negative_binomial(np.maximum(clusters, 1), 1 / cell.burst)
    return np.stack((n, np.minimum(n, clusters + np.where(clusters > 0, more, 0))), axis=-1)


def _shocks(cell: Cell, steps: int, first: int, runs: int, random: Random) -> Floats:
    """Factors on the baseline: a slow drift, and one outage somewhere in the rollout."""
    drift = np.empty((runs, steps))
    drift[:, 0] = random.normal(0.0, 0.3, runs)
    keep = 0.9 if not cell.offset else 0.99
    noise = random.normal(0.0, 0.3 * np.sqrt(1 - keep**2), (runs, steps))
    for i in range(1, steps):
        drift[:, i] = keep * drift[:, i - 1] + noise[:, i]
    length = max(1, round(OUTAGE / cell.tick * (3 if cell.offset else 1)))
    begin = random.integers(first, steps - length, runs)[:, None]
    at = np.arange(steps)[None, :]
    return np.exp(drift) * np.where((at >= begin) & (at < begin + length), OUTAGE_FACTOR, 1.0)


def _apart(fine: Ints, late: int, parts: int) -> Ints:
    """Sums of `parts` steps each, read `late` steps after the interval's end."""
    moved = np.roll(fine, -late, axis=1)
    if late:
        moved[:, -late:] = 0
    runs, steps, pods, cells = fine.shape
    summed: Ints = moved.reshape(runs, steps // parts, parts, pods, cells).sum(axis=2)
    return summed
