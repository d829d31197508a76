"""What a rollout goes by, frozen when it starts: no default and no later edit changes it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fairlead.api.base import Schema


class PlanMargin(Schema):
    """canary ≤ ratio × stable + absolute, on shares between 0 and 1."""

    ratio: Annotated[float, Field(description="Factor on stable's share.")]
    absolute: Annotated[float, Field(description="Added to it, as a share between 0 and 1.")]


class PlanMetric(Schema):
    """One judged metric with its margins and its share of alpha (the weights sum to 1)."""

    name: Annotated[Literal["error-rate", "client-error-rate", "latency"], Field(description="The metric.")]
    weight: Annotated[float, Field(description="Its share of alpha.")]
    rollback: Annotated[PlanMargin, Field(description="Worse than this is a regression.")]
    promotion: Annotated[PlanMargin, Field(description="Better than this is proven.")]


class AnalysisPlan(Schema):
    """How the canary is judged. Times are in seconds."""

    enabled: Annotated[bool, Field(description="False: readiness alone decides.")] = True
    interval: Annotated[float, Field(description="Time between two looks.")] = 15.0
    warm_up: Annotated[float, Field(description="Time from a pod's first Ready that is not judged.")] = 60.0
    min_step: Annotated[float, Field(description="Shortest time before the evidence may advance.")] = 60.0
    max_step: Annotated[float, Field(description="Time after which the policy decides.")] = 600.0
    min_samples: Annotated[int, Field(description="Canary requests that NoEvidenceOfHarm needs.")] = 200
    policy: Annotated[Literal["NoEvidenceOfHarm", "ProvenNonInferior"], Field(description="What maxStep asks for.")] = (
        "NoEvidenceOfHarm"
    )
    alpha: Annotated[float, Field(description="Chance that a good model is rolled back.")] = 0.01
    beta: Annotated[float, Field(description="Chance that a bad model is called proven, per step.")] = 0.05
    on_no_data: Annotated[Literal["Hold", "Pass", "Fail"], Field(description="When the canary has no data.")] = "Hold"
    on_provider_error: Annotated[Literal["Hold", "Fail"], Field(description="When Prometheus cannot be asked.")] = (
        "Hold"
    )
    max_connection_age: Annotated[
        float,
        Field(description="Greatest age of a connection to any pod of either revision; it sets the settling time."),
    ] = 20.0
    metrics: Annotated[list[PlanMetric], Field(max_length=16, description="The judged metrics.")] = []


class PlanStep(Schema):
    """One step. `stage` is the number of setWeight steps up to and including this one."""

    kind: Annotated[Literal["SetWeight", "Pause", "Analysis", "Promote"], Field(description="What it does.")]
    weight: Annotated[int, Field(description="Share in force during the step, in per cent.")]
    stage: Annotated[int, Field(description="Number of setWeight steps up to and including this one.")]
    duration: Annotated[float | None, Field(description="Seconds of a pause; a person ends it without.")] = None


class Plan(Schema):
    """Steps and judging of one rollout. The last step is always the promotion to 100 %."""

    steps: Annotated[list[PlanStep], Field(max_length=40, description="The steps; the last is the promotion.")]
    max_overshoot: Annotated[int, Field(description="Points by which few replicas may exceed a step's weight.")] = 50
    progress_deadline: Annotated[float, Field(description="Seconds the canary's pods may take to become Ready.")] = (
        600.0
    )
    hold_timeout: Annotated[
        float | None, Field(description="Seconds that evidence is waited for; a person is waited for without it.")
    ] = None
    analysis: Annotated[AnalysisPlan, Field(description="How the canary is judged.")] = AnalysisPlan()
