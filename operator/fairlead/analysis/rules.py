"""The rules for a rollout's settings that otherwise the API server holds: for settings that it never saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from fairlead.api import duration
from fairlead.api.rolloutspec import AnalysisSpec, RolloutSpec

MOST_CHANCE = 0.5


def broken(spec: RolloutSpec) -> str | None:
    """The first rule that the settings break, with the field's path; None when all hold.

    Raises ValueError for what is not a duration.
    """
    return next(chain(_steps(spec), _analysis(spec.analysis)), None)


def _steps(spec: RolloutSpec) -> Iterator[str]:
    steps = spec.canary.steps or []
    for place, step in enumerate(steps):
        if sum(part is not None for part in (step.set_weight, step.pause, step.analysis)) != 1:
            yield f"canary.steps.{place}: a step holds exactly one of setWeight, pause or analysis"
    if steps and steps[0].set_weight is None:
        yield "canary.steps.0: the first step must be a setWeight: before it the canary has no traffic"
    weights = [step.set_weight for step in steps if step.set_weight is not None]
    if weights != sorted(set(weights)):
        yield "canary.steps: the weights of the steps must ascend"


def _analysis(spec: AnalysisSpec) -> Iterator[str]:
    for name, chance in (("alpha", spec.alpha), ("beta", spec.beta)):
        if chance is not None and not 0 < chance <= MOST_CHANCE:
            yield f"analysis.{name}: must be above 0 and at most {MOST_CHANCE}"
    if spec.min_step and spec.max_step and duration.parse(spec.min_step) > duration.parse(spec.max_step):
        yield "analysis.minStep: minStep must not be longer than maxStep"
    names = Counter(metric.name for metric in spec.metrics or ())
    if twice := [name for name, count in names.items() if count > 1]:
        yield f"analysis.metrics: two metrics have the name {twice[0]}"
