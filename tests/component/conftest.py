"""One control plane for the whole session, and a namespace for each test."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster.control_plane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """A control plane with controllers and the project's CRDs, shared by all tests of the session."""
    with ControlPlane.start(controllers=True) as running:
        running.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        running.kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")
        running.wait(lambda: _discovered(running), "the custom resources")
        yield running


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[str]:
    """A fresh namespace; what a test leaves in it is collected without being waited for."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    plane.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    yield name
    plane.kubectl("delete", "namespace", name, "--wait=false")


def _discovered(plane: ControlPlane) -> bool:
    """Tell whether the kinds can be used and explained: both are published a moment after Established."""
    if len(plane.kubectl("api-resources", "--api-group=fairlead.dev", "--output=name").split()) < len(_SCHEMAS):
        return False
    paths = json.loads(plane.kubectl("get", "--raw", "/openapi/v3"))["paths"]
    if "apis/fairlead.dev/v1alpha1" not in paths:
        return False
    document = plane.kubectl("get", "--raw", "/openapi/v3/apis/fairlead.dev/v1alpha1")
    return all(kind in json.loads(document)["components"]["schemas"] for kind in _SCHEMAS)


_SCHEMAS = tuple(f"dev.fairlead.v1alpha1.{kind}" for kind in ("MetricTemplate", "ModelDeployment", "ModelRollout"))
