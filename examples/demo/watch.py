"""Following the ModelDeployment, its rollouts and its pods as the API server tells of them."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from examples.demo.kubectl import Kubectl, Manifest, documents


def epoch(time: str | None) -> float | None:
    """An API time as epoch seconds."""
    return datetime.fromisoformat(time).timestamp() if time else None


@dataclass(frozen=True, slots=True)
class PodRecord:
    """A pod of the model, also after its end. `gone`: it ends or has ended; `ended`: nothing is left of it."""

    name: str
    revision: str
    created: float
    restarts: int
    gone: bool = False
    ended: bool = False


@dataclass(slots=True)
class Snapshot:
    """The newest of everything, as plain API objects; pods by UID and for ever, rollouts by name."""

    model: Manifest = field(default_factory=dict)
    rollouts: dict[str, Manifest] = field(default_factory=dict)
    pods: dict[str, PodRecord] = field(default_factory=dict)

    @property
    def status(self) -> dict[str, Any]:
        """Status of the ModelDeployment, empty before the operator has looked at it."""
        status: dict[str, Any] = self.model.get("status") or {}
        return status

    @property
    def phase(self) -> str:
        """Its phase; Pending before it has one."""
        return str(self.status.get("phase", "Pending"))

    @property
    def stable_version(self) -> str | None:
        """The version that serves, as its status says."""
        version: str | None = (self.status.get("stable") or {}).get("version")
        return version

    def rollout(self, version: str) -> Manifest | None:
        """The newest rollout of a version."""
        found = [item for item in self.rollouts.values() if item["spec"]["version"] == version]
        return max(found, key=lambda item: int(item["spec"]["attempt"]), default=None)

    def pods_left(self, version: str) -> bool:
        """Whether a pod of a version's newest rollout is still there."""
        rollout = self.rollout(version)
        revision = rollout["spec"]["revision"] if rollout else None
        return any(pod.revision == revision and not pod.ended for pod in self.pods.values())

    def running(self) -> Manifest | None:
        """The rollout that the status names as the canary's."""
        return self.rollouts.get((self.status.get("canary") or {}).get("rollout", ""))

    def apply(self, event: Manifest) -> None:
        """Take one event of a watch in."""
        item, gone = event["object"], event["type"] == "DELETED"
        match item.get("kind"):
            case "ModelDeployment":
                self.model = {} if gone else item
            case "ModelRollout" if gone:
                self.rollouts.pop(item["metadata"]["name"], None)
            case "ModelRollout":
                self.rollouts[item["metadata"]["name"]] = item
            case "Pod":
                self.pods[item["metadata"]["uid"]] = _pod(item, gone=gone)


class Watcher:
    """Three watches, each in a thread of its own, and the snapshot they keep up to date."""

    def __init__(self, kubectl: Kubectl, model: str) -> None:
        self._kubectl = kubectl
        self._resources = (
            ("modeldeployment", f"--field-selector=metadata.name={model}"),
            ("modelrollout", f"--selector=fairlead.dev/model-deployment={model}"),
            ("pod", f"--selector=fairlead.dev/model-deployment={model}"),
        )
        self._running: dict[int, subprocess.Popen[str]] = {}
        self._changed = threading.Condition()
        self._snapshot = Snapshot()
        self._ending = False

    def __enter__(self) -> Self:
        for number, arguments in enumerate(self._resources):
            threading.Thread(target=self._follow, args=(number, arguments), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ending = True
            for running in self._running.values():
                running.terminate()

    def snapshot(self, wait: float = 0.0) -> Snapshot:
        """A copy of the newest state, after waiting at most `wait` seconds for something new."""
        with self._changed:
            if wait > 0:
                self._changed.wait(wait)
            now = self._snapshot
            return Snapshot(now.model, dict(now.rollouts), dict(now.pods))

    def _follow(self, number: int, arguments: Iterable[str]) -> None:
        while True:
            with self._changed:
                if self._ending:
                    return
                running = self._kubectl.stream("get", *arguments, "--watch", "--output-watch-events", "-o", "json")
                self._running[number] = running
            with running:
                for event in documents(running.stdout) if running.stdout else ():
                    with self._changed:
                        self._snapshot.apply(event)
                        self._changed.notify_all()
            with self._changed:
                # A watch that ends at once, as while the API server is away, is not begun again at once.
                self._changed.wait_for(lambda: self._ending, timeout=1.0)


def _pod(item: Manifest, *, gone: bool) -> PodRecord:
    meta = item["metadata"]
    containers = item.get("status", {}).get("containerStatuses") or []
    return PodRecord(
        name=meta["name"],
        revision=(meta.get("labels") or {}).get("fairlead.dev/revision", ""),
        created=epoch(meta["creationTimestamp"]) or 0.0,
        restarts=sum(container["restartCount"] for container in containers),
        gone=gone or "deletionTimestamp" in meta,
        ended=gone,
    )
