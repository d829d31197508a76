"""PURE: what the pods of a revision tell: how many are Ready and, if not, why in their own words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.controller import times
from fairlead.desired.names import REVISION
from fairlead.rollout.state import Fleet, Trouble

Manifest = dict[str, Any]

# Waiting reasons that kubelet gives while all is well.
HARMLESS = frozenset({"ContainerCreating", "PodInitializing"})
LONGEST = 600


@dataclass(frozen=True, slots=True)
class PodView:
    """One pod that is not terminating."""

    name: str
    revision: str
    ready_since: float | None
    ip: str | None
    running: bool
    last_crash: float | None
    trouble: Trouble | None


def view(pod: Manifest) -> PodView:
    """Reads a pod as the API gives it."""
    meta, status = pod["metadata"], pod.get("status", {})
    conditions = {item["type"]: item for item in status.get("conditions", [])}
    ready = conditions.get("Ready", {})
    is_ready = ready.get("status") == "True"
    containers = status.get("containerStatuses", [])
    return PodView(
        name=meta["name"],
        revision=meta.get("labels", {}).get(REVISION, ""),
        ready_since=times.from_wire(ready["lastTransitionTime"]) if is_ready else None,
        ip=status.get("podIP"),
        running=any("running" in item.get("state", {}) for item in containers),
        last_crash=max((when for item in containers if (when := _crash(item))), default=None),
        trouble=None if is_ready else _trouble(conditions, containers),
    )


def terminating(pod: Manifest) -> bool:
    """Whether the pod is on its way out, or has ended for good."""
    return "deletionTimestamp" in pod["metadata"] or pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def fleet(deployment: Manifest | None, pods: Iterable[PodView], said: Mapping[str, str]) -> Fleet:
    """The pods of one revision. `said`: what a pod's server answered when asked why it is not ready."""
    pods = list(pods)
    troubles = [trouble for pod in pods if (trouble := pod.trouble or _told(pod, said))]
    crashes = [pod.last_crash for pod in pods if pod.last_crash is not None]
    return Fleet(
        wanted=deployment.get("spec", {}).get("replicas", 0) if deployment else 0,
        pods=len(pods),
        ready=sum(pod.ready_since is not None for pod in pods),
        created=times.from_wire(deployment["metadata"]["creationTimestamp"]) if deployment else None,
        last_crash=max(crashes, default=None),
        trouble=troubles[0] if troubles else _refused(deployment),
    )


def _told(pod: PodView, said: Mapping[str, str]) -> Trouble | None:
    message = said.get(pod.name)
    return Trouble("ModelLoading", message) if message and pod.ready_since is None else None


def _trouble(conditions: Mapping[str, Manifest], containers: list[Manifest]) -> Trouble | None:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return Trouble(scheduled.get("reason") or "Unschedulable", scheduled.get("message", "")[:LONGEST])
    for item in containers:
        ended = _ended(item)
        waiting = item.get("state", {}).get("waiting")
        if ended and ended.get("message"):
            # What our server wrote as its last words says more than CrashLoopBackOff.
            return Trouble("ModelLoadFailed", ended["message"].strip()[:LONGEST])
        if waiting and waiting.get("reason") not in HARMLESS:
            return Trouble(waiting["reason"], _waiting(waiting, ended)[:LONGEST])
        if ended and "running" not in item.get("state", {}):
            return Trouble(ended.get("reason", "Error"), f"the container ended with exit code {ended.get('exitCode')}")
    return None


def _waiting(waiting: Manifest, ended: Manifest | None) -> str:
    text = waiting.get("message", "")
    if not ended:
        return str(text)
    return f"{text} (last: {ended.get('reason', 'Error')}, exit code {ended.get('exitCode')})"


def _ended(container: Manifest) -> Manifest | None:
    for state in ("state", "lastState"):
        ended = container.get(state, {}).get("terminated")
        if ended and ended.get("exitCode") != 0:
            return dict(ended)
    return None


def _crash(container: Manifest) -> float | None:
    finished = (_ended(container) or {}).get("finishedAt")
    return times.from_wire(finished) if finished else None


def _refused(deployment: Manifest | None) -> Trouble | None:
    """Pods that the API server does not let in (quota, pod security) show on the Deployment only."""
    for item in (deployment or {}).get("status", {}).get("conditions", []):
        if item["type"] == "ReplicaFailure" and item["status"] == "True":
            return Trouble(item.get("reason", "ReplicaFailure"), item.get("message", "")[:LONGEST])
    return None
