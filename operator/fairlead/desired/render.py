"""All manifests that a ModelDeployment is to have, in the order in which they are applied."""

from __future__ import annotations

from fairlead.api.modeldeployment import ModelDeploymentSpec
from fairlead.desired.layout import Layout
from fairlead.desired.names import Manifest
from fairlead.desired.scaling import autoscaler, disruption_budget
from fairlead.desired.workload import deployment, pinned_digest, service

# Above a rollout's own deadline this Deployment condition is of no use to us.
KUBERNETES_DEADLINE = 600


def render(owner: Manifest, spec: ModelDeploymentSpec, layout: Layout) -> list[Manifest]:
    """The desired children of `owner`: Services first, so that no pod is Ready before it can be reached."""
    manifests = [service(owner), disruption_budget(owner)]
    for slot in layout.slots:
        if slot.digest:
            manifests.append(pinned_digest(owner, slot.revision, slot.digest))
        manifests += [service(owner, slot.revision), deployment(owner, slot, KUBERNETES_DEADLINE)]
    if spec.autoscaled:
        manifests.append(autoscaler(owner, spec))
    return manifests
