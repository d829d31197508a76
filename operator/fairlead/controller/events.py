"""Events: one per transition, each with its own reason."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from fairlead.controller.status import Picture
from fairlead.kube.client import Cluster
from fairlead.kube.errors import ApiError
from fairlead.kube.kinds import EVENT
from fairlead.rollout.state import Advance, Bootstrap, Hold, Promote, Rollback, Start, Supersede

log = structlog.get_logger(__name__)
LONGEST_NOTE = 1024


@dataclass(frozen=True, slots=True)
class Event:
    """What is told about a ModelDeployment."""

    reason: str
    note: str
    warning: bool = False


def told(picture: Picture) -> list[Event]:
    """PURE: the events of one pass: of what changed, never of what stays."""
    events: list[Event] = []
    match picture.action:
        case Bootstrap(done=True):
            events.append(Event("FirstRevisionReady", f"{picture.seen.target} serves"))
        case Start():
            events.append(Event("CanaryStarted", f"the rollout of {picture.seen.target} starts"))
        case Advance() as action:
            events.append(Event("StepAdvanced", action.message))
        case Promote() as action:
            events.append(Event("Promoted", action.message))
        case Rollback() as action:
            events.append(Event("RolledBack", action.message, warning=True))
        case Supersede() as action:
            events.append(Event(action.reason, action.message))
        case Hold(paused=True) as action if action.reason != _last_reason(picture):
            events.append(Event("Paused", f"{action.reason}: {action.message}"))
    trouble = picture.problem
    if trouble and trouble.reason != _last_reason(picture):
        events.append(Event(trouble.reason, trouble.message, warning=True))
    return events


def _last_reason(picture: Picture) -> str:
    return next((item.reason for item in picture.old.conditions if item.type == "Progressing"), "")


async def publish(cluster: Cluster, owner: dict[str, Any], event: Event) -> None:
    """Creates the event; one that cannot be created is only logged, since nothing depends on it."""
    meta = owner["metadata"]
    manifest = {
        "metadata": {"name": f"{meta['name']}.{uuid.uuid4().hex[:16]}", "namespace": meta["namespace"]},
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "fairlead.dev/operator",
        "reportingInstance": "fairlead",
        "action": event.reason,
        "reason": event.reason,
        "type": "Warning" if event.warning else "Normal",
        "note": event.note[:LONGEST_NOTE],
        "regarding": {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
        },
    }
    try:
        await cluster.create(EVENT, manifest)
    except ApiError as error:
        log.warning("event not written", reason=event.reason, error=str(error))
