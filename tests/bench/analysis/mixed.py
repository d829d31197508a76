"""All metrics at once, by default settings: single requests or connections of unlike clients, on pods alike or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairlead.analysis.replay import replay
from tests.bench.analysis.connections import AGE
from tests.bench.analysis.gates import ALPHA
from tests.bench.analysis.generate import CLASSIC, MEDIAN, SIGMA
from tests.bench.analysis.records import OLD
from tests.bench.analysis.summary import most

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SEED = 1
TICK, HISTORY, LENGTH = 15.0, 300.0, 1200.0
ERRORS, REFUSED, CLASSES = 0.01, 0.02, 5
SPREAD_OF_SPEED = 0.3
"""Clients' latencies differ by this part of what their error shares do."""


@dataclass(frozen=True)
class Mix:
    """One kind of rollout. A canary that is `worse` or `slow` by a factor is not as good as stable."""

    rate: float = 100.0
    pods: int = 3
    clients: int = 0
    unlike: float = 1.0
    """Standard deviation of the logarithm of the clients' error shares."""
    alike: float = 3.0
    """How much alike the clients' classes are: Dirichlet parameter of each."""
    spread: float = 0.0
    """Standard deviation of the logarithm of the pods' own error shares and latencies."""
    worse: float = 1.0
    slow: float = 1.0


WIRED = Mix(clients=16)
MIXES = {
    "A/A": Mix(),
    "A/A, 2 requests a second": Mix(rate=2.0),
    "A/A, pods unlike by 10 %": Mix(spread=0.1),
    "A/A, 8 pods unlike by 10 %": Mix(spread=0.1, pods=8),
    "A/A, pods unlike by 30 %": Mix(spread=0.3),
    "A/A, 16 connections": WIRED,
    "A/A, 16 connections, very unlike clients": replace(WIRED, unlike=1.5, alike=1.0),
    "A/A, 16 connections, one stable pod": replace(WIRED, pods=1),
    "A/A, 64 connections": replace(WIRED, clients=64),
    "errors ×3": Mix(worse=3.0),
    "latency ×1.5": Mix(slow=1.5),
    "errors ×5, 16 connections": replace(WIRED, worse=5.0),
    "latency ×2, 16 connections": replace(WIRED, slow=2.0),
}


def judge(runs: int, only: str) -> tuple[list[str], list[str]]:
    """A table's rows, and a sentence for each A/A that is rolled back too often."""
    rows, failures = ["| | rolled back, median | not decided at the end |", "|---|---|---|"], []
    for name, mix in MIXES.items():
        if only not in name:
            continue
        found = [ended(mix, seed) for seed in range(SEED, SEED + runs)]
        rolled = [t for verdict, t, _ in found if verdict == "Rollback"]
        by = Counter(why for verdict, _, why in found if verdict == "Inconclusive")
        waiting = "; ".join(f"{count} ({why})" for why, count in sorted(by.items()))
        when = f", {np.median(rolled):.0f} s" if rolled else ""
        rows.append(f"| {name} | {len(rolled)} of {runs}{when} | {waiting or '0'} |")
        if name.startswith("A/A") and len(rolled) > most(runs, ALPHA):
            failures.append(f"{name}: {len(rolled)} of {runs} rolled back")
    return rows, failures


def ended(mix: Mix, seed: int) -> tuple[str, float, str]:
    """The last verdict, its instant, and over what."""
    steps = [{"setWeight": round(100 / (mix.pods + 1))}, {"analysis": {}}, {"pause": {"duration": "24h"}}]
    how = {"spec": {"rollout": {"canary": {"steps": steps}}}}
    for line in replay(records(mix, seed), how, intervals=False):
        last = line
    rules = [rule for rule in last["acted"] if rule in ("split", "inputs", "max-step", "placebo")]
    return last["verdict"], last["t"], str(last["culprit"] or " ".join(rules) or "no data")


@dataclass
class Counted:
    """What the pods counted, by interval and pod; the canary's pod is the last."""

    bad: Ints
    refused: Ints
    slow: Ints
    classes: Ints
    opened: Ints
    """Connections by interval, to stable and to the canary."""

    @property
    def requests(self) -> Ints:
        """All requests by interval and pod."""
        total: Ints = self.slow.sum(axis=-1)
        return total


