"""Control planes with the project's kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.control_plane import ControlPlane
from tests.component.patience import PATIENCE

ROOT = Path(__file__).parents[2]
_SCHEMAS = tuple(f"dev.fairlead.v1alpha1.{kind}" for kind in ("MetricTemplate", "ModelDeployment", "ModelRollout"))


@contextmanager
def with_kinds() -> Iterator[ControlPlane]:
    """Start a control plane with controllers and the project's CRDs, and end it."""
    with ControlPlane.start(controllers=True) as running:
        running.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        running.kubectl("wait", "crd", "--all", "--for=condition=Established", f"--timeout={PATIENCE:.0f}s")
        running.wait(lambda: _discovered(running), "the custom resources", PATIENCE)
        yield running


def _discovered(plane: ControlPlane) -> bool:
    """Tell whether the kinds can be used and explained: both are published a moment after Established."""
    if len(plane.kubectl("api-resources", "--api-group=fairlead.dev", "--output=name").split()) < len(_SCHEMAS):
        return False
    paths = json.loads(plane.kubectl("get", "--raw", "/openapi/v3"))["paths"]
    if "apis/fairlead.dev/v1alpha1" not in paths:
        return False
    document = plane.kubectl("get", "--raw", "/openapi/v3/apis/fairlead.dev/v1alpha1")
    return all(kind in json.loads(document)["components"]["schemas"] for kind in _SCHEMAS)
