"""A kubelet that runs nothing: it gives the pods of one namespace the status that a test wants them to have."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import requests

from tests.component.operator.api import Api, Object

if TYPE_CHECKING:
    from tests.cluster.control_plane import ControlPlane

Behaviour = Callable[[str], Object]
"""The status of a pod, from the time (RFC 3339) at which kubelet first saw it."""

_SYNC_SECONDS = 0.1
_SELECTOR = "app.kubernetes.io/managed-by=fairlead"


@dataclass(frozen=True, slots=True)
class Serving:
    """A pod that answers requests, and since when (epoch seconds)."""

    namespace: str
    pod: str
    model: str
    version: str
    revision: str
    since: float


def ready(since: str) -> Object:
    """The server has loaded its model."""
    return _status("Running", since, {"running": {"startedAt": since}}, ready=True)


def loading(since: str) -> Object:
    """The server runs, its model is not there yet."""
    return _status("Running", since, {"running": {"startedAt": since}})


def no_image(since: str) -> Object:
    """The image cannot be pulled."""
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "registry.example/none:1"'}
    return _status("Pending", since, {"waiting": waiting})


def no_node(since: str) -> Object:
    """The scheduler finds no place."""
    message = "0/3 nodes are available: 3 Insufficient memory."
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"phase": "Pending", "conditions": [unscheduled | {"lastTransitionTime": since}]}


def crash_loop(since: str, message: str = "", code: int = 1) -> Object:
    """The container ends again and again; `message` is what it wrote as its last words."""
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container=model"}
    ended = {"exitCode": code, "reason": "Error", "message": message, "startedAt": since, "finishedAt": since}
    return _status("Running", since, {"waiting": waiting}, last={"terminated": ended}, restarts=3)


class FakeKubelet:
    """Sets the status of pods by the version of the model that they serve; `ready` where nothing else is said."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.behaviours: dict[str, Behaviour] = {}
        self.serving: dict[str, Serving] = {}
        """By uid, the pods that are Ready."""
        self._seen: dict[str, str] = {}
        self._written: dict[str, Behaviour] = {}
        self._api = Api(plane, namespace)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"kubelet-{namespace}", daemon=True)
        self.failure: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._api.close()
        if self.failure:
            raise self.failure

    def _run(self) -> None:
        try:
            while not self._stopped.wait(_SYNC_SECONDS):
                # A kubelet outlives an API server that is away.
                with contextlib.suppress(requests.ConnectionError, requests.Timeout):
                    self._sync()
        except Exception as error:  # noqa: BLE001  # told to the test when it leaves
            self.failure = error

    def _sync(self) -> None:
        pods = {pod["metadata"]["uid"]: pod for pod in self._api.list("pods", _SELECTOR)}
        self.serving = {uid: serving for uid, serving in self.serving.items() if uid in pods}
        for uid, pod in pods.items():
            version = _environment(pod)["FAIRLEAD_MODEL_VERSION"]
            behaviour = self.behaviours.get(version, ready)
            if self._written.get(uid) is behaviour or "deletionTimestamp" in pod["metadata"]:
                continue
            since = self._seen.setdefault(uid, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
            status = behaviour(since)
            if self._api.patch("pods", pod["metadata"]["name"], {"status": status}, "status") is None:
                continue
            self._written[uid] = behaviour
            self.serving.pop(uid, None)
            if _is_ready(status):
                self.serving[uid] = _serving(pod)


def _status(
    phase: str, since: str, state: Object, *, ready: bool = False, last: Object | None = None, restarts: int = 0
) -> Object:
    kinds = {"PodScheduled": True, "Initialized": True, "ContainersReady": ready, "Ready": ready}
    container = {
        "name": "model",
        "image": "serving",
        "imageID": "",
        "ready": ready,
        "restartCount": restarts,
        "state": state,
        "lastState": last or {},
    }
    conditions = [{"type": kind, "status": str(met), "lastTransitionTime": since} for kind, met in kinds.items()]
    return {"phase": phase, "startTime": since, "conditions": conditions, "containerStatuses": [container]}


def _is_ready(status: Object) -> bool:
    return any(item["type"] == "Ready" and item["status"] == "True" for item in status["conditions"])


def _environment(pod: Object) -> dict[str, Any]:
    return {item["name"]: item.get("value") for item in pod["spec"]["containers"][0]["env"]}


def _serving(pod: Object) -> Serving:
    meta, environment = pod["metadata"], _environment(pod)
    return Serving(
        namespace=meta["namespace"],
        pod=meta["name"],
        model=environment["FAIRLEAD_MODEL_NAME"],
        version=environment["FAIRLEAD_MODEL_VERSION"],
        revision=environment["FAIRLEAD_REVISION"],
        since=time.time(),
    )
