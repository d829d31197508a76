"""ModelRollouts as the API server gives them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from fairlead.api.modelrollout import (
    ArmCounts,
    Decision,
    EvidencePoint,
    MetricPoint,
    MetricRecord,
    ModelRolloutSpec,
    ModelRolloutStatus,
)
from fairlead.api.plan import AnalysisPlan, MetricKind, Plan, PlanMargin, PlanMetric, PlanQuery, PlanRatio, PlanStep

EPOCH = 1767225600.0
TICK = 15.0
MARGIN = PlanMargin(ratio=1.1, absolute=0.0005)
METRICS = ("error-rate", "latency", "client-error-rate")


def at(seconds: float) -> str:
    return datetime.fromtimestamp(EPOCH + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def kind(name: str) -> MetricKind:
    kinds: dict[str, MetricKind] = {"latency": "histogram", "orders": "query", "prediction-distribution": "categorical"}
    return kinds.get(name, "ratio")


def planned(name: str, weight: float) -> PlanMetric:
    return PlanMetric(
        name=name,
        kind=kind(name),
        action="Hold" if kind(name) == "categorical" else "Rollback",
        weight=weight,
        rollback=MARGIN,
        promotion=MARGIN,
        ratio=PlanRatio(bad="bad{}", total="total{}") if name == "own" else None,
        query=PlanQuery(query="sum(rate(orders[5m]))", minimum=0.5) if name == "orders" else None,
        dry_run=name == "own",
    )


def plan(*names: str, **analysis: Any) -> Plan:
    return Plan(
        steps=[
            PlanStep(kind="SetWeight", weight=10, stage=1),
            PlanStep(kind="Analysis", weight=10, stage=1),
            PlanStep(kind="SetWeight", weight=50, stage=2),
            PlanStep(kind="Pause", weight=50, stage=2, duration=600),
            PlanStep(kind="Promote", weight=100, stage=3),
        ],
        analysis=AnalysisPlan(metrics=[planned(name, 1 / len(names)) for name in names], **analysis),
    )


def decision(seconds: float, step: int, action: str, reason: str, message: str = "why") -> Decision:
    return Decision(at=at(seconds), step=step, action=action, reason=reason, message=message)


DECISIONS = (
    decision(0, 0, "Started", "Started", "the rollout starts"),
    decision(5, 0, "StepAdvanced", "WeightReached", "10 % reached"),
    decision(6, 1, "Held", "CollectingEvidence", "not enough to tell yet"),
    decision(150, 1, "StepAdvanced", "ProvenNonInferior", "not worse on every metric"),
    decision(152, 2, "StepAdvanced", "WeightReached", "50 % reached"),
    decision(154, 3, "Held", "Pausing", "until later"),
)


def arm(total: float, bad: float) -> ArmCounts:
    return ArmCounts(total=total, bad=bad)


def points(number: int, *names: str) -> list[EvidencePoint]:
    """Ten points in the first stage, and the rest in the second, where the counts begin anew."""
    found = []
    for tick in range(1, number + 1):
        first = tick <= 10
        since = tick if first else tick - 10
        metrics = [
            MetricPoint(
                name=name,
                canary=arm(100 * since, 2 * since),
                stable=arm(900 * since, 9 * since),
                evidence=math.exp(tick / 4),
                evidence_ok=math.exp(-since / 8),
                ratio=2.0,
                interval_low=1 - 1 / tick,
                interval_high=3 + 1 / tick if tick > 3 else None,
                phi=1.5,
                acted=["alignment"] if tick % 3 == 0 else None,
                detail="requests slower than 50 ms" if name == "latency" else None,
            )
            for name in names
        ]
        found.append(
            EvidencePoint(
                at=at(tick * TICK),
                window=TICK,
                step=1 if first else 3,
                weight=10 if first else 50,
                achieved_weight=10.2 if first else 49.8,
                outcome="Continue",
                evidence=math.exp(tick / 4),
                acted=["warm-up", "settling"] if tick <= 2 else ["alignment"] if tick % 3 == 0 else None,
                metrics=metrics,
            )
        )
    return found


def status(number: int = 20, names: tuple[str, ...] = METRICS, **changes: Any) -> ModelRolloutStatus:
    history = points(number, *names)
    newest = history[-1].metrics if history else []
    base = ModelRolloutStatus(
        step="4/5",
        weight=50,
        evidence="148/100",
        started_at=at(0),
        first_request_at=at(4),
        decisions=list(DECISIONS),
        metrics=[
            MetricRecord(**metric.model_dump(), kind=kind(metric.name), weight=1 / len(names)) for metric in newest
        ],
        history=history,
        queries={"error-rate": 'fairlead_requests_total{model="fraud"}'},
    )
    return base.model_copy(update=changes)


def rollout(said: ModelRolloutStatus | None = None, names: tuple[str, ...] = METRICS, **spec: Any) -> dict[str, Any]:
    frozen = {
        "model_deployment": "fraud",
        "revision": "bbb",
        "version": "2",
        "stable_revision": "aaa",
        "stable_version": "1",
        "attempt": 1,
        "plan": plan(*names),
        "plan_hash": "abc",
    }
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "ModelRollout",
        "metadata": {"name": "fraud-bbb-1", "namespace": "shop", "creationTimestamp": at(0)},
        "spec": ModelRolloutSpec(**{**frozen, **spec}).to_record(),
        "status": (said or status()).to_record(),
    }


def ended(seconds: float, action: str, reason: str, message: str = "why", **changes: Any) -> ModelRolloutStatus:
    """The record of a rollout that ended like this."""
    phase = "Aborted" if reason == "Aborted" else action
    decisions = [*DECISIONS, decision(seconds, 3, action, reason, message)]
    return status(finished_at=at(seconds), phase=phase, message=message, decisions=decisions, **changes)
