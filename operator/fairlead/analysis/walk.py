"""A replay's way through the steps of a plan."""

from __future__ import annotations

from fairlead.analysis.finding import Finding
from fairlead.api.plan import Plan
from fairlead.api.verdict import Outcome
from fairlead.rollout.steps import leaves


class Walk:
    """Where a replay is in its plan. Nobody is asked in recorded time: a pause for a person is over at once."""

    def __init__(self, plan: Plan) -> None:
        nobody = [step.model_copy(update={"duration": step.duration or 0.0}) for step in plan.steps]
        self._plan = plan.model_copy(update={"steps": nobody})
        self.step = 0
        self.stage_began = self._step_began = 0.0
        self._pass_weights()

    @property
    def stage(self) -> int:
        """Number of the share in force."""
        return self._plan.steps[self.step].stage

    @property
    def weight(self) -> int:
        """The share in force, in per cent."""
        return self._plan.steps[self.step].weight

    def go_on(self, t: float, finding: Finding) -> str:
        """Take the verdict at `t`; returns what it comes to in the step in force."""
        if finding.outcome is Outcome.ROLLBACK:
            return "Rollback"
        if self._leaves(t, finding):
            stage = self.stage
            self.step, self._step_began = self.step + 1, t
            if self.stage != stage:
                self.stage_began = t
            self._pass_weights()
            return "Promote" if self._over else "Advance"
        if self._over:
            return "Promote"
        return "Inconclusive" if finding.outcome is Outcome.INCONCLUSIVE else "Continue"

    @property
    def _over(self) -> bool:
        return self._plan.steps[self.step].kind == "Promote"

    def _leaves(self, t: float, finding: Finding) -> bool:
        return leaves(
            self._plan,
            self.step,
            t - self._step_began,
            finding.outcome,
            finding.reason,
            measurable=finding.measurable,
        )

    def _pass_weights(self) -> None:
        """A share is reached at once, and what follows it is the step that is waited in."""
        steps = self._plan.steps
        while steps[self.step].kind == "SetWeight" and steps[self.step + 1].kind in ("Pause", "Analysis"):
            self.step += 1
