"""Every name, label and annotation that Fairlead gives, in one place."""

from __future__ import annotations

from typing import Any

from fairlead.api.base import API_VERSION, GROUP

MANAGED_BY = "app.kubernetes.io/managed-by"
MODEL_DEPLOYMENT = f"{GROUP}/model-deployment"
REVISION = f"{GROUP}/revision"

ROLE = f"{GROUP}/role"
VERDICT = f"{GROUP}/verdict"

PROMOTE = f"{GROUP}/promote"
ABORT = f"{GROUP}/abort"
PAUSE = f"{GROUP}/pause"

DIGEST_KEY = "digest"
SERVING_PORT = 8080
GRPC_PORT = 8081
SERVICE_PORT = 80

Manifest = dict[str, Any]


def of_revision(name: str, revision: str) -> str:
    """Name of what exists once per revision: Deployment, Service, ControllerRevision."""
    return f"{name}-{revision}"


def rollout(name: str, revision: str, attempt: int) -> str:
    """Name of the ModelRollout of an attempt."""
    return f"{name}-{revision}-{attempt}"


def labels(name: str, revision: str | None = None) -> dict[str, str]:
    """Labels of all that belongs to ModelDeployment `name` (and to one revision of it)."""
    own = {MANAGED_BY: "fairlead", MODEL_DEPLOYMENT: name}
    return own | {REVISION: revision} if revision else own


def selector(name: str) -> str:
    """Label selector of the pods of both revisions, as the scale subresource wants it."""
    return f"{MODEL_DEPLOYMENT}={name},{MANAGED_BY}=fairlead"


def url(name: str, namespace: str) -> str:
    """Where the model answers inside the cluster."""
    return f"http://{name}.{namespace}.svc"


def metadata(owner: Manifest, name: str, revision: str | None = None) -> Manifest:
    """Metadata of a child of `owner` (a ModelDeployment): it goes when the owner goes."""
    meta = owner["metadata"]
    return {
        "name": name,
        "namespace": meta["namespace"],
        "labels": labels(meta["name"], revision),
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": "ModelDeployment",
                "name": meta["name"],
                "uid": meta["uid"],
                "controller": True,
            }
        ],
    }
