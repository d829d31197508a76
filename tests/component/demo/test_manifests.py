"""What the demo and the documentation ask people to apply is accepted as it stands, every field of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from examples.demo import environment
from tests.cluster.control_plane import ControlPlane

ROOT = Path(__file__).parents[3]
PAGES = ("README.md", "docs/rollouts.md")


def accepted(plane: ControlPlane, namespace: str, *manifests: object) -> None:
    text = yaml.safe_dump_all(manifests)
    command = ("create", "--dry-run=server", "--validate=strict", "-n", namespace, "-o", "name", "-f", "-")
    assert len(plane.kubectl(*command, stdin=text).split()) == len(manifests)


@pytest.mark.parametrize("name", ["s3", "prometheus", "load"])
def test_manifests_of_the_demo(plane: ControlPlane, namespace: str, name: str) -> None:
    accepted(plane, namespace, *environment.manifests(name))


def test_model_of_the_demo(plane: ControlPlane, namespace: str) -> None:
    accepted(plane, namespace, environment.model_deployment("2"))


@pytest.mark.parametrize("page", PAGES)
def test_models_in_the_documentation(plane: ControlPlane, namespace: str, page: str) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    whole = [block for block in blocks if "apiVersion" in block]
    assert whole
    for block in whole:
        accepted(plane, namespace, yaml.safe_load(block))


@pytest.mark.parametrize("name", ["s3", "prometheus", "load"])
def test_pods_of_the_demo_pass_the_restricted_level(plane: ControlPlane, namespace: str, name: str) -> None:
    plane.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    pods = [manifest for manifest in environment.manifests(name) if manifest["kind"] in {"Deployment", "Pod"}]
    for manifest in pods:
        template = manifest["spec"]["template"] if manifest["kind"] == "Deployment" else manifest
        spec = template["spec"] | {"serviceAccountName": "default"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial"}, "spec": spec}
        accepted(plane, namespace, pod)
