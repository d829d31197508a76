"""One namespace with a ModelDeployment in it: what a user does, and what a user can see."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.cluster import audit
from tests.component.operator.api import Api, Object
from tests.component.patience import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.control_plane import ControlPlane
    from tests.component.operator.kubelet import FakeKubelet
    from tests.component.operator.processes import Process
    from tests.component.operator.traffic import Load, Traffic

NAME = "fraud"
Steps = tuple[Object, ...]
ONE_STEP: Steps = ({"setWeight": 50}, {"analysis": {}})
# Ten times the pace of the defaults: the evidence comes as fast as the load of tests/component/operator/traffic.py.
FAST = {"interval": "1s", "warmUp": "0s", "minStep": "2s", "maxStep": "30s"}
_POLL_SECONDS = 0.05


@dataclass(slots=True)
class World:
    """What the tests of the operator act on. `operator` is not started by itself."""

    plane: ControlPlane
    namespace: str
    api: Api
    kubelet: FakeKubelet
    traffic: Traffic
    operator: Process
    user: str
    kubeconfig: Path
    lease: str
    folder: Path
    applied: Object = field(default_factory=dict)

    def manifest(
        self,
        version: str,
        *steps: Object,
        name: str = NAME,
        analysis: Object | None = None,
        rollout: Object | None = None,
        **spec: Any,
    ) -> Object:
        """A ModelDeployment of two pods whose rollouts are fast."""
        canary = {"steps": list(steps or ONE_STEP)}
        defaults: Object = {
            "model": {"storageUri": f"s3://models/{name}/{version}", "version": version},
            "server": {"maxConnectionAgeSeconds": 1},
            "minReplicas": 2,
            "rollout": {"canary": canary, "analysis": FAST | (analysis or {})} | (rollout or {}),
        }
        return {
            "apiVersion": "fairlead.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": defaults | spec,
        }

    def apply(self, version: str, *steps: Object, **options: Any) -> None:
        """`kubectl apply` of a manifest of this version."""
        self.apply_manifest(self.manifest(version, *steps, **options))

    def apply_manifest(self, manifest: Object) -> None:
        """`kubectl apply`."""
        self.applied = manifest
        self.plane.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def annotate(self, key: str, value: str, name: str = NAME) -> None:
        """`kubectl annotate`, as a person acts on a rollout."""
        self.plane.kubectl("annotate", "mdep", name, "-n", self.namespace, "--overwrite", f"fairlead.dev/{key}={value}")

    def use_prometheus(self, url: str) -> None:
        """Configure the operator, before it is started, to ask this Prometheus ('' for none)."""
        self.operator.environment["FAIRLEAD_PROMETHEUS_URL"] = url

    @property
    def prometheus(self) -> str:
        """The Prometheus that the operator asks."""
        return self.operator.environment["FAIRLEAD_PROMETHEUS_URL"]

    def load(self, version: str, load: Load) -> None:
        """What requests to a version look like from now on."""
        self.traffic.loads[self.namespace, version] = load

    def mdep(self, name: str = NAME) -> Object:
        """The ModelDeployment."""
        found = self.api.get("modeldeployments", name)
        assert found is not None
        return found

    def status(self, name: str = NAME) -> Object:
        """Its status."""
        return dict(self.mdep(name).get("status", {}))

    def condition(self, kind: str, name: str = NAME) -> Object:
        """One of its conditions; empty where it is missing."""
        return next((item for item in self.status(name).get("conditions", []) if item["type"] == kind), {})

    def until(self, met: Callable[[Object], Any], what: str, name: str = NAME) -> Object:
        """Wait for a status and return it; what was seen instead is in the error."""
        deadline = time.monotonic() + PATIENCE
        while not met(status := self.status(name)):
            if time.monotonic() > deadline or self.operator.ended:
                why = "the operator ended" if self.operator.ended else f"gave up after {PATIENCE:.0f} s"
                seen = json.dumps({**status, "conditions": "…"}, indent=1, ensure_ascii=False)
                message = f"{why} waiting for {what}; saw\n{seen}\n{self.operator.words()[-4000:]}"
                raise AssertionError(message)
            time.sleep(_POLL_SECONDS)
        return status

    def until_healthy(self, version: str, name: str = NAME) -> Object:
        """Wait until a version serves and no rollout runs."""

        def serves(status: Object) -> bool:
            return status.get("phase") == "Healthy" and status["stable"]["version"] == version

        return self.until(serves, f"{version} to be stable", name)

    def until_rejected(self, version: str, name: str = NAME) -> Object:
        """Wait until a version was rolled back; return the entry in status.rejected."""

        def rejected(status: Object) -> list[Object]:
            return [item for item in status.get("rejected", []) if item["version"] == version]

        status = self.until(
            lambda status: rejected(status) and "canary" not in status, f"{version} to be rolled back", name
        )
        return rejected(status)[0]

    def rollout(self, version: str, attempt: int = 1) -> Object:
        """The record of an attempt at a version."""
        records = self.api.list("modelrollouts")
        found = [item for item in records if (item["spec"]["version"], item["spec"]["attempt"]) == (version, attempt)]
        assert len(found) == 1, [item["metadata"]["name"] for item in records]
        return found[0]

    def phase_of(self, version: str) -> str:
        """The phase of the newest attempt at a version; empty before there is one."""
        found = [item for item in self.api.list("modelrollouts") if item["spec"]["version"] == version]
        newest = max(found, key=lambda item: item["spec"]["attempt"], default={})
        return str(newest.get("status", {}).get("phase", ""))

    def pods(self, version: str) -> dict[str, Object]:
        """The pods of a version by uid, those on their way out left away."""
        return {
            pod["metadata"]["uid"]: pod
            for pod in self.api.list("pods")
            if "deletionTimestamp" not in pod["metadata"] and _version(pod) == version
        }

    def revisions(self) -> dict[str, int]:
        """The number of pods that each Deployment is to have, by revision."""
        return {
            item["metadata"]["labels"]["fairlead.dev/revision"]: item["spec"]["replicas"]
            for item in self.api.list("deployments")
        }

    def events(self) -> list[str]:
        """Reasons of the events on the ModelDeployment, oldest first."""
        found = sorted(self.api.list("events"), key=lambda event: str(event["eventTime"]))
        return [event["reason"] for event in found if event["regarding"]["kind"] == "ModelDeployment"]

    def writes(self, after: int = 0) -> list[audit.Write]:
        """The operator's writes from a position of the audit log on, but the Lease's renewals."""
        found = audit.writes(self.plane.audit_log, user=self.user, after=after)
        return [write for write in found if write.resource != "leases"]

    def audit_position(self) -> int:
        """The present end of the audit log."""
        return audit.position(self.plane.audit_log)


def eventually(
    met: Callable[[], Any], what: str, seconds: float = PATIENCE, instead: Callable[[], object] = lambda: ""
) -> None:
    """Wait for a condition; `instead` tells what is there when it never comes."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, f"gave up after {seconds:.0f} s waiting for {what}; {instead()}"
        time.sleep(_POLL_SECONDS)


def never(seen: Callable[[], Any], what: str, seconds: float) -> None:
    """Watch for a while that something does not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert not seen(), what
        time.sleep(_POLL_SECONDS)


def _version(pod: Object) -> str:
    environment = pod["spec"]["containers"][0]["env"]
    return str(next(item["value"] for item in environment if item["name"] == "FAIRLEAD_MODEL_VERSION"))
