"""The pod that serves one revision: the shared serving image, told by environment what to serve."""

from __future__ import annotations

import re

from fairlead.api.modeldeployment import ModelDeploymentSpec
from fairlead.api.modelspec import ModelSpec
from fairlead.api.settings import ServingDefaults
from fairlead.desired import modelsource
from fairlead.desired.names import DIGEST_KEY, GRPC_PORT, SERVING_PORT, Manifest, labels, of_revision

CONTAINER = "model"
CACHE = "/var/cache/fairlead"
WORKERS = "FAIRLEAD_WORKERS"
_CORES = re.compile(r"([0-9.]+)(m?)")
# Requests have defaults since a CPU autoscaler needs them; a memory limit has none, since only the
# user knows the model.
RESOURCES: Manifest = {"requests": {"cpu": "250m", "memory": "256Mi"}}
USER = 65532
# Beyond the drain: the model's last answers and the interpreter's end.
GRACE_SECONDS = 15


def pod_template(
    name: str, spec: ModelDeploymentSpec, revision: str, version: str, serving: ServingDefaults
) -> Manifest:
    """The pod template of a revision; it is stored with the revision and never rendered anew."""
    server = spec.server
    drain = serving.drain_seconds if server.drain_seconds is None else server.drain_seconds
    optional = {
        "serviceAccountName": server.service_account_name,
        "nodeSelector": server.node_selector,
        "tolerations": server.tolerations,
        "affinity": server.affinity,
        "imagePullSecrets": [ref.to_wire() for ref in server.image_pull_secrets or []],
    }
    return {
        "metadata": {
            "labels": {**(server.pod_labels or {}), **labels(name, revision)},
            "annotations": {
                "prometheus.io/scrape": "true",
                "prometheus.io/port": str(SERVING_PORT),
                "prometheus.io/path": "/metrics",
                **(server.pod_annotations or {}),
            },
        },
        "spec": {
            "containers": [_container(name, spec, revision, version, serving)],
            "volumes": [
                {"name": "cache", "emptyDir": {}},
                {"name": "tmp", "emptyDir": {}},
                *modelsource.volumes(spec.model),
            ],
            "terminationGracePeriodSeconds": drain + GRACE_SECONDS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            **{key: value for key, value in optional.items() if value},
        },
    }


def _container(name: str, spec: ModelDeploymentSpec, revision: str, version: str, serving: ServingDefaults) -> Manifest:
    server = spec.server
    container: Manifest = {
        "name": CONTAINER,
        "image": server.image or serving.image,
        "imagePullPolicy": serving.pull_policy,
        "ports": [
            {"name": "http", "containerPort": SERVING_PORT, "protocol": "TCP"},
            {"name": "grpc", "containerPort": GRPC_PORT, "protocol": "TCP"},
        ],
        "env": _environment(name, spec, revision, version, serving),
        "resources": server.resources or RESOURCES,
        "readinessProbe": {
            "httpGet": {"path": f"/v2/models/{name}/versions/{version}/ready", "port": "http"},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
            "failureThreshold": 3,
        },
        "livenessProbe": {
            "httpGet": {"path": "/v2/health/live", "port": "http"},
            "initialDelaySeconds": 10,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "cache", "mountPath": CACHE},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # the container's own
            *modelsource.mounts(spec.model),
        ],
    }
    given = modelsource.variables_from(spec.model)
    return {**container, "envFrom": given} if given else container


def _environment(
    name: str, spec: ModelDeploymentSpec, revision: str, version: str, serving: ServingDefaults
) -> list[Manifest]:
    server = spec.server
    age = server.max_connection_age_seconds or serving.max_connection_age_seconds
    drain = serving.drain_seconds if server.drain_seconds is None else server.drain_seconds
    values = {
        "FAIRLEAD_MODEL_NAME": name,
        "FAIRLEAD_MODEL_VERSION": version,
        "FAIRLEAD_REVISION": revision,
        "FAIRLEAD_HTTP_PORT": str(SERVING_PORT),
        "FAIRLEAD_GRPC_PORT": str(GRPC_PORT),
        "FAIRLEAD_CACHE_DIR": CACHE,
        "FAIRLEAD_DRAIN_SECONDS": str(drain),
        "FAIRLEAD_MAX_CONNECTION_AGE_SECONDS": str(age),
    }
    own: list[Manifest] = [{"name": key, "value": value} for key, value in values.items()]
    own += [*modelsource.environment(spec.model), _digest(name, spec.model, revision)]
    given = {entry.get("name") for entry in server.env or []}
    if WORKERS not in given:
        own.append({"name": WORKERS, "value": str(_workers(server.resources or RESOURCES))})
    taken = {entry["name"] for entry in own}
    return own + [entry for entry in server.env or [] if entry.get("name") not in taken]


def _workers(resources: Manifest) -> int:
    """One worker process a whole core that the pod may count on; the cores of its node are not all its own."""
    for kind in ("limits", "requests"):
        cpu = str((resources.get(kind) or {}).get("cpu") or "")
        cores = _CORES.fullmatch(cpu)
        if cores:
            return max(1, int(float(cores[1]) / (1000 if cores[2] else 1)))
    return 1


def _digest(name: str, model: ModelSpec, revision: str) -> Manifest:
    """The user's digest, else the one that the revision's first pod reported, once it is known."""
    variable = "FAIRLEAD_MODEL_DIGEST"
    if model.digest:
        return {"name": variable, "value": model.digest}
    pinned = {"name": of_revision(name, revision), "key": DIGEST_KEY, "optional": True}
    return {"name": variable, "valueFrom": {"configMapKeyRef": pinned}}
