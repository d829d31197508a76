"""What the tests on the cluster do and look at."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.demo import environment
from examples.demo.kubectl import Kubectl, Manifest

LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Field:
    """The cluster with everything on it. `models` holds a folder for each trained version."""

    kubectl: Kubectl
    credentials: dict[str, str]
    models: Path

    @property
    def system(self) -> Kubectl:
        """Kubectl in the operator's namespace."""
        return Kubectl(self.kubectl.kubeconfig, self.kubectl.programs, environment.OPERATOR_NAMESPACE)

    def apply(self, name: str, model: dict[str, Any], **spec: Any) -> None:
        """Apply the demo's ModelDeployment under another name with another model; None takes a field away."""
        manifest = environment.model_deployment("1", **spec)
        manifest["metadata"]["name"] = name
        merged = manifest["spec"]["model"] | model
        manifest["spec"]["model"] = {key: value for key, value in merged.items() if value is not None}
        self.kubectl.apply(manifest)

    def delete(self, *names: str) -> None:
        """Delete ModelDeployments and wait until their pods are gone."""
        self.kubectl.run("delete", "modeldeployment", *names)
        for name in names:
            pods = f"fairlead.dev/model-deployment={name}"
            self.kubectl.run("wait", "pod", "-l", pods, "--for=delete", "--timeout=90s")

    def model(self, name: str) -> Manifest:
        """A ModelDeployment as it stands."""
        return self.kubectl.get("modeldeployment", name)

    def status(self, name: str) -> dict[str, Any]:
        """Its status; empty before the operator has seen it."""
        return self.model(name).get("status") or {}

    def pods(self, name: str) -> list[Manifest]:
        """Its pods."""
        items: list[Manifest] = self.kubectl.get("pods", "-l", f"fairlead.dev/model-deployment={name}")["items"]
        return items

    def until(self, name: str, condition: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
        """The status once the condition holds; fails with the status as it stood when that takes too long."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.status(name)
            if condition(status):
                return status
            if time.monotonic() > deadline:
                message = f"not within {seconds:.0f} s: {json.dumps(status, indent=1)}"
                raise AssertionError(message)
            time.sleep(LOOK_SECONDS)

    def kill_operator(self) -> None:
        """End the operator's process as the kernel would, without a word."""
        self.system.run("delete", "pod", "-l", "app.kubernetes.io/name=fairlead", "--force", "--grace-period=0")

    def ask(self, name: str, path: str) -> Any:
        """The JSON answer of a model's Service to a GET, through the API server."""
        target = f"/api/v1/namespaces/{self.kubectl.namespace}/services/{name}:http/proxy{path}"
        return json.loads(self.kubectl.run("get", "--raw", target))


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    """A condition by type; empty when it is not there."""
    found: dict[str, Any] = next((item for item in status.get("conditions", []) if item["type"] == kind), {})
    return found


def serves(version: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a version is stable and all is well."""

    def holds(status: dict[str, Any]) -> bool:
        return status.get("phase") == "Healthy" and status["stable"]["version"] == version

    return holds
