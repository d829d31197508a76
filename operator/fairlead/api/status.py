"""Status of a ModelDeployment: what people, `kubectl wait` and Argo CD read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fairlead.api.base import Schema, Time

Phase = Literal["Pending", "Progressing", "Paused", "Healthy", "Degraded"]

Revision = Annotated[str, Field(description="Hash of the model and server fields: the name of a revision.")]
Version = Annotated[str, Field(description="Its spec.model.version.")]


class Condition(Schema):
    """One aspect of the state, as Kubernetes writes conditions (metav1.Condition)."""

    type: Annotated[
        str,
        Field(
            max_length=316,
            description="Ready, Progressing, Promoted, ModelLoaded, AnalysisHealthy, Stalled or Reconciling.",
        ),
    ]
    status: Annotated[Literal["True", "False", "Unknown"], Field(description="Whether it holds.")]
    reason: Annotated[str, Field(max_length=1024, description="Why, as one constant word.")]
    message: Annotated[str, Field(max_length=32768, description="Why, as a sentence with numbers.")] = ""
    observed_generation: Annotated[int, Field(description="Generation of the spec that this speaks of.")] = 0
    last_transition_time: Annotated[Time, Field(description="When `status` last changed.")]


class StableStatus(Schema):
    """The revision that serves."""

    revision: Revision
    version: Version
    digest: Annotated[str | None, Field(description="Digest of the bytes that its pods loaded.")] = None
    replicas: Annotated[int, Field(description="Its pods.")] = 0
    ready_replicas: Annotated[int, Field(description="Its pods that are Ready.")] = 0


class CanaryStatus(Schema):
    """The revision that is being rolled out. Weights are in per cent of the traffic."""

    revision: Revision
    version: Version
    digest: Annotated[str | None, Field(description="Digest of the bytes that its pods loaded.")] = None
    replicas: Annotated[int, Field(description="Its pods.")] = 0
    ready_replicas: Annotated[int, Field(description="Its pods that are Ready.")] = 0
    desired_weight: Annotated[int, Field(description="What the step asks for.")] = 0
    planned_weight: Annotated[int, Field(description="What the numbers of pods give.")] = 0
    achieved_weight: Annotated[float | None, Field(description="What was counted from requests.")] = None
    rollout: Annotated[str, Field(description="Name of the ModelRollout that keeps the record.")]
    step_index: Annotated[int, Field(description="Index of the step in force, from 0.")] = 0
    step: Annotated[str, Field(description="The step for people, as 2/5.")] = ""
    started_at: Annotated[Time, Field(description="When the rollout began.")]
    step_started_at: Annotated[Time, Field(description="When the step began.")]
    stage_started_at: Annotated[Time | None, Field(description="When the step's share was reached.")] = None
    unready_since: Annotated[Time | None, Field(description="Since when pods are missing; the deadline's clock.")] = (
        None
    )
    held_since: Annotated[Time | None, Field(description="Since when evidence is waited for in vain.")] = None


class Rejected(Schema):
    """A revision that was rolled back; not tried again until retryToken changes."""

    revision: Revision
    version: Version
    reason: Annotated[str, Field(description="Why it was rolled back, as one constant word.")]
    message: Annotated[str, Field(description="Why, as a sentence with numbers.")] = ""
    metric: Annotated[str | None, Field(description="The metric that decided it, where one did.")] = None
    retry_token: Annotated[str, Field(description="The retryToken that was in force.")] = ""
    at: Annotated[Time, Field(description="When it was rolled back.")]


class ModelDeploymentStatus(Schema):
    """What the operator did and why, in sentences and numbers."""

    observed_generation: Annotated[int, Field(description="Generation of the spec that this status speaks of.")] = 0
    phase: Annotated[
        Phase,
        Field(
            description="Pending (the first revision is not up yet), Progressing (a rollout moves), Paused (a person "
            "or evidence is waited for), Healthy (the spec's revision is stable) or Degraded (rolled back or stalled)."
        ),
    ] = "Pending"
    message: Annotated[str, Field(description="The state in one sentence.")] = ""
    url: Annotated[str | None, Field(description="Where the model answers inside the cluster.")] = None
    replicas: Annotated[int, Field(description="Pods of both revisions.")] = 0
    selector: Annotated[str, Field(description="Label selector of the pods, for the scale subresource.")] = ""
    stable: Annotated[StableStatus | None, Field(description="The revision that serves.")] = None
    canary: Annotated[
        CanaryStatus | None,
        Field(description="The revision that is being rolled out. Weights are in per cent of the traffic."),
    ] = None
    rejected: Annotated[
        list[Rejected],
        Field(max_length=100, description="Revisions that were rolled back; not tried again until retryToken changes."),
    ] = []
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16,
            description="The state by aspects, for `kubectl wait` and other tools.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []
