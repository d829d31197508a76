"""Shares by replicas: how many canary pods a weight needs beside a stable that is kept whole."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fairlead.api.plan import Plan

ALL = 100
MOST_PODS = 1001


def canary_replicas(stable: int, weight: int) -> int:
    """Pods of the canary for `weight` per cent beside `stable` pods: at least one, at most `stable`."""
    if weight >= ALL:
        return stable
    exact = stable * weight / (ALL - weight)
    return min(max(1, math.floor(exact + 0.5)), stable)


def planned_weight(stable: int, canary: int) -> int:
    """The share in per cent that the numbers of pods give."""
    return round(ALL * canary / (stable + canary)) if stable + canary else 0


@dataclass(frozen=True, slots=True)
class Share:
    """The share in force at a step: what it asks for, the pods it gets, and what blocks it."""

    weight: int
    replicas: int
    planned: int
    blocked: str = ""


def share_at(plan: Plan, step: int, stable: int) -> Share:
    """The share in force at step `step`: the last weight that few replicas do not exceed too far."""
    share = Share(weight=0, replicas=0, planned=0)
    for current in plan.steps[: step + 1]:
        if current.kind == "Promote":
            return Share(weight=ALL, replicas=stable, planned=planned_weight(stable, stable))
        if current.kind != "SetWeight":
            continue
        replicas = canary_replicas(stable, current.weight)
        planned = planned_weight(stable, replicas)
        if planned - current.weight > plan.max_overshoot:
            return Share(share.weight, share.replicas, share.planned, _mend(plan, current.weight, stable, planned))
        share = Share(current.weight, replicas, planned)
    return share


def _mend(plan: Plan, weight: int, stable: int, planned: int) -> str:
    counts = range(stable + 1, MOST_PODS)
    fits = (n for n in counts if planned_weight(n, canary_replicas(n, weight)) - weight <= plan.max_overshoot)
    enough = next(fits, MOST_PODS)
    return (
        f"{stable} + {canary_replicas(stable, weight)} pods would give the canary {planned} % where the step asks "
        f"for {weight} %, more than maxOvershoot allows ({plan.max_overshoot} points). Raise minReplicas to {enough}, "
        f"or rollout.canary.maxOvershoot to {planned - weight}, or the step's weight."
    )
