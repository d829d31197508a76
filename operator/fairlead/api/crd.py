"""The CustomResourceDefinitions, made from the types that the operator itself reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlead.api.base import GROUP, VERSION, rule
from fairlead.api.metrictemplate import MetricTemplateSpec
from fairlead.api.modeldeployment import ModelDeploymentSpec
from fairlead.api.modelrollout import ModelRolloutSpec, ModelRolloutStatus
from fairlead.api.status import ModelDeploymentStatus
from fairlead.api.structural import structural

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.config import JsonDict

_API_VERSION = "Version of this object's schema, as fairlead.dev/v1alpha1."
_NAME_RULES = (
    rule(
        "self.metadata.name.size() <= 50",
        "the name must not be longer than 50 characters: the names of what is made for the model begin with it",
        ".metadata.name",
    ),
    rule(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "the name must be a DNS label: lower-case letters, digits and '-', beginning with a letter and ending with "
        "a letter or digit; it is the name of a Service and part of the model's URLs",
        ".metadata.name",
    ),
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; priority 1 shows it only with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""

    def to_wire(self) -> dict[str, Any]:
        """As the CRD has it."""
        wire: dict[str, Any] = {"name": self.name, "type": self.type, "jsonPath": self.path}
        if self.description:
            wire["description"] = self.description
        return wire | ({"priority": self.priority} if self.priority else {})


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind: its names, its types and what `kubectl get` shows."""

    kind: str
    short_name: str
    description: str
    spec: type[BaseModel]
    status: type[BaseModel] | None
    columns: tuple[Column, ...]
    rules: tuple[JsonDict, ...] = ()
    scalable: bool = False

    @property
    def plural(self) -> str:
        """Plural in lower case, as in URLs."""
        return f"{self.kind.lower()}s"


_AGE = Column("Age", ".metadata.creationTimestamp", "date")

MODEL_DEPLOYMENT = Resource(
    kind="ModelDeployment",
    short_name="mdep",
    description="One served model and how its next version may replace it. `spec.model` is all that is needed; a "
    "changed `model` or `server` starts a canary rollout that is judged on the evidence of real requests.",
    spec=ModelDeploymentSpec,
    status=ModelDeploymentStatus,
    columns=(
        Column("Phase", ".status.phase", description="Pending, Progressing, Paused, Healthy or Degraded"),
        Column("Stable", ".status.stable.version", description="Version that serves"),
        Column("Canary", ".status.canary.version", description="Version that is being rolled out"),
        Column("Weight", ".status.canary.plannedWeight", "integer", description="Share of the canary in per cent"),
        Column("Step", ".status.canary.step", description="Step of the rollout"),
        Column("Message", ".status.message", priority=1, description="The state in one sentence"),
        _AGE,
    ),
    rules=_NAME_RULES,
    scalable=True,
)

MODEL_ROLLOUT = Resource(
    kind="ModelRollout",
    short_name="mro",
    description="The record of one attempt to roll a revision out: what was measured, what was decided and why. "
    "Written by the operator, owned by the ModelDeployment and kept up to its revisionHistoryLimit.",
    spec=ModelRolloutSpec,
    status=ModelRolloutStatus,
    columns=(
        # With names of up to 19 characters these fit into 80 columns; the name says which model it is.
        Column("Version", ".spec.version", description="Version that is rolled out"),
        Column("Phase", ".status.phase", description="How far it is or how it ended"),
        Column("Step", ".status.step", description="Step of the rollout"),
        Column("Evidence", ".status.evidence", description="Evidence against the canary and its bar"),
        Column("Culprit", ".status.culprit", description="Metric that decided a rollback"),
        Column("Model", ".spec.modelDeployment", priority=1, description="The ModelDeployment"),
        Column("From", ".spec.stableVersion", priority=1, description="Version that served before"),
        Column("Weight", ".status.weight", "integer", 1, "Share that the step asks for, in per cent"),
        Column("Message", ".status.message", priority=1, description="The newest decision in one sentence"),
        _AGE,
    ),
)

METRIC_TEMPLATE = Resource(
    kind="MetricTemplate",
    short_name="mtpl",
    description="A query and its threshold, shared by the ModelDeployments of the namespace that refer to it. It is "
    "read when a rollout starts; a later change reaches the next one.",
    spec=MetricTemplateSpec,
    status=None,
    columns=(Column("Query", ".spec.query", description="What is asked"), _AGE),
)

RESOURCES = (MODEL_DEPLOYMENT, MODEL_ROLLOUT, METRIC_TEMPLATE)


def manifest(resource: Resource) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind, ready for YAML.

    Raises:
        UnsupportedSchemaError: a type that a CRD cannot express.
    """
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": [resource.short_name],
                "categories": ["fairlead"],
            },
            "scope": "Namespaced",
            "versions": [_version(resource)],
        },
    }


def _version(resource: Resource) -> dict[str, Any]:
    subresources: dict[str, Any] = {"status": {}} if resource.status else {}
    if resource.scalable:
        subresources["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": subresources,
        "additionalPrinterColumns": [column.to_wire() for column in resource.columns],
        "schema": {"openAPIV3Schema": _root(resource)},
    }


def _root(resource: Resource) -> dict[str, Any]:
    root: dict[str, Any] = {
        "description": resource.description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": _API_VERSION, "type": "string"},
            "kind": {"description": resource.kind, "type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(resource.spec),
        },
    }
    if resource.status:
        root["properties"]["status"] = structural(resource.status)
    if resource.rules:
        root["properties"]["metadata"]["properties"] = {"name": {"type": "string"}}
        root["x-kubernetes-validations"] = list(resource.rules)
    return root
