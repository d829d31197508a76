"""`fairlead report` and `kubectl get mro` on records that a real API server keeps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.unit.report.records import METRICS, ended, rollout, status

ROOT = Path(__file__).parents[3]


def store(plane: ControlPlane, namespace: str, name: str, **changes: object) -> None:
    """Create a record with its status."""
    made = rollout(**changes)  # type: ignore[arg-type]
    made["metadata"] = {
        "name": name,
        "namespace": namespace,
        "labels": {"fairlead.dev/model-deployment": made["spec"]["modelDeployment"]},
    }
    plane.kubectl("create", "-f", "-", stdin=json.dumps(made))
    plane.kubectl("replace", "--subresource=status", "-f", "-", stdin=json.dumps(made))


def report(plane: ControlPlane, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fairlead.cli.main", "report", *arguments]
    environment = {"PYTHONPATH": str(ROOT / "operator"), "KUBECONFIG": str(plane.kubeconfig)}
    return subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, check=False, cwd=folder, env=environment
    )


@pytest.fixture
def model(plane: ControlPlane, namespace: str) -> str:
    """A model with two rollouts, the second of which was rolled back."""
    store(plane, namespace, "digits-1a2b3c4d5e-1", said=status(names=METRICS), model_deployment="digits")
    # Creation times are whole seconds, and the newest one is looked for.
    plane.wait(lambda: _now(plane, namespace) > _created(plane, namespace), "the next second")
    worse = ended(300, "RolledBack", "Regression", culprit="error-rate", evidence=">1e6/100")
    store(plane, namespace, "digits-2b3c4d5e6f-1", said=worse, model_deployment="digits", version="3")
    return "digits"


def test_a_rollout_and_the_newest_one_of_a_model_are_found(
    plane: ControlPlane, namespace: str, model: str, tmp_path: Path
) -> None:
    done = report(plane, tmp_path, "digits-1a2b3c4d5e-1", "-n", namespace)
    assert (done.returncode, done.stdout, done.stderr) == (0, "digits-1a2b3c4d5e-1.html\n", "")
    assert "is being rolled out" in (tmp_path / "digits-1a2b3c4d5e-1.html").read_text()
    done = report(plane, tmp_path, model, "-n", namespace, "-o", "-")
    assert "Version 3 was rolled back" in done.stdout


def test_what_is_not_there_is_said_in_one_sentence(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    done = report(plane, tmp_path, "fraud", "-n", namespace)
    assert done.returncode == 2
    assert done.stderr == (
        f"no ModelRollout fraud in namespace {namespace}, and no rollout of a ModelDeployment fraud\n"
    )


def test_kubectl_shows_the_story_in_80_columns(plane: ControlPlane, namespace: str, model: str) -> None:
    del model
    shown = plane.kubectl("get", "mro", "-n", namespace).splitlines()
    assert shown[0].split() == ["NAME", "VERSION", "PHASE", "STEP", "EVIDENCE", "CULPRIT", "AGE"]
    assert shown[2].split()[:-1] == ["digits-2b3c4d5e6f-1", "3", "RolledBack", "4/5", ">1e6/100", "error-rate"]
    assert max(map(len, shown)) <= 80


def _created(plane: ControlPlane, namespace: str) -> str:
    return plane.kubectl("get", "mro", "-n", namespace, "-o", "jsonpath={.items[*].metadata.creationTimestamp}")


def _now(plane: ControlPlane, namespace: str) -> str:
    """The API server's own time, as an object created now would have it."""
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "now-", "namespace": namespace}}
    made = plane.kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(manifest))
    return str(json.loads(made)["metadata"]["creationTimestamp"])
