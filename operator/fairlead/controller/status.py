"""PURE: the status that people read, from what was observed and decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.api.status import CanaryStatus, ModelDeploymentStatus, Phase, Rejected, StableStatus
from fairlead.api.verdict import Outcome, Verdict
from fairlead.controller import times
from fairlead.controller.conditions import Conditions
from fairlead.controller.journal import Memory
from fairlead.desired import names
from fairlead.rollout.shares import share_at
from fairlead.rollout.state import Action, Advance, Attempt, Bootstrap, Fleet, Hold, Observation, Start, Trouble


@dataclass(frozen=True, slots=True)
class Picture:
    """What the status is drawn from: before, seen, decided, and the memory that follows."""

    owner: Mapping[str, Any]
    old: ModelDeploymentStatus
    seen: Observation
    action: Action
    memory: Memory
    digests: Mapping[str, str]
    deadline: float
    problem: Trouble | None = None
    note: str = ""

    @property
    def serving(self) -> Fleet:
        """The pods of stable, or of the first revision on its way."""
        stable = self.memory.stable
        return self.seen.fleet(stable.name if stable else self.seen.target.name)

    @property
    def overdue(self) -> bool:
        """Whether the first revision took longer than the progress deadline. It is still waited for."""
        created = self.serving.created
        return created is not None and self.seen.now - created >= self.deadline

    @property
    def rejection(self) -> Rejected | None:
        """Why the target is not tried, if it was rejected."""
        found = (item for item in self.memory.rejected if item.revision == self.seen.target.name)
        return next((item for item in found if item.retry_token == self.seen.retry_token), None)


def draw(picture: Picture) -> ModelDeploymentStatus:
    """The whole status."""
    meta = picture.owner["metadata"]
    phase = _phase(picture)
    message = _message(picture)
    fleets = picture.seen.fleets
    return ModelDeploymentStatus(
        observed_generation=meta.get("generation", 0),
        phase=phase,
        message=message,
        url=names.url(meta["name"], meta["namespace"]),
        replicas=sum(fleet.pods for fleet in fleets.values()),
        selector=names.selector(meta["name"]),
        stable=_stable(picture),
        canary=_canary(picture, picture.memory.attempt) if picture.memory.attempt else None,
        rejected=list(picture.memory.rejected),
        conditions=_conditions(picture, phase, message),
    )


def _phase(picture: Picture) -> Phase:
    stable, action, serving = picture.memory.stable, picture.action, picture.serving
    if stable is None:
        return "Degraded" if picture.problem or picture.overdue else "Pending"
    if picture.memory.attempt is not None:
        return "Paused" if isinstance(action, Hold) and action.paused else "Progressing"
    if picture.problem or picture.rejection or serving.ready == 0:
        return "Degraded"
    if stable.name != picture.seen.target.name:
        return "Progressing"  # the rest of an ended rollout is still on its way out
    short = serving.ready < picture.seen.replicas
    return "Degraded" if short and serving.trouble else "Healthy"


def _message(picture: Picture) -> str:
    seen, serving, stable = picture.seen, picture.serving, picture.memory.stable
    trouble = picture.problem or serving.trouble
    if stable is None:
        return _sentence(f"{serving.ready} of {seen.replicas} pods of {seen.target} are Ready", trouble)
    if picture.memory.attempt is not None:
        return _in_rollout(picture, picture.memory.attempt)
    if picture.problem:
        what = f"the rollout of {seen.target} cannot start" if seen.unplannable else "not everything could be applied"
        return _sentence(f"{stable} serves, but {what}", picture.problem)
    if rejection := picture.rejection:
        return (
            f"{seen.target} was rolled back at {rejection.at}: {rejection.message}. {stable} serves; "
            "change spec.rollout.retryToken to try again"
        )
    if serving.ready == 0:
        return _sentence(f"no pod of {stable} is Ready", trouble)
    if stable.name != seen.target.name:
        return f"{stable} serves; {seen.target} follows once the former canary is gone"
    count = f"{serving.ready} pod{'s' if serving.ready != 1 else ''}"
    if serving.ready < seen.replicas:
        return _sentence(f"{stable} serves with {serving.ready} of {seen.replicas} pods", serving.trouble)
    return f"{stable} serves with {count}"


def _in_rollout(picture: Picture, attempt: Attempt) -> str:
    seen, plan = picture.seen, picture.seen.plan
    if plan is None or isinstance(picture.action, Start):
        return _sentence(f"the rollout of {attempt.revision} starts", seen.unplannable)
    share = share_at(plan, attempt.step, seen.replicas)
    text = getattr(picture.action, "message", "")
    if isinstance(picture.action, Advance):
        text = f"goes on: {text}"
    where = f"step {attempt.step + 1}/{len(plan.steps)}: {share.planned} % on {attempt.revision}"
    note = f" ({picture.note})" if picture.note else ""
    return _sentence(f"{where}; {text}{note}", picture.problem)


def _sentence(text: str, trouble: Trouble | None) -> str:
    return f"{text}: {trouble.reason}: {trouble.message}" if trouble else text


def _stable(picture: Picture) -> StableStatus | None:
    stable = picture.memory.stable
    if stable is None:
        return None
    fleet = picture.seen.fleet(stable.name)
    return StableStatus(
        revision=stable.name,
        version=stable.version,
        digest=_digest(picture, stable.name),
        replicas=fleet.pods,
        ready_replicas=fleet.ready,
    )


def _canary(picture: Picture, attempt: Attempt) -> CanaryStatus:
    seen, plan = picture.seen, picture.seen.plan
    fleet = seen.fleet(attempt.revision.name)
    share = share_at(plan, attempt.step, seen.replicas) if plan else None
    before = picture.old.canary
    achieved = seen.verdict.achieved_weight if seen.verdict else None
    if achieved is None and before and before.rollout == attempt.rollout:
        achieved = before.achieved_weight
    return CanaryStatus(
        revision=attempt.revision.name,
        version=attempt.revision.version,
        digest=_digest(picture, attempt.revision.name),
        replicas=fleet.pods,
        ready_replicas=fleet.ready,
        desired_weight=share.weight if share else 0,
        planned_weight=share.planned if share else 0,
        achieved_weight=None if achieved is None else round(achieved, 1),
        rollout=attempt.rollout,
        step_index=attempt.step,
        step=f"{attempt.step + 1}/{len(plan.steps)}" if plan else "",
        started_at=times.to_wire(attempt.started_at),
        step_started_at=times.to_wire(attempt.step_started_at),
        stage_started_at=times.optional_to_wire(attempt.stage_started_at),
        unready_since=times.optional_to_wire(attempt.unready_since),
        held_since=times.optional_to_wire(attempt.held_since),
    )


def _digest(picture: Picture, revision: str) -> str | None:
    for arm in (picture.old.stable, picture.old.canary):
        if arm is not None and arm.revision == revision and arm.digest:
            return arm.digest
    return picture.digests.get(revision)


def _conditions(picture: Picture, phase: Phase, message: str) -> list[Any]:
    seen, memory, serving = picture.seen, picture.memory, picture.serving
    generation = picture.owner["metadata"].get("generation", 0)
    to = Conditions(picture.old.conditions, generation, times.to_wire(seen.now))
    if serving.ready and memory.stable:
        to.ready("True", "Serving", f"{memory.stable} answers with {serving.ready} Ready pods")
    else:
        to.ready("False", "NoReadyPods" if memory.stable else "FirstRevisionPending", message)
    moving = phase in {"Pending", "Progressing", "Paused"}
    reason = _reason(picture, phase)
    to.progressing("True" if moving else "False", reason, message)
    _promoted(to, picture, reason, message)
    _loaded(to, picture)
    _measured(to, seen.verdict if memory.attempt else None)
    stuck = picture.problem is not None or picture.rejection is not None or phase == "Degraded"
    to.stalled("True" if stuck else "False", reason if stuck else "NotStalled", message if stuck else "")
    to.reconciling("True" if moving else "False", reason, "")
    return to.all()


def _reason(picture: Picture, phase: Phase) -> str:
    if picture.problem:
        return picture.problem.reason
    if picture.memory.attempt is not None:
        return getattr(picture.action, "reason", "Started")
    if isinstance(picture.action, Bootstrap) and not picture.action.done:
        return "ProgressDeadlineExceeded" if picture.overdue else "WaitingForPods"
    if rejection := picture.rejection:
        return rejection.reason if rejection.reason == "Aborted" else "RolledBack"
    return {"Healthy": "RolloutComplete", "Degraded": "StableUnavailable"}.get(phase, "CleaningUp")


def _promoted(to: Conditions, picture: Picture, reason: str, message: str) -> None:
    stable = picture.memory.stable
    if stable is None:
        to.promoted("Unknown", reason, message)
    elif stable.name == picture.seen.target.name:
        to.promoted("True", "Promoted", f"{stable} is stable")
    else:
        to.promoted("False", reason, message)


def _loaded(to: Conditions, picture: Picture) -> None:
    memory, seen = picture.memory, picture.seen
    newest = memory.attempt.revision if memory.attempt else (memory.stable or seen.target)
    fleet = seen.fleet(newest.name)
    if fleet.trouble and not fleet.ready:
        to.model_loaded("False", fleet.trouble.reason, fleet.trouble.message)
    elif fleet.ready:
        to.model_loaded("True", "Loaded", f"{fleet.ready} pods have loaded {newest}")
    else:
        to.model_loaded("Unknown", "WaitingForPods", f"no pod of {newest} has loaded its model yet")


def _measured(to: Conditions, verdict: Verdict | None) -> None:
    if verdict is None:
        to.analysis_healthy("Unknown", "NotAnalysing", "no canary is being judged")
    elif verdict.measurable:
        to.analysis_healthy("True", verdict.reason, verdict.message)
    else:
        blind = verdict.outcome is Outcome.INCONCLUSIVE
        to.analysis_healthy("False" if blind else "Unknown", verdict.reason, verdict.message)
