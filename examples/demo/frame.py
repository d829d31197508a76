"""What one look at the demo shows, worked out from the API objects and the callers' lines. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from examples.demo.load import Sum
from examples.demo.watch import Snapshot


@dataclass(frozen=True, slots=True)
class Arm:
    """One version: its share of the traffic as the callers count it, its pods, and how well it reads."""

    version: str
    share: float
    ready: int
    pods: int
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One metric: the shares of bad requests of both arms, and how far the evidence is, from 0 to 1.

    `against` reaches 1 at the bar of a rollback, `good` at the bar of going on.
    """

    metric: str
    canary: float | None
    stable: float | None
    against: float
    good: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """The load: requests a second, median and 99th percentile in milliseconds, and the totals."""

    rate: float
    latency: tuple[float, ...]
    sent: int
    failed: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One look."""

    phase: str
    step: str
    message: str
    arms: tuple[Arm, ...]
    evidence: tuple[Evidence, ...]
    traffic: Traffic


def frame(seen: Snapshot, load: Sum, recent: Sum, rate: float, latency: list[float]) -> Frame:
    """The look at this moment; `recent` is what the callers met in the last few seconds."""
    status = seen.status
    canary = status.get("canary") or {}
    arms = tuple(
        _arm(part, load, recent) for part in (status.get("stable") or {}, canary) if part.get("version") is not None
    )
    rollout = seen.running() or {}
    return Frame(
        phase=seen.phase,
        step=str(canary.get("step", "")),
        message=str(status.get("message", "")),
        arms=arms,
        evidence=_evidence(rollout),
        traffic=Traffic(rate, tuple(latency), load.sent, load.failed),
    )


def _arm(part: Mapping[str, Any], load: Sum, recent: Sum) -> Arm:
    version = str(part["version"])
    answered = recent.answered.total()
    return Arm(
        version=version,
        share=recent.answered[version] / answered if answered else 0.0,
        ready=int(part.get("readyReplicas", 0)),
        pods=int(part.get("replicas", 0)),
        accuracy=load.accuracy(version),
    )


def _evidence(rollout: Mapping[str, Any]) -> tuple[Evidence, ...]:
    analysis = rollout.get("spec", {}).get("plan", {}).get("analysis", {})
    beta = float(analysis.get("beta", 0.05))
    alpha = float(analysis.get("alpha", 0.01))
    return tuple(
        Evidence(
            metric=str(record["name"]),
            canary=_share(record["canary"]),
            stable=_share(record["stable"]),
            against=progress(float(record["weight"]) * float(record["evidence"]), 1 / alpha),
            good=progress(float(record["evidenceOk"]), 1 / beta),
        )
        for record in rollout.get("status", {}).get("metrics", [])
    )


def progress(evidence: float, bar: float) -> float:
    """How far an e-value is on its way to the bar, from 0 to 1: evidence multiplies, so its logarithm grows evenly."""
    if evidence <= 1 or math.isnan(evidence):
        return 0.0
    return min(1.0, math.log(evidence) / math.log(bar))


def _share(arm: Mapping[str, Any]) -> float | None:
    total = float(arm["total"])
    return float(arm["bad"]) / total if total else None
