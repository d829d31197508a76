"""From a spec to the frozen plan of one rollout, with every default written out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from fairlead.api import duration
from fairlead.api.metrictemplate import MetricTemplateSpec
from fairlead.api.plan import AnalysisPlan, Plan, PlanStep
from fairlead.api.rolloutspec import AnalysisSpec, AnalysisStep, CanaryStep, RolloutSpec
from fairlead.rollout.metrics import planned_metrics

T = TypeVar("T")
ALL = 100

DEFAULT_STEPS = (
    CanaryStep(set_weight=20),
    CanaryStep(analysis=AnalysisStep()),
    CanaryStep(set_weight=50),
    CanaryStep(analysis=AnalysisStep()),
)


def plan_of(
    rollout: RolloutSpec, max_connection_age: float, templates: Mapping[str, MetricTemplateSpec] | None = None
) -> Plan:
    """The plan that a rollout would go by.

    Args:
        rollout: as the user wrote it.
        max_connection_age: in seconds, of both revisions.
        templates: the MetricTemplates that its metrics refer to, by name.

    Raises:
        PlanError: they do not go together; see `planned_metrics`.
    """
    canary = rollout.canary
    defaults = Plan(steps=[])
    return Plan(
        steps=_steps(DEFAULT_STEPS if canary.steps is None else canary.steps),
        max_overshoot=_or(canary.max_overshoot, defaults.max_overshoot),
        progress_deadline=_or(rollout.progress_deadline_seconds, defaults.progress_deadline),
        hold_timeout=duration.parse(rollout.hold_timeout.after) if rollout.hold_timeout else None,
        analysis=_analysis(rollout.analysis, max_connection_age, templates),
    )


def _steps(steps: list[CanaryStep] | tuple[CanaryStep, ...]) -> list[PlanStep]:
    planned: list[PlanStep] = []
    weight = stage = 0
    for step in steps:
        if step.set_weight is not None:
            if step.set_weight >= ALL:
                break  # 100 at the end is implied: it is the promotion
            weight, stage = step.set_weight, stage + 1
            planned.append(PlanStep(kind="SetWeight", weight=weight, stage=stage))
        elif step.pause is not None:
            seconds = duration.parse(step.pause.duration) if step.pause.duration is not None else None
            planned.append(PlanStep(kind="Pause", weight=weight, stage=stage, duration=seconds))
        else:
            planned.append(PlanStep(kind="Analysis", weight=weight, stage=stage))
    return [*planned, PlanStep(kind="Promote", weight=100, stage=stage + 1)]


def _analysis(
    spec: AnalysisSpec, max_connection_age: float, templates: Mapping[str, MetricTemplateSpec] | None
) -> AnalysisPlan:
    defaults = AnalysisPlan()
    return AnalysisPlan(
        enabled=not spec.disabled,
        interval=max(1.0, _seconds(spec.interval, defaults.interval)),
        warm_up=_seconds(spec.warm_up, defaults.warm_up),
        min_step=_seconds(spec.min_step, defaults.min_step),
        max_step=_seconds(spec.max_step, defaults.max_step),
        min_samples=_or(spec.min_samples, defaults.min_samples),
        policy=_or(spec.policy, defaults.policy),
        alpha=_or(spec.alpha, defaults.alpha),
        beta=_or(spec.beta, defaults.beta),
        on_no_data=_or(spec.on_no_data, defaults.on_no_data),
        on_provider_error=_or(spec.on_provider_error, defaults.on_provider_error),
        max_connection_age=max_connection_age,
        metrics=planned_metrics(spec.metrics, templates),
    )


def _seconds(text: str | None, default: float) -> float:
    return default if text is None else duration.parse(text)


def _or(value: T | None, default: T) -> T:
    return default if value is None else value
