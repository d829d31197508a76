"""What runs the pods of a revision and what leads to them."""

from __future__ import annotations

from fairlead.desired.layout import Slot
from fairlead.desired.names import (
    DIGEST_KEY,
    GRPC_PORT,
    SERVICE_PORT,
    Manifest,
    labels,
    metadata,
    of_revision,
)


def deployment(owner: Manifest, slot: Slot, progress_deadline: int) -> Manifest:
    """The Deployment of one revision. Promotion changes nothing in it, so no pod restarts."""
    name = owner["metadata"]["name"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(owner, of_revision(name, slot.revision), slot.revision),
        "spec": {
            "replicas": slot.replicas,
            "selector": {"matchLabels": labels(name, slot.revision)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "progressDeadlineSeconds": progress_deadline,
            "revisionHistoryLimit": 0,
            "template": slot.template,
        },
    }


def pinned_digest(owner: Manifest, revision: str, digest: str) -> Manifest:
    """What the first pod of a revision loaded: every later container must load the same bytes."""
    name = of_revision(owner["metadata"]["name"], revision)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(owner, name, revision),
        "data": {DIGEST_KEY: digest},
    }


def service(owner: Manifest, revision: str | None = None) -> Manifest:
    """The Service of all pods, whose shares are the shares of the pods; or that of one revision.

    Paths with /versions/{v} belong on the latter: another version's pod answers them with 404.
    """
    name = owner["metadata"]["name"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(owner, of_revision(name, revision) if revision else name, revision),
        "spec": {
            "selector": labels(name, revision),
            "ports": [
                {"name": "http", "port": SERVICE_PORT, "targetPort": "http", "protocol": "TCP"},
                {"name": "grpc", "port": GRPC_PORT, "targetPort": "grpc", "protocol": "TCP"},
            ],
        },
    }
