"""Install, upgrade and uninstall against a real API server; pods are another matter (tests/e2e)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster import ControlPlane
from tests.component.chart.helm import CHART, NAMESPACE, helm

MODEL = {
    "apiVersion": "fairlead.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "fraud", "namespace": "default"},
    "spec": {"model": {"storageUri": "s3://models/fraud/1"}},
}
COLUMNS = "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}"
CRD = "modeldeployments.fairlead.dev"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@contextmanager
def empty() -> Iterator[ControlPlane]:
    """A control plane that knows nothing of Fairlead yet."""
    with ControlPlane.start(progress=lambda _: None) as plane:
        labelled = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": RESTRICTED}}
        plane.kubectl("create", "-f", "-", stdin=json.dumps(labelled))
        yield plane


def release(plane: ControlPlane, *arguments: str) -> None:
    done = helm(*arguments, kubeconfig=plane.kubeconfig, home=plane.state)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed() -> Iterator[ControlPlane]:
    with empty() as plane:
        release(plane, "install", "fairlead", str(CHART))
        yield plane


@pytest.fixture
def bare() -> Iterator[ControlPlane]:
    with empty() as plane:
        yield plane


def test_upgrade_updates_the_crds_and_uninstall_keeps_them_and_the_models(bare: ControlPlane, tmp_path: Path) -> None:
    older = tmp_path / "older"
    shutil.copytree(CHART, older)
    crd = older / "templates" / "crds" / "modeldeployments.yaml"
    crd.write_text(crd.read_text().replace("name: Phase", "name: Stage", 1))

    release(bare, "install", "fairlead", str(older))
    assert bare.kubectl("get", "crd", CRD, "-o", COLUMNS).startswith("Stage ")
    bare.kubectl("wait", "crd", CRD, "--for=condition=Established", "--timeout=120s")
    bare.wait(lambda: "modeldeployments" in bare.kubectl("api-resources", "--api-group=fairlead.dev"), "discovery")
    bare.kubectl("create", "-f", "-", stdin=json.dumps(MODEL))

    release(bare, "upgrade", "fairlead", str(CHART))
    assert bare.kubectl("get", "crd", CRD, "-o", COLUMNS).startswith("Phase ")

    release(bare, "uninstall", "fairlead")
    left = bare.kubectl("get", "deployments,serviceaccounts,roles,rolebindings", "-n", NAMESPACE, "-o", "name")
    assert "fairlead" not in left
    assert bare.kubectl("get", "mdep", "-o", "name").strip() == "modeldeployment.fairlead.dev/fraud"

    # What was kept is taken over again.
    release(bare, "install", "fairlead", str(CHART))


def test_operator_pod_passes_the_restricted_level(installed: ControlPlane) -> None:
    deployment = json.loads(installed.kubectl("get", "deployment", "fairlead-operator", "-n", NAMESPACE, "-o", "json"))
    template = deployment["spec"]["template"]
    template["metadata"] |= {"name": "trial", "namespace": NAMESPACE}
    pod = {"apiVersion": "v1", "kind": "Pod"} | template
    created = installed.kubectl("create", "--dry-run=server", "-o", "name", "-f", "-", stdin=json.dumps(pod))
    assert created.strip() == "pod/trial"


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "allowed"),
    [
        ("watch", "modeldeployments.fairlead.dev", "default", True),
        ("update", "modeldeployments.fairlead.dev/status", "default", True),
        ("create", "modelrollouts.fairlead.dev", "default", True),
        ("patch", "deployments.apps", "default", True),
        ("create", "horizontalpodautoscalers.autoscaling", "default", True),
        ("create", "events.events.k8s.io", "default", True),
        ("get", "leases.coordination.k8s.io/fairlead-operator", NAMESPACE, True),
        ("update", "modeldeployments.fairlead.dev", "default", False),
        ("patch", "modeldeployments.fairlead.dev", "default", False),
        ("delete", "modeldeployments.fairlead.dev", "default", False),
        ("get", "secrets", "default", False),
        ("create", "pods/exec", "default", False),
        ("delete", "pods", "default", False),
        ("get", "leases.coordination.k8s.io/fairlead-operator", "default", False),
        ("update", "leases.coordination.k8s.io/other", NAMESPACE, False),
        ("list", "customresourcedefinitions.apiextensions.k8s.io", "default", False),
    ],
)
def test_rights_of_the_operator(
    installed: ControlPlane, verb: str, resource: str, namespace: str, *, allowed: bool
) -> None:
    user = f"system:serviceaccount:{NAMESPACE}:fairlead-operator"
    kind, _, detail = resource.partition("/")
    plural, _, group = kind.partition(".")
    attributes = {"verb": verb, "resource": plural, "group": group, "namespace": namespace}
    if detail:
        attributes["subresource" if detail in {"status", "exec"} else "name"] = detail
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    answer = json.loads(installed.kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(review)))
    assert answer["status"].get("allowed", False) is allowed
