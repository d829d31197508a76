"""PURE: the record of a rollout, as the ModelRollout keeps it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from fairlead.analysis.request import Judgement, Point
from fairlead.api.modelrollout import (
    ArmCounts,
    Decision,
    EvidencePoint,
    MetricPoint,
    MetricRecord,
    ModelRolloutStatus,
    RolloutPhase,
)
from fairlead.api.plan import Plan
from fairlead.api.verdict import Reading
from fairlead.controller import thinning, times
from fairlead.rollout.state import Action, Advance, Attempt, Hold, Promote, Rollback, Start, Supersede

LIMIT = 1e9
"""Numbers are recorded up to here."""
LONGEST_MESSAGE = 500
LONGEST_QUERY = 2000
MOST_SHOWN = 1e6
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
    fresh = [MetricRecord(**_metric(reading), **_fixed(reading)) for reading in verdict.readings]
    # A stage that has seen nothing yet (the promotion, as a rule) does not wipe out what the last one saw.
    seen = any(metric.canary.total > 0 for metric in fresh)
    changes: dict[str, object] = {
        "state": judgement.state,
        "evidence": f"{_short(verdict.evidence)}/{verdict.bar:.0f}",
        "first_request_at": old.first_request_at or times.optional_to_wire(judgement.first_request_at),
        "metrics": fresh if seen else old.metrics or fresh,
        "queries": _queries(judgement.queries) or old.queries,
        "outlook": old.outlook | {str(weight): sentence for weight, sentence in judgement.outlook.items()},
    }
    if judgement.points:
        changes["history"] = thinning.thinned([*old.history, *_points(old, plan, attempt, judgement.points)])
    return changes


def _points(old: ModelRolloutStatus, plan: Plan, attempt: Attempt, judged: Iterable[Point]) -> Iterable[EvidencePoint]:
    step = plan.steps[min(attempt.step, len(plan.steps) - 1)]
    before = times.from_wire(old.history[-1].at) if old.history else None
    for point in judged:
        verdict = point.verdict
        yield EvidencePoint(
            at=times.to_wire(point.t),
            window=round(plan.analysis.interval if before is None else point.t - before, 3),
            step=attempt.step,
            weight=step.weight,
            achieved_weight=None if verdict.achieved_weight is None else round(verdict.achieved_weight, 1),
            outcome=verdict.outcome.value,
            reason=verdict.reason,
            evidence=_evalue(verdict.evidence),
            acted=list(verdict.acted) or None,
            metrics=[MetricPoint(**_metric(reading)) for reading in verdict.readings],
        )
        before = point.t


def _metric(reading: Reading) -> dict[str, Any]:
    low, high = reading.interval or (None, None)
    return {
        "name": reading.name,
        "canary": ArmCounts(total=_count(reading.canary_n), bad=_count(reading.canary_k)),
        "stable": ArmCounts(total=_count(reading.stable_n), bad=_count(reading.stable_k)),
        "evidence": _evalue(reading.evidence),
        "evidence_ok": _evalue(reading.evidence_ok),
        "ratio": _number(reading.ratio),
        "interval_low": _number(low),
        "interval_high": _number(high),
        "phi": _number(reading.phi) if reading.phi != 1 else None,
        "acted": list(reading.acted) or None,
        "detail": reading.detail or None,
    }


def _fixed(reading: Reading) -> dict[str, Any]:
    """What does not change on the way, and stands in the newest numbers only."""
    return {"kind": reading.kind, "action": reading.action, "weight": round(reading.weight, 6)}


def _queries(asked: Mapping[str, str]) -> dict[str, str]:
    return {name: _cut(query, LONGEST_QUERY) for name, query in asked.items()}


def _count(number: float) -> float:
    """A count, whole but for classes and scores, which count in fractions."""
    return round(min(number, 1e15), 3)


def _number(value: float | None) -> float | None:
    """Six figures are plenty; what is infinite or unknown has no number."""
    return float(f"{min(LIMIT, value):.6g}") if value is not None and math.isfinite(value) else None


def _evalue(value: float) -> float:
    """An e-value, which may be as good as infinite."""
    return _number(min(LIMIT, value)) or 0.0


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _short(evidence: float) -> str:
    """An e-value in a few characters: it runs over many orders of magnitude."""
    if evidence > MOST_SHOWN:
        return ">1e6"
    return f"{evidence:.0f}" if evidence >= FEW_DIGITS else f"{evidence:.2g}"


def _decided(old: list[Decision], action: Action, step: int, now: float) -> list[Decision]:
    name, reason, message = _sentence(action)
    last = old[-1] if old else None
    if last is not None and (last.step, last.action, last.reason) == (step, name, reason):
        return old
    message = _cut(message, LONGEST_MESSAGE)
    decision = Decision(at=times.to_wire(now), step=step, action=name, reason=reason, message=message)
    return thinning.bounded([*old, decision])


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
