"""PURE: when to look at a ModelDeployment again, if nothing happens before."""

from __future__ import annotations

from fairlead.analysis.request import Judgement
from fairlead.rollout.state import Action, Bootstrap, Hold, Observation, Settle

# Pods tell by events that they are Ready, but not why their model is still loading.
WAITING_FOR_PODS = 3.0
LEAST = 0.2


def look_again(action: Action, seen: Observation, judgement: Judgement | None) -> float | None:
    """Seconds until the next look; None where only an event can change anything."""
    match action:
        case Bootstrap(done=False):
            return WAITING_FOR_PODS
        case Settle():
            return _settled(seen)
        case Hold():
            return _holding(action, seen, judgement)
    return LEAST


def _settled(seen: Observation) -> float | None:
    short = seen.stable is not None and seen.fleet(seen.stable.name).ready < seen.replicas
    return WAITING_FOR_PODS if short or seen.leftovers else None


def _holding(action: Hold, seen: Observation, judgement: Judgement | None) -> float:
    attempt, plan = action.attempt, seen.plan
    times = [action.until, judgement.next_at if judgement else None]
    if plan is not None and attempt.unready_since is not None:
        times += [attempt.unready_since + plan.progress_deadline, seen.now + WAITING_FOR_PODS]
    if plan is not None and plan.hold_timeout is not None and attempt.held_since is not None:
        times.append(attempt.held_since + plan.hold_timeout)
    if plan is not None and plan.analysis.enabled and judgement is None:
        times.append(seen.now + WAITING_FOR_PODS)
    soonest = min((when for when in times if when is not None), default=seen.now + 60.0)
    return max(LEAST, soonest - seen.now)
