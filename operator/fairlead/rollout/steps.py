"""Whether a step is over, for a replay in recorded time; `decide.py` asks the same in real time, and says why."""

from __future__ import annotations

from fairlead.api.plan import Plan
from fairlead.api.verdict import Outcome, Reason


def may_go_on(reason: str, *, measurable: bool) -> bool:
    """Whether a step may be left at all: only while the canary can be measured and nothing holds it."""
    return measurable and reason not in Reason.HOLDS


def leaves(plan: Plan, step: int, elapsed: float, outcome: Outcome, reason: str, *, measurable: bool) -> bool:
    """Whether the rollout goes on from a step whose share is in force, without anybody's help.

    Args:
        plan: the frozen plan.
        step: index of the step.
        elapsed: seconds since it began.
        outcome: of the analysis.
        reason: of that outcome.
        measurable: whether the canary can be measured at all.
    """
    current = plan.steps[step]
    free = may_go_on(reason, measurable=measurable)
    match current.kind:
        case "SetWeight":
            return plan.steps[step + 1].kind in {"Pause", "Analysis"} or free
        case "Pause":
            return free and current.duration is not None and elapsed >= current.duration
        case "Analysis":
            return outcome is Outcome.ADVANCE
        case _:
            return False
