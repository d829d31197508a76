"""The autoscaler and the disruption budget of a ModelDeployment."""

from __future__ import annotations

from fairlead.api.base import API_VERSION
from fairlead.api.modeldeployment import ModelDeploymentSpec
from fairlead.desired.names import Manifest, labels, metadata

CPU_70: Manifest = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
}


def autoscaler(owner: Manifest, spec: ModelDeploymentSpec) -> Manifest:
    """One HPA that scales the ModelDeployment itself, so it reads the pods of both revisions."""
    name = owner["metadata"]["name"]
    custom = spec.autoscaling
    metrics = (custom.metrics if custom else None) or [CPU_70]
    behavior = {"behavior": custom.behavior} if custom and custom.behavior else {}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(owner, name),
        "spec": {
            "scaleTargetRef": {"apiVersion": API_VERSION, "kind": "ModelDeployment", "name": name},
            "minReplicas": spec.floor,
            "maxReplicas": spec.ceiling,
            "metrics": metrics,
            **behavior,
        },
    }


def disruption_budget(owner: Manifest) -> Manifest:
    """Voluntary disruptions take one serving pod at a time."""
    name = owner["metadata"]["name"]
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(owner, name),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels(name)}},
    }
