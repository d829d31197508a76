"""The next move of a rollout: pure, total, at most one step a call."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from fairlead.api import duration
from fairlead.api.plan import Plan, PlanStep
from fairlead.api.verdict import Outcome, Reason, Verdict
from fairlead.rollout.shares import Share, share_at
from fairlead.rollout.state import (
    Action,
    Advance,
    Attempt,
    Bootstrap,
    Fleet,
    Hold,
    Observation,
    Promote,
    Rollback,
    Settle,
    Start,
    Supersede,
    Trouble,
)
from fairlead.rollout.steps import may_go_on

# Kubelet waits at most 5 min before it starts a crashed container again: one that crashed within
# this time has not proven that it stays up.
CRASH_MEMORY = 360.0
BLIND = Verdict(Outcome.CONTINUE, Reason.COLLECTING, "no request of the canary has been judged yet", measurable=False)
UNJUDGED = Verdict(Outcome.ADVANCE, Reason.DISABLED, "analysis is disabled: the readiness of the pods decides")


def decide(seen: Observation) -> Action:
    """The one action that brings what was seen closer to what the spec asks for."""
    if seen.attempt is not None and seen.plan is not None and seen.stable is not None:
        return _Rollout(seen, seen.attempt, seen.plan).next()
    if seen.stable is None:
        fleet = seen.fleet(seen.target.name)
        return Bootstrap(done=fleet.wanted > 0 and fleet.ready >= seen.replicas)
    if seen.unplannable is not None:
        return _without_plan(seen, seen.unplannable)
    if seen.target.name == seen.stable.name or is_rejected(seen) or seen.leftovers:
        return Settle()
    return Start()


def _without_plan(seen: Observation, why: Trouble) -> Action:
    """No rollout starts blindly, and one whose record is lost ends or waits."""
    if seen.attempt is None:
        return Settle()
    if seen.target.name == seen.attempt.revision.name:
        return Hold(seen.attempt, why.reason, why.message, paused=True)
    return Supersede("Superseded", f"the spec asks for {seen.target}: the rollout of {seen.attempt.revision} ends")


def is_rejected(seen: Observation) -> bool:
    """Whether the target was rolled back and nobody has asked for another try."""
    rejection = seen.rejected.get(seen.target.name)
    return rejection is not None and rejection.retry_token == seen.retry_token


class _Rollout:
    """One look at a running rollout."""

    def __init__(self, seen: Observation, attempt: Attempt, plan: Plan) -> None:
        self.seen = seen
        self.plan = plan
        self.step: PlanStep = plan.steps[min(attempt.step, len(plan.steps) - 1)]
        self.share: Share = share_at(plan, attempt.step, seen.replicas)
        self.fleet: Fleet = seen.fleet(attempt.revision.name)
        self.verdict: Verdict = (seen.verdict or BLIND) if plan.analysis.enabled else UNJUDGED
        self.attempt: Attempt = self._clocks(attempt)

    def next(self) -> Action:
        return self._ended() or self._failed() or self._held() or self._step()

    @property
    def complete(self) -> bool:
        """Whether the canary has all the pods of the share in force, Ready."""
        return self.fleet.wanted >= self.share.replicas > 0 and self.fleet.ready >= self.share.replicas

    def _clocks(self, attempt: Attempt) -> Attempt:
        now = self.seen.now
        crashed = self.fleet.last_crash is not None and (
            now - self.fleet.last_crash < min(CRASH_MEMORY, self.plan.progress_deadline / 2)
        )
        steady = self.share.replicas == 0 or (self.complete and not crashed)
        waiting = self.verdict.outcome is Outcome.INCONCLUSIVE
        reached = self.complete and not self.share.blocked
        return replace(
            attempt,
            unready_since=None if steady else (attempt.unready_since or now),
            held_since=(attempt.held_since or now) if waiting else None,
            stage_started_at=attempt.stage_started_at or (now if reached else None),
        )

    def _ended(self) -> Action | None:
        seen, canary, stable = self.seen, self.attempt.revision, self.seen.stable
        if seen.target.name == canary.name or stable is None:
            return None
        if seen.target.name == stable.name:
            text = f"the spec asks for {stable} again, which serves: the rollout of {canary} ends"
            return Supersede("Reverted", text)
        text = f"the spec asks for {seen.target}: the rollout of {canary} ends"
        return Supersede("Superseded", text)

    def _failed(self) -> Action | None:
        now, attempt, plan = self.seen.now, self.attempt, self.plan
        if self.seen.commands.abort:
            return Rollback("Aborted", f"{attempt.revision} was aborted by the annotation fairlead.dev/abort")
        if attempt.unready_since is not None and now - attempt.unready_since >= plan.progress_deadline:
            return Rollback("ProgressDeadlineExceeded", f"{self._pods()} for {duration.render(plan.progress_deadline)}")
        if self.verdict.outcome is Outcome.ROLLBACK and not self.seen.commands.promote_full:
            return Rollback(self.verdict.reason, self.verdict.message, self.verdict.culprit)
        timeout = plan.hold_timeout
        if timeout is not None and attempt.held_since is not None and now - attempt.held_since >= timeout:
            text = f"no conclusive evidence for {duration.render(timeout)} (holdTimeout): {self.verdict.message}"
            return Rollback("HoldTimeout", text)
        return None

    def _held(self) -> Action | None:
        if self.seen.commands.pause:
            text = "held by the annotation fairlead.dev/pause; remove it to go on"
            return self._hold("PausedByUser", text, paused=True)
        if self.seen.commands.promote_full and self.step.kind != "Promote":
            last = len(self.plan.steps) - 1
            return self._go(last, "PromotedByUser", "the annotation fairlead.dev/promote asks for full promotion")
        if self.share.blocked:
            return self._hold("MaxOvershootExceeded", self.share.blocked, paused=True)
        if not self.complete:
            return self._hold("WaitingForPods", self._pods())
        if self.seen.commands.promote_step == self.attempt.step and self.step.kind != "Promote":
            return self._advance("PromotedByUser", "the annotation fairlead.dev/promote asks to go on")
        return None

    def _step(self) -> Action:
        match self.step.kind:
            case "SetWeight":
                following = self.plan.steps[self.attempt.step + 1].kind
                if following in {"Pause", "Analysis"}:
                    return self._advance("WeightReached", f"{self.share.planned} % reached with {self._sizes()}")
                return self._gate() or self._advance("WeightReached", self.verdict.message)
            case "Pause" if self.step.duration is None:
                command = f"fairlead.dev/promote={self.attempt.rollout}/{self.attempt.step + 1}"
                text = f"waiting for a person: annotate with {command} to go on; {self.verdict.message}"
                return self._hold("WaitingForPerson", text, paused=True)
            case "Pause":
                until = self.attempt.step_started_at + (self.step.duration or 0.0)
                if self.seen.now < until:
                    return self._hold("Pausing", f"until {clock(until)}; {self.verdict.message}", until=until)
                return self._gate() or self._advance("PauseOver", self.verdict.message)
            case "Analysis":
                if self.verdict.outcome is Outcome.ADVANCE:
                    return self._advance(self.verdict.reason, self.verdict.message)
                waiting = self.verdict.outcome is Outcome.INCONCLUSIVE
                return self._hold(self.verdict.reason, self.verdict.message, paused=waiting)
            case "Promote":
                text = f"{self.attempt.revision} serves all requests with {self.fleet.ready} pods"
                return Promote("Promoted", text)

    def _gate(self) -> Action | None:
        """Nothing goes on blindly: a step is left only while the canary can be measured and nothing holds it."""
        if may_go_on(self.verdict.reason, measurable=self.verdict.measurable):
            return None
        waiting = self.verdict.outcome is Outcome.INCONCLUSIVE
        return self._hold(self.verdict.reason, self.verdict.message, paused=waiting)

    def _advance(self, reason: str, message: str) -> Advance:
        return self._go(self.attempt.step + 1, reason, message)

    def _go(self, step: int, reason: str, message: str) -> Advance:
        now = self.seen.now
        same = self.plan.steps[step].stage == self.step.stage
        moved = replace(
            self.attempt,
            step=step,
            step_started_at=now,
            stage_started_at=self.attempt.stage_started_at if same else None,
        )
        return Advance(moved, reason, message)

    def _hold(self, reason: str, message: str, *, paused: bool = False, until: float | None = None) -> Hold:
        return Hold(self.attempt, reason, message, paused=paused, until=until)

    def _sizes(self) -> str:
        return f"{self.share.replicas} pod{'s' if self.share.replicas != 1 else ''} beside {self.seen.replicas}"

    def _pods(self) -> str:
        text = f"{self.fleet.ready} of {self.share.replicas} pods of {self.attempt.revision} are Ready"
        trouble = self.fleet.trouble
        return f"{text}: {trouble.reason}: {trouble.message}" if trouble else text


def clock(when: float) -> str:
    """An absolute time for people, to the second, in UTC."""
    return datetime.fromtimestamp(when, UTC).strftime("%H:%M:%S UTC")
