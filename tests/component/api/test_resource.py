"""The kinds as kubectl and other tools see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.component.api.objects import MODEL, Object, model_deployment

if TYPE_CHECKING:
    from tests.cluster.control_plane import ControlPlane


def test_a_model_alone_is_enough(plane: ControlPlane, namespace: str) -> None:
    """Nothing is written into the spec but replicas, which the autoscaler needs to exist."""
    _create(plane, namespace, model_deployment())
    assert _get(plane, namespace)["spec"] == {"model": MODEL, "replicas": 1}


def test_everything_is_stored_as_written(plane: ControlPlane, namespace: str) -> None:
    """No field of the example in the documentation is lost or changed."""
    spec: Object = {
        "model": MODEL
        | {
            "modelFormat": {"name": "sklearn"},
            "version": "7",
            "digest": f"sha256:{'0' * 64}",
            "signature": {"file": "model.sig", "caBundle": {"secretKeyRef": {"name": "ca", "key": "ca.crt"}}},
            "storage": {"secretRef": {"name": "s3-credentials"}, "endpoint": "http://s3:7070", "region": "eu-1"},
        },
        "server": {
            "image": "registry.example/serving:1",
            "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
            "env": [{"name": "A", "value": "b"}, {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}],
            "serviceAccountName": "models",
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "imagePullSecrets": [{"name": "registry"}],
            "podLabels": {"team": "risk"},
            "podAnnotations": {"a/b": "c"},
        },
        "minReplicas": 2,
        "maxReplicas": 10,
        "replicas": 4,
        "autoscaling": {
            "metrics": [{"type": "Resource", "resource": {"name": "cpu"}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
        },
        "rollout": {
            "canary": {"steps": [{"setWeight": 5}, {"pause": {"duration": "10m"}}, {"analysis": {}}, {"pause": {}}]},
            "analysis": {
                "interval": "15s",
                "metrics": [{"name": "latency", "weight": 1, "rollbackMargin": {"ratio": 1.1, "absolute": 0.01}}],
            },
            "progressDeadlineSeconds": 600,
            "holdTimeout": {"after": "24h", "action": "Rollback"},
            "retryToken": "2",
        },
        "revisionHistoryLimit": 10,
    }
    _create(plane, namespace, model_deployment(**spec))
    assert _get(plane, namespace)["spec"] == spec


def test_scale(plane: ControlPlane, namespace: str) -> None:
    """An autoscaler finds replicas and selector, and writes spec.replicas."""
    _create(plane, namespace, model_deployment(minReplicas=1, maxReplicas=5))
    status = {"status": {"replicas": 3, "selector": "fairlead.dev/model-deployment=fraud"}}
    patch = ("patch", "mdep", "fraud", "-n", namespace, "--type=merge")
    plane.kubectl(*patch, "--subresource=status", "-p", json.dumps(status))
    scale = json.loads(plane.kubectl("get", "mdep", "fraud", "-n", namespace, "--subresource=scale", "-o", "json"))
    assert scale["spec"]["replicas"] == 1
    assert scale["status"] == status["status"]
    plane.kubectl("scale", "mdep", "fraud", "-n", namespace, "--replicas=4")
    assert _get(plane, namespace)["spec"]["replicas"] == 4


def test_columns(plane: ControlPlane, namespace: str) -> None:
    """`kubectl get` shows what a person asks first; the message takes `-o wide`."""
    _create(plane, namespace, model_deployment())
    canary = {
        "revision": "0123456789",
        "version": "8",
        "plannedWeight": 25,
        "desiredWeight": 20,
        "step": "2/5",
        "rollout": "fraud-0123456789-1",
        "startedAt": "2026-11-21T10:00:00Z",
        "stepStartedAt": "2026-11-21T10:00:00Z",
    }
    stable = {"revision": "9876543210", "version": "7"}
    status = {"phase": "Progressing", "stable": stable, "canary": canary, "message": "all is well"}
    plane.kubectl(
        "patch", "mdep", "fraud", "-n", namespace, "--type=merge", "--subresource=status",
        "-p", json.dumps({"status": status}),
    )  # fmt: skip
    head, row = plane.kubectl("get", "mdep", "-n", namespace).splitlines()
    assert head.split() == ["NAME", "PHASE", "STABLE", "CANARY", "WEIGHT", "STEP", "AGE"]
    assert row.split()[:6] == ["fraud", "Progressing", "7", "8", "25", "2/5"]
    wide = plane.kubectl("get", "mdep", "-n", namespace, "-o", "wide")
    assert "all is well" in wide
    assert "fraud" in plane.kubectl("get", "fairlead", "-n", namespace), "the category"
    head = plane.kubectl("get", "mro", "-n", namespace, "--show-kind", "--ignore-not-found")
    assert not head


def test_status_is_its_own(plane: ControlPlane, namespace: str) -> None:
    """A user's apply does not write status, and a status write does not write spec."""
    _create(plane, namespace, model_deployment() | {"status": {"phase": "Healthy"}})
    assert "status" not in _get(plane, namespace)


def test_explain(plane: ControlPlane) -> None:
    """`kubectl explain mdep.spec.rollout` says what it is for and what each field does."""
    text = " ".join(plane.kubectl("explain", "mdep.spec.rollout").split())
    for sentence in (
        "How a new revision replaces the one that serves: by which steps, and on which evidence.",
        "canary <Object> Move traffic to the new revision step by step while the old one is kept whole.",
        "progressDeadlineSeconds <integer> Seconds that the canary's pods may take to become Ready; 600 when left out.",
        "retryToken <string> Change it to try a rejected revision again.",
    ):
        assert sentence in text
    steps = " ".join(plane.kubectl("explain", "mdep.spec.rollout.canary.steps").split())
    assert "setWeight <integer> Share of the traffic for the canary, in per cent." in steps
    pause = " ".join(plane.kubectl("explain", "mdep.spec.rollout.canary.steps.pause").split())
    assert "duration <string> How long to wait, as 10m." in pause


def test_explain_has_no_empty_field(plane: ControlPlane) -> None:
    """Every object down to the leaves can be explained, for both kinds."""
    for path in (
        "mdep",
        "mdep.spec.model",
        "mdep.spec.server",
        "mdep.status.conditions",
        "mro.spec.plan",
        "mro.status",
    ):
        assert "<empty>" not in plane.kubectl("explain", path)


def _create(plane: ControlPlane, namespace: str, given: dict[str, Any]) -> None:
    plane.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(given))


def _get(plane: ControlPlane, namespace: str) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(plane.kubectl("get", "mdep", "fraud", "-n", namespace, "-o", "json"))
    return stored
