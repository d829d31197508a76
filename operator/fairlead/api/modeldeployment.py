"""`ModelDeployment`: one served model and how its next version may replace it."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from fairlead.api.base import Name, Opaque, Resources, Schema, Variable, rule
from fairlead.api.modelspec import ModelSpec, SecretReference
from fairlead.api.rolloutspec import RolloutSpec


class ServerSpec(Schema):
    """What the serving pod looks like. Everything is optional."""

    image: Annotated[
        str | None, Field(max_length=512, description="Serving image; the operator's default when left out.")
    ] = None
    resources: Annotated[
        Resources | None,
        Field(description="Requests and limits of the container; requests 250m CPU and 256Mi when left out."),
    ] = None
    env: Annotated[
        list[Variable] | None,
        Field(
            max_length=64,
            description="Further environment variables (core/v1 EnvVar).",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = None
    service_account_name: Annotated[Name | None, Field(description="Service account of the pods.")] = None
    node_selector: Annotated[dict[str, str] | None, Field(description="Node labels the pods need.")] = None
    tolerations: Annotated[
        list[Opaque] | None, Field(max_length=32, description="Taints the pods tolerate (core/v1 Toleration).")
    ] = None
    affinity: Annotated[Opaque | None, Field(description="Affinity of the pods (core/v1 Affinity).")] = None
    image_pull_secrets: Annotated[
        list[SecretReference] | None, Field(max_length=16, description="Secrets for pulling the image.")
    ] = None
    pod_labels: Annotated[
        dict[str, str] | None,
        Field(
            max_length=32,
            description="Further labels of the pods.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule(
                        "self.all(key, !key.startsWith('fairlead.dev/'))",
                        "labels that begin with fairlead.dev/ are the operator's own",
                    )
                ]
            },
        ),
    ] = None
    pod_annotations: Annotated[dict[str, str] | None, Field(description="Further annotations of the pods.")] = None
    drain_seconds: Annotated[
        int | None,
        Field(ge=0, le=3600, description="Seconds a pod that must end keeps answering; 10 when left out."),
    ] = None
    max_connection_age_seconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=3600,
            description="Seconds after which a connection is closed, so that shares can move: kube-proxy "
            "balances connections, not requests. 20 when left out.",
        ),
    ] = None


class Autoscaling(Schema):
    """How the number of replicas follows the load between minReplicas and maxReplicas."""

    metrics: Annotated[
        list[Opaque] | None,
        Field(max_length=16, description="autoscaling/v2 metrics; CPU at 70 % when left out."),
    ] = None
    behavior: Annotated[Opaque | None, Field(description="autoscaling/v2 behaviour.")] = None


class ModelDeploymentSpec(Schema):
    """The model to serve, the pods that serve it and the way to the next version."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                rule(
                    "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
                    "minReplicas must not be greater than maxReplicas",
                    ".minReplicas",
                ),
            ]
        }
    )

    model: Annotated[ModelSpec, Field(description="The model: where its files are and which version they are.")]
    server: Annotated[ServerSpec, Field(description="What the serving pods look like.")] = ServerSpec()
    min_replicas: Annotated[int | None, Field(ge=1, le=1000, description="Fewest pods; 1 when left out.")] = None
    max_replicas: Annotated[
        int | None,
        Field(ge=1, le=1000, description="Most pods; minReplicas when left out. Equal: no autoscaler."),
    ] = None
    replicas: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            description="Written by the autoscaler through the scale subresource; leave it out.",
            json_schema_extra={"x-fairlead-persisted-default": True},
        ),
    ] = 1
    autoscaling: Annotated[Autoscaling | None, Field(description="How the autoscaler decides.")] = None
    rollout: Annotated[
        RolloutSpec,
        Field(
            description="How a new revision replaces the one that serves: by which steps, and on which evidence. "
            "Everything has a default. Changes apply to the next rollout; one that runs keeps the plan it started with."
        ),
    ] = RolloutSpec()
    revision_history_limit: Annotated[
        int | None, Field(ge=1, le=100, description="Old revisions and rollouts kept; 10 when left out.")
    ] = None

    @property
    def floor(self) -> int:
        """Fewest pods."""
        return self.min_replicas or 1

    @property
    def ceiling(self) -> int:
        """Most pods."""
        return max(self.max_replicas or self.floor, self.floor)

    @property
    def autoscaled(self) -> bool:
        """Whether an autoscaler may move the number of pods."""
        return self.ceiling > self.floor

    @property
    def wanted_replicas(self) -> int:
        """N: the pods that stable has while no rollout runs (and during one)."""
        return min(max(self.replicas, self.floor), self.ceiling) if self.autoscaled else self.floor
