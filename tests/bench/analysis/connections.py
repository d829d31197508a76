"""Requests over few connections, each to one pod for as long as it lives, from clients unlike each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.bench.analysis.cells import Cell

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

AGE = 20.0
"""Seconds that a connection lives at most; it ends up to a fifth earlier."""
UNLIKE = 1.5
"""Standard deviation of the logarithm of the clients' own error shares."""


def draw(cell: Cell, history: int, runs: int, random: np.random.Generator) -> tuple[Ints, Ints]:
    """Canary's and stable's counts: (runs, intervals, pods, (n, k)). The canary is one pod, there from instant 0 on."""
    ticks = history + round(cell.length / cell.tick)
    shape = (runs, ticks, cell.pods + 1)
    n, k = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for _ in range(cell.clients):
        _client(cell, history, (n, k), random)
    counts = np.stack((n, k), axis=-1)
    return counts[:, :, -1:], counts[:, :, :-1]


def _client(cell: Cell, history: int, counts: tuple[Ints, Ints], random: np.random.Generator) -> None:
    """Add one client's requests, in every rollout."""
    n, k = counts
    runs, ticks, pods = n.shape
    own = cell.base * random.lognormal(-(UNLIKE**2) / 2, UNLIKE, runs)
    end = ticks * cell.tick
    lives = random.uniform(0.8 * AGE, AGE, (runs, int(end / (0.8 * AGE)) + 2))
    begins = np.cumsum(lives, axis=1) - lives - random.uniform(0, AGE, (runs, 1))
    to = np.where(
        begins < history * cell.tick,
        random.integers(0, pods - 1, begins.shape),
        random.integers(0, pods, begins.shape),
    )
    instants = np.arange(ticks) * cell.tick
    every = np.arange(runs)
    for j in range(begins.shape[1]):
        begin, stop = begins[:, j], begins[:, j] + lives[:, j]
        place = np.clip((begin // cell.tick).astype(int), 0, ticks - 1)
        for i in range(int(AGE // cell.tick) + 2):
            tick = np.minimum(place + i, ticks - 1)
            from_, until = np.maximum(begin, instants[tick]), np.minimum(stop, instants[tick] + cell.tick)
            seconds = np.where(place + i < ticks, np.maximum(until - from_, 0.0), 0.0)
            requests = random.poisson(cell.rate / cell.clients * seconds)
            worse = np.where(to[:, j] == pods - 1, cell.worse, 1.0)
            n[every, tick, to[:, j]] += requests
            k[every, tick, to[:, j]] += random.binomial(requests, np.minimum(own * worse, 1.0))
