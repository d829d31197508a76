"""One simulated rollout as the lines that a replay reads, and the rollout it is judged by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.bench.analysis.cells import PROVING, SHARES, Cell
from tests.bench.analysis.connections import AGE
from tests.bench.analysis.generate import CLASSIC, HISTORY, LOWEST, SCHEMA, Arm, Traffic

OLD = 3600.0
"""Seconds since the pods were first ready, at the rollout's start: none is warming up."""
METRICS = {
    "ratio": "error-rate",
    "histogram": "latency",
    "native": "latency",
    "categorical": "prediction-distribution",
}


def rollout(cell: Cell) -> dict[str, Any]:
    """The cell's judging as a ModelDeployment would say it."""
    metric: dict[str, Any] = {"name": METRICS[cell.kind], "weight": 1.0, "action": "Rollback"}
    if cell.kind == "categorical":
        metric["tolerance"] = cell.tolerance
    else:
        metric["rollbackMargin"] = {"ratio": cell.margin[0], "absolute": cell.margin[1]}
    analysis: dict[str, Any] = {"interval": f"{cell.tick:g}s", "metrics": [metric]}
    if cell.goal in ("prove", "unproven"):
        # One step that ends by proof only.
        analysis |= {"maxStep": "24h", "minStep": "1s", "policy": "ProvenNonInferior"}
        steps: list[dict[str, Any]] = [{"setWeight": PROVING}, {"analysis": {}}]
    elif cell.clients:
        steps = [{"setWeight": round(100 / (cell.pods + 1))}, {"pause": {"duration": f"{cell.length:g}s"}}]
    else:
        steps = [
            step
            for share, seconds in SHARES
            for step in ({"setWeight": share}, {"pause": {"duration": f"{seconds:g}s"}})
        ]
    return {"spec": {"rollout": {"canary": {"steps": steps}, "analysis": analysis}}}


def records(cell: Cell, traffic: Traffic, run: int) -> Iterator[dict[str, Any]]:
    """The lines of one rollout, the header first. The history goes with pods: without them the dispersion is none."""
    header: dict[str, Any] = {"v": 1, "interval": cell.tick, "source": _source(cell)}
    header |= {"routing": "connection" if cell.clients else "request", "cumulative": False}
    if cell.clients:
        header["maxConnectionAge"] = AGE
    yield header
    for i in range(HISTORY if cell.aligned else 0, traffic.stable.pods.shape[1]):
        t = (i + 1 - HISTORY) * cell.tick
        line: dict[str, Any] = {"t": t, "metric": METRICS[cell.kind]}
        line["kind"] = "histogram" if cell.kind == "native" else cell.kind
        if cell.kind == "histogram":
            line["edges"] = [float(edge) for edge in CLASSIC]
        line["stable"] = _arm(cell, traffic.stable, run, i, OLD + t)
        if i >= HISTORY:
            line["canary"] = _arm(cell, traffic.canary, run, i, t if cell.cold else OLD + t)
            line["weight"] = float(traffic.weight[i - HISTORY])
        yield line


def _source(cell: Cell) -> str:
    """Pods' own counters come with the effects of scraping; a router tells pods apart as well."""
    return "pod" if cell.offset or cell.cold or cell.clients else "router"


def _arm(cell: Cell, arm: Arm, run: int, i: int, age: float) -> dict[str, Any]:
    cells = arm.pods[run, i]
    whole = [int(value) for value in cells.sum(axis=0)]
    if cell.kind == "ratio":
        out: dict[str, Any] = {"n": whole[0], "k": whole[1]}
        if cell.pods:
            out["pods"] = {f"p{p}": {"n": int(n), "k": int(k), "age": age} for p, (n, k) in enumerate(cells)}
        return out
    if cell.kind == "histogram":
        return {"counts": whole}
    if cell.kind == "native":
        return {"schema": SCHEMA, "zero": 0, "buckets": {str(LOWEST + b): n for b, n in enumerate(whole) if n}}
    return {"counts": {f"c{c}": n for c, n in enumerate(whole)}}
