"""How fast the judge is and how much it stores: intervals a second, milliseconds a look, bytes of state."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fairlead.analysis.recording import Reader, header
from fairlead.analysis.replay import Replay, replay, rollout_spec
from fairlead.analysis.state import dump
from fairlead.rollout.planning import plan_of
from tests.bench.analysis.records import OLD

INTERVALS = 4000
LEAST = {"ratio": 30_000.0, "histogram": 5_000.0}
"""Intervals a second that must be reached without the intervals of the ratio."""
LARGEST = 8 * 1024
EDGES = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]
SHARES = np.array([0.05, 0.1, 0.2, 0.3, 0.2, 0.1, 0.03, 0.01, 0.007, 0.003])
"""Requests by bucket of nine edges."""
PODS = 4

Lines = list[dict[str, Any]]


def measure() -> tuple[list[str], list[str]]:
    """All figures as the rows of a table, and a sentence for each that misses its mark."""
    rows, failures = ["| | without intervals of the ratio | with them |", "|---|---|---|"], []
    for kind, least in LEAST.items():
        lines = _single(kind)
        rates = [_rate(lines, kind, intervals=intervals) for intervals in (False, True)]
        rows.append(f"| {kind}, intervals a second | {rates[0]:,.0f} | {rates[1]:,.0f} |")
        if rates[0] < least:
            failures.append(f"{kind}: {rates[0]:,.0f} intervals a second, {least:,.0f} expected")
    lines = list(_six())
    looks = [len(_METRICS) * 1000 / _rate(lines, "six", intervals=intervals) for intervals in (False, True)]
    rows.append(f"| six metrics of {PODS} pods, ms a look | {looks[0]:.2f} | {looks[1]:.2f} |")
    sizes = [_state(lines, intervals=intervals) for intervals in (False, True)]
    rows.append(f"| their stored evidence, bytes | {sizes[0]:,} | {sizes[1]:,} |")
    if max(sizes) > LARGEST:
        failures.append(f"state: {max(sizes):,} bytes, {LARGEST:,} allowed")
    return rows, failures


def _state(lines: Lines, *, intervals: bool) -> int:
    """Bytes that are stored after all lines."""
    head = header(lines[0])
    assert head is not None
    plan = plan_of(rollout_spec(_rollout("six")), head.max_connection_age)
    judge = Replay(plan, head, known_share=True, intervals=intervals)
    reader = Reader(head, plan.analysis.warm_up, lambda _name, _kind, _line: True)
    deque(judge.run(reader.instants(enumerate(lines[1:], start=2))), maxlen=0)
    return len(dump(judge._state))


def _rate(lines: Lines, kind: str, *, intervals: bool) -> float:
    """Lines a second of CPU time: the best of three, since a shared machine only ever slows one down."""
    spec = _rollout(kind)
    judged = lines if not intervals else lines[: 1 + len(lines) // 8]
    return max((len(judged) - 1) / _seconds(lambda: _drain(judged, spec, intervals)) for _ in range(3))


def _drain(lines: Lines, spec: dict[str, Any], intervals: bool) -> None:  # noqa: FBT001 - called in one place
    deque(replay(lines, spec, intervals=intervals), maxlen=0)


def _seconds(work: Callable[[], None]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def _rollout(kind: str) -> dict[str, Any]:
    """A rollout that only the time ends."""
    names = {"ratio": ["error-rate"], "histogram": ["latency"]}.get(kind, list(_METRICS))
    metrics = [{"name": name} for name in names]
    steps = [{"setWeight": 20}, {"pause": {"duration": "10000h"}}]
    return {"spec": {"rollout": {"canary": {"steps": steps}, "analysis": {"metrics": metrics}}}}


def _header(source: str) -> dict[str, Any]:
    return {"v": 1, "interval": 15, "source": source, "routing": "request", "cumulative": False}


def _single(kind: str) -> Lines:
    """One metric counted at a router."""
    random = np.random.default_rng(1)
    name = "error-rate" if kind == "ratio" else "latency"
    lines = [_header("router")]
    for i in range(INTERVALS):
        line: dict[str, Any] = {"t": 15.0 * (i + 1), "metric": name, "kind": kind, "weight": 20}
        for arm, n in (("canary", 300), ("stable", 1200)):
            line[arm] = _cells(random, kind, n)
        if kind == "histogram":
            line["edges"] = EDGES
        lines.append(line)
    return lines


_METRICS = {
    "error-rate": "ratio",
    "client-error-rate": "ratio",
    "latency": "histogram",
    "prediction-distribution": "categorical",
    "score-distribution": "categorical",
    "input-distribution": "categorical",
}


def _six() -> Iterator[dict[str, Any]]:
    """Six metrics counted by pods."""
    random = np.random.default_rng(2)
    yield _header("pod")
    for i in range(INTERVALS // 8):
        for name, kind in _METRICS.items():
            line: dict[str, Any] = {"t": 15.0 * (i + 1), "metric": name, "kind": kind, "weight": 20}
            for arm, pods in (("canary", 1), ("stable", PODS - 1)):
                line[arm] = {"pods": {f"{arm}{p}": _cells(random, kind, 300) | {"age": OLD} for p in range(pods)}}
            if kind == "histogram":
                line["edges"] = EDGES
            yield line


def _cells(random: np.random.Generator, kind: str, n: int) -> dict[str, Any]:
    if kind == "ratio":
        return {"n": n, "k": int(random.binomial(n, 0.01))}
    counts = [int(count) for count in random.multinomial(n, SHARES)]
    return {"counts": counts if kind == "histogram" else {f"c{i}": count for i, count in enumerate(counts)}}
