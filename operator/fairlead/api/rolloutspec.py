"""`spec.rollout` of a ModelDeployment: the steps to a new revision and how it is judged on the way."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from fairlead.api.base import Duration, Schema, WholeDuration, in_order, rule
from fairlead.api.metricspec import Metric

# A plain `maximum` would be told as a whole number, "less than or equal to 0".
_CHANCE: JsonDict = {"x-kubernetes-validations": [rule("self > 0.0 && self <= 0.5", "must be above 0 and at most 0.5")]}


class Pause(Schema):
    """Wait, for a time or for a person."""

    duration: Annotated[
        Duration | None,
        Field(
            description="How long to wait, as 10m. Without it the rollout waits for a person, who sets the annotation "
            "fairlead.dev/promote to ROLLOUT/STEP."
        ),
    ] = None


class AnalysisStep(Schema):
    """Wait until the evidence says that the canary may go on."""


class CanaryStep(Schema):
    """One step: exactly one of setWeight, pause or analysis."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                rule(
                    "[has(self.setWeight), has(self.pause), has(self.analysis)].filter(x, x).size() == 1",
                    "a step holds exactly one of setWeight, pause or analysis; write pause: {} for one that waits "
                    "for a person",
                )
            ]
        }
    )

    set_weight: Annotated[
        int | None, Field(ge=1, le=100, description="Share of the traffic for the canary, in per cent.")
    ] = None
    pause: Annotated[
        Pause | None, Field(description="Wait for a duration, or with {} for a person. Judging goes on meanwhile.")
    ] = None
    analysis: Annotated[
        AnalysisStep | None, Field(description="Wait here until the evidence suffices, or maxStep decides.")
    ] = None


class Canary(Schema):
    """Move traffic to the new revision step by step while the old one is kept whole."""

    steps: Annotated[
        list[CanaryStep] | None,
        Field(
            max_length=32,
            description="The steps in their order: setWeight, pause or analysis each, the weights ascending. 20 % and "
            "50 % with an analysis after each when left out. 100 % follows the last.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule(
                        "self.filter(s, has(s.setWeight)).size() < 2 || "
                        "self.filter(s, has(s.setWeight)).map(s, s.setWeight)"
                        ".isSorted()",
                        "the weights of the steps must ascend",
                    ),
                    rule(
                        "self.filter(s, has(s.setWeight)).all(s, self.exists_one(o, "
                        "has(o.setWeight) && o.setWeight == s.setWeight))",
                        "the weights of the steps must ascend: one weight stands twice",
                    ),
                    rule(
                        "self.size() == 0 || has(self[0].setWeight)",
                        "the first step must be a setWeight: before it the canary has no traffic",
                    ),
                ]
            },
        ),
    ] = None
    max_overshoot: Annotated[
        int | None,
        Field(
            ge=0,
            le=100,
            description="Points by which few replicas may exceed a step's weight; beyond it the step waits. "
            "50 when left out, so that one pod beside one pod may start.",
        ),
    ] = None


class AnalysisSpec(Schema):
    """How the canary is judged against stable."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [in_order("minStep", "maxStep")]})

    disabled: Annotated[
        bool, Field(description="Roll out on the readiness of the pods alone, without any judging.")
    ] = False
    interval: Annotated[
        WholeDuration | None, Field(description="Time between two looks, at least 1s; 15s when left out.")
    ] = None
    warm_up: Annotated[
        Duration | None, Field(description="Time from a pod's first Ready that is not judged; 60s when left out.")
    ] = None
    min_step: Annotated[
        Duration | None, Field(description="Shortest time before the evidence may advance; 1m when left out.")
    ] = None
    max_step: Annotated[
        WholeDuration | None, Field(description="Time after which the policy decides; 10m when left out.")
    ] = None
    min_samples: Annotated[
        int | None,
        Field(ge=1, le=10_000_000, description="Canary requests that NoEvidenceOfHarm needs; 200 when left out."),
    ] = None
    policy: Annotated[
        Literal["NoEvidenceOfHarm", "ProvenNonInferior"] | None,
        Field(
            description="What maxStep asks for: NoEvidenceOfHarm (default: enough requests and estimates within the "
            "margins) or ProvenNonInferior (proof for every metric, else wait for a person)."
        ),
    ] = None
    alpha: Annotated[
        float | None,
        Field(
            description="Chance that a good model is rolled back, whole rollout; 0.01 when left out.",
            json_schema_extra=_CHANCE,
        ),
    ] = None
    beta: Annotated[
        float | None,
        Field(
            description="Chance that a bad model is called proven, per step; 0.05 when left out.",
            json_schema_extra=_CHANCE,
        ),
    ] = None
    metrics: Annotated[
        list[Metric] | None,
        Field(
            min_length=1,
            max_length=16,
            description="The metrics; errors, latency, client errors, the distributions of predictions and inputs, and "
            "accuracy when left out.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule(
                        "self.all(m, self.exists_one(o, o.name == m.name))",
                        "two metrics have the same name",
                    )
                ]
            },
        ),
    ] = None
    on_no_data: Annotated[
        Literal["Hold", "Pass", "Fail"] | None,
        Field(description="When the canary has no data: Hold (default), Pass or Fail."),
    ] = None
    on_provider_error: Annotated[
        Literal["Hold", "Fail"] | None, Field(description="When Prometheus cannot be asked: Hold (default) or Fail.")
    ] = None


class HoldTimeout(Schema):
    """An end to waiting for evidence."""

    after: Annotated[
        WholeDuration, Field(description="How long missing or inconclusive evidence is waited for, as 24h.")
    ]
    action: Annotated[Literal["Rollback"], Field(description="What happens then.")] = "Rollback"


class RolloutSpec(Schema):
    """How a new revision replaces the old one."""

    canary: Annotated[
        Canary,
        Field(description="Move traffic to the new revision step by step while the old one is kept whole."),
    ] = Canary()
    analysis: Annotated[
        AnalysisSpec,
        Field(
            description="How the canary is judged against stable, from its first request to the end of the rollout: a "
            "regression rolls back during a pause too."
        ),
    ] = AnalysisSpec()
    progress_deadline_seconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=86400,
            description="Seconds that the canary's pods may take to become Ready; 600 when left out. Pauses and "
            "evidence do not count.",
        ),
    ] = None
    hold_timeout: Annotated[
        HoldTimeout | None, Field(description="An end to waiting for evidence; a person is waited for without it.")
    ] = None
    retry_token: Annotated[
        str | None, Field(max_length=253, description="Change it to try a rejected revision again.")
    ] = None
