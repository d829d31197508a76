"""PURE: the record of a rollout, as the ModelRollout keeps it."""

from __future__ import annotations

from collections.abc import Iterable

from fairlead.analysis.analyst import Judgement, Point
from fairlead.api.modelrollout import (
    ArmCounts,
    Decision,
    EvidencePoint,
    MetricRecord,
    ModelRolloutStatus,
    RolloutPhase,
)
from fairlead.api.plan import Plan
from fairlead.api.verdict import Reading
from fairlead.controller import times
from fairlead.rollout.state import Action, Advance, Attempt, Hold, Promote, Rollback, Start, Supersede

MOST_DECISIONS = 128
MOST_POINTS = 240
MOST_SHOWN = 1_000_000.0
FEW_DIGITS = 10.0

PHASES: dict[type[Action], RolloutPhase] = {
    Promote: "Promoted",
    Rollback: "RolledBack",
    Supersede: "Superseded",
}


def after(
    old: ModelRolloutStatus, plan: Plan, attempt: Attempt, action: Action, judgement: Judgement | None, now: float
) -> ModelRolloutStatus:
    """The record once `action` is decided on at `attempt`; the same input twice changes nothing."""
    step = action.attempt.step if isinstance(action, Advance) else attempt.step
    phase = _phase(action)
    changes: dict[str, object] = {
        "phase": phase,
        "step": f"{min(step + 1, len(plan.steps))}/{len(plan.steps)}",
        "weight": plan.steps[min(step, len(plan.steps) - 1)].weight,
        "started_at": old.started_at or times.to_wire(attempt.started_at),
        "decisions": _decided(old.decisions, action, attempt.step, now),
    }
    if not isinstance(action, Start):
        changes["message"] = getattr(action, "message", "")
    if isinstance(action, Rollback):
        changes["culprit"] = action.metric
    if phase not in {"Progressing", "Paused"}:
        changes["finished_at"] = old.finished_at or times.to_wire(now)
    if judgement is not None:
        changes |= _evidence(old, plan, attempt, judgement)
    return old.model_copy(update=changes)


def _phase(action: Action) -> RolloutPhase:
    if isinstance(action, Rollback) and action.reason == "Aborted":
        return "Aborted"
    if isinstance(action, Hold) and action.paused:
        return "Paused"
    return PHASES.get(type(action), "Progressing")


def _evidence(old: ModelRolloutStatus, plan: Plan, attempt: Attempt, judgement: Judgement) -> dict[str, object]:
    verdict = judgement.verdict
    step = plan.steps[min(attempt.step, len(plan.steps) - 1)]
    points = [_point(point, attempt.step, step.weight) for point in judgement.points]
    fresh = _metrics(verdict.readings)
    # A stage that has seen nothing yet (the promotion, as a rule) does not wipe out what the last one saw.
    seen = any(metric.canary.total > 0 for metric in fresh)
    return {
        "state": judgement.state,
        "evidence": f"{_short(verdict.evidence)}/{verdict.bar:.0f}",
        "first_request_at": old.first_request_at or times.optional_to_wire(judgement.first_request_at),
        "metrics": fresh if seen else old.metrics or fresh,
        "history": thinned([*old.history, *points]),
    }


def _point(point: Point, step: int, weight: int) -> EvidencePoint:
    return EvidencePoint(
        at=times.to_wire(point.t),
        step=step,
        weight=weight,
        achieved_weight=_rounded(point.verdict.achieved_weight),
        outcome=point.verdict.outcome.value,
        evidence=round(point.verdict.evidence, 4),
        metrics=_metrics(point.verdict.readings),
    )


def _metrics(readings: Iterable[Reading]) -> list[MetricRecord]:
    return [
        MetricRecord(
            name=reading.name,
            canary=ArmCounts(total=round(reading.canary_n, 3), bad=round(reading.canary_k, 3)),
            stable=ArmCounts(total=round(reading.stable_n, 3), bad=round(reading.stable_k, 3)),
            weight=round(reading.weight, 6),
            evidence=float(f"{reading.evidence:.6g}"),
            evidence_ok=float(f"{reading.evidence_ok:.6g}"),
            detail=reading.detail,
        )
        for reading in readings
    ]


def _short(evidence: float) -> str:
    """An e-value in a few characters: it runs over many orders of magnitude."""
    if evidence >= MOST_SHOWN:
        return f">{MOST_SHOWN:,.0f}"
    return f"{evidence:,.0f}" if evidence >= FEW_DIGITS else f"{evidence:.2g}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def thinned(points: list[EvidencePoint]) -> list[EvidencePoint]:
    """At most `MOST_POINTS`: of the older half every second one goes, so the past grows coarser."""
    while len(points) > MOST_POINTS:
        half = len(points) // 2
        points = points[:half:2] + points[half:]
    return points


def _decided(old: list[Decision], action: Action, step: int, now: float) -> list[Decision]:
    name, reason, message = _sentence(action)
    last = old[-1] if old else None
    if last is not None and (last.step, last.action, last.reason) == (step, name, reason):
        return old
    decision = Decision(at=times.to_wire(now), step=step, action=name, reason=reason, message=message)
    return _bounded([*old, decision])


def _bounded(decisions: list[Decision]) -> list[Decision]:
    """What was decided outlives what was merely waited for."""
    while len(decisions) > MOST_DECISIONS:
        oldest = next((index for index, item in enumerate(decisions) if item.action == "Held"), 1)
        decisions = decisions[:oldest] + decisions[oldest + 1 :]
    return decisions


def _sentence(action: Action) -> tuple[str, str, str]:
    match action:
        case Start():
            return "Started", "Started", "the rollout starts"
        case Hold():
            return "Held", action.reason, action.message
        case Advance():
            return "StepAdvanced", action.reason, action.message
        case Promote():
            return "Promoted", action.reason, action.message
        case Rollback():
            return "RolledBack", action.reason, action.message
        case Supersede():
            return "Superseded", action.reason, action.message
    return type(action).__name__, "", ""