def count(mix: Mix, seed: int) -> Counted:
    """Draw one rollout."""
    random = np.random.default_rng(seed)
    shape = (round((HISTORY + LENGTH) / TICK), mix.pods + 1)
    out = Counted(
        bad=np.zeros(shape, np.int64),
        refused=np.zeros(shape, np.int64),
        slow=np.zeros((*shape, len(CLASSIC) + 1), np.int64),
        classes=np.zeros((*shape, CLASSES), np.int64),
        opened=np.zeros((shape[0], 2), np.int64),
    )
    pods = np.exp(random.normal(0, mix.spread, mix.pods + 1))
    for _ in range(mix.clients):
        _client(mix, out, pods, random)
    if not mix.clients:
        for tick in range(shape[0]):
            there = mix.pods + (tick * TICK >= HISTORY)
            split = random.multinomial(random.poisson(mix.rate * TICK), np.full(there, 1 / there))
            for pod, requests in enumerate(split):
                _answer(mix, out, (tick, pod), int(requests), (pods[pod], pods[pod], _even()), random)
    return out


def _client(mix: Mix, out: Counted, pods: Floats, random: np.random.Generator) -> None:
    errors = random.lognormal(-(mix.unlike**2) / 2, mix.unlike)
    speed = random.lognormal(0, mix.unlike * SPREAD_OF_SPEED)
    classes = random.dirichlet(np.full(CLASSES, mix.alike))
    t, end = -random.uniform(0, AGE), HISTORY + LENGTH
    while t < end:
        stop = t + random.uniform(0.8 * AGE, AGE)
        pod = int(random.integers(0, mix.pods + (t >= HISTORY)))
        first = max(0, int(t // TICK))
        if t >= 0:
            out.opened[first, int(pod == mix.pods)] += 1
        for tick in range(first, min(len(out.bad), int(stop // TICK) + 1)):
            seconds = min(stop, (tick + 1) * TICK) - max(t, tick * TICK)
            requests = int(random.poisson(mix.rate / mix.clients * max(0.0, seconds)))
            _answer(mix, out, (tick, pod), requests, (errors * pods[pod], speed * pods[pod], classes), random)
        t = stop


def _answer(
    mix: Mix,
    out: Counted,
    at: tuple[int, int],
    requests: int,
    how: tuple[float, float, Floats],
    random: np.random.Generator,
) -> None:
    errors, speed, classes = how
    canary = at[1] == mix.pods
    out.bad[at] += random.binomial(requests, min(1.0, ERRORS * errors * (mix.worse if canary else 1.0)))
    out.refused[at] += random.binomial(requests, REFUSED)
    out.slow[at] += random.multinomial(requests, _latency(speed * (mix.slow if canary else 1.0)))
    out.classes[at] += random.multinomial(requests, classes)


def _even() -> Floats:
    return np.full(CLASSES, 1 / CLASSES)


@lru_cache(maxsize=4096)
def _latency(factor: float) -> Floats:
    """Shares by bucket of a latency that is longer by this factor throughout."""
    below = [_NORMAL.cdf(float(np.log(edge / factor / MEDIAN)) / SIGMA) for edge in CLASSIC]
    return np.diff([0.0, *below, 1.0])


_NORMAL = NormalDist()


def records(mix: Mix, seed: int) -> Iterator[dict[str, Any]]:
    """The lines that a replay reads."""
    counted = count(mix, seed)
    routing = "connection" if mix.clients else "request"
    yield {"v": 1, "interval": TICK, "source": "pod", "routing": routing, "maxConnectionAge": AGE}
    arms = {"stable": list(range(mix.pods)), "canary": [mix.pods]}
    for i in range(len(counted.bad)):
        t = (i + 1) * TICK - HISTORY
        for name, kind in _KINDS.items():
            line: dict[str, Any] = {"t": t, "metric": name, "kind": kind}
            if kind == "histogram":
                line["edges"] = CLASSIC.tolist()
            if t > 0:
                line["weight"] = 100 / (mix.pods + 1)
            for arm, pods in arms.items():
                if arm == "stable" or t > 0:
                    own = {f"{arm}-{pod}": _pod(counted, name, (i, pod)) | {"age": OLD + t} for pod in pods}
                    line[arm] = _total(own) | {"pods": own, "connections": int(counted.opened[i, int(arm == "canary")])}
            yield line


_KINDS = {
    "error-rate": "ratio",
    "client-error-rate": "ratio",
    "latency": "histogram",
    "prediction-distribution": "categorical",
    "input-distribution": "categorical",
}


def _pod(counted: Counted, name: str, at: tuple[int, int]) -> dict[str, Any]:
    if _KINDS[name] == "ratio":
        bad = counted.bad if name == "error-rate" else counted.refused
        return {"n": int(counted.requests[at]), "k": int(bad[at])}
    if name == "latency":
        return {"counts": counted.slow[at].tolist()}
    return {"counts": {f"c{i}": int(n) for i, n in enumerate(counted.classes[at])}}


def _total(pods: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the pods counted together, where that is a number each."""
    if any("n" not in own for own in pods.values()):
        return {}
    return {key: sum(own[key] for own in pods.values()) for key in ("n", "k")}
