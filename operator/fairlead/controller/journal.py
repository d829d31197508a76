"""PURE: what is remembered between two passes, read from status and written back to it.

Status is the journal. Where it is lost, the annotations of the ControllerRevisions still say what
serves and what was rejected.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from fairlead.api.status import CanaryStatus, ModelDeploymentStatus, Rejected
from fairlead.controller import times
from fairlead.desired.names import ABORT, PAUSE, PROMOTE, ROLE, VERDICT, Manifest
from fairlead.rollout.state import (
    Action,
    Advance,
    Attempt,
    Bootstrap,
    Commands,
    Hold,
    Observation,
    Promote,
    Revision,
    Rollback,
    Start,
    Supersede,
)

MOST_REJECTED = 100


@dataclass(frozen=True, slots=True)
class Memory:
    """What serves, what is being rolled out, and what was rejected."""

    stable: Revision | None = None
    attempt: Attempt | None = None
    rejected: tuple[Rejected, ...] = ()


def recall(status: ModelDeploymentStatus, snapshots: Iterable[Manifest]) -> Memory:
    """The memory in status; from the snapshots where status has none."""
    if status.stable is None:
        return _recover(snapshots, status)
    stable = Revision(status.stable.revision, status.stable.version)
    attempt = _attempt(status.canary) if status.canary else None
    return Memory(stable, attempt, tuple(status.rejected))


def _recover(snapshots: Iterable[Manifest], status: ModelDeploymentStatus) -> Memory:
    stable, rejected = None, {item.revision: item for item in status.rejected}
    for snapshot in snapshots:
        notes = snapshot["metadata"].get("annotations", {})
        if notes.get(ROLE) == "stable":
            data = snapshot["data"]
            stable = Revision(snapshot["metadata"]["name"].rpartition("-")[2], data["version"])
        if VERDICT in notes:
            item = Rejected.model_validate(json.loads(notes[VERDICT]))
            rejected.setdefault(item.revision, item)
    return Memory(stable, None, tuple(rejected.values()))


def _attempt(canary: CanaryStatus) -> Attempt:
    return Attempt(
        rollout=canary.rollout,
        revision=Revision(canary.revision, canary.version),
        step=canary.step_index,
        started_at=times.from_wire(canary.started_at),
        step_started_at=times.from_wire(canary.step_started_at),
        stage_started_at=times.optional_from_wire(canary.stage_started_at),
        unready_since=times.optional_from_wire(canary.unready_since),
        held_since=times.optional_from_wire(canary.held_since),
    )


def after(memory: Memory, action: Action, seen: Observation, next_rollout: str) -> Memory:
    """The memory once `action` is taken; `next_rollout` names the rollout that Start begins."""
    match action:
        case Bootstrap(done=done):
            return replace(memory, stable=seen.target if done else None)
        case Start():
            attempt = Attempt(next_rollout, seen.target, 0, seen.now, seen.now, unready_since=seen.now)
            return replace(memory, attempt=attempt)
        case Hold(attempt=attempt) | Advance(attempt=attempt):
            return replace(memory, attempt=attempt)
        case Promote() if memory.attempt:
            promoted = memory.attempt.revision
            kept = tuple(item for item in memory.rejected if item.revision != promoted.name)
            return Memory(promoted, None, kept)
        case Rollback() if memory.attempt:
            return replace(memory, attempt=None, rejected=_reject(memory, action, seen))
        case Supersede():
            return replace(memory, attempt=None)
    return memory


def _reject(memory: Memory, action: Rollback, seen: Observation) -> tuple[Rejected, ...]:
    assert memory.attempt is not None  # noqa: S101  # the caller's match says so
    revision = memory.attempt.revision
    item = Rejected(
        revision=revision.name,
        version=revision.version,
        reason=action.reason,
        message=action.message,
        metric=action.metric,
        retry_token=seen.retry_token,
        at=times.to_wire(seen.now),
    )
    others = tuple(old for old in memory.rejected if old.revision != revision.name)
    return (*others, item)[-MOST_REJECTED:]


def commands(annotations: dict[str, Any], attempt: Attempt | None) -> Commands:
    """What people ask of this rollout; annotations that name another one say nothing about it."""
    if attempt is None:
        return Commands()
    name, _, step = annotations.get(PROMOTE, "").strip().rpartition("/")
    mine = name == attempt.rollout
    return Commands(
        promote_step=int(step) - 1 if mine and step.isdecimal() else None,
        promote_full=mine and step == "full",
        abort=annotations.get(ABORT, "").strip() == attempt.rollout,
        pause=annotations.get(PAUSE, "").strip() == attempt.rollout,
    )


def misread(annotations: dict[str, Any], attempt: Attempt | None) -> str:
    """A sentence on an annotation that cannot mean any rollout; '' when all are well formed."""
    value = annotations.get(PROMOTE, "").strip()
    name, _, step = value.rpartition("/")
    if attempt is None or not value or (name and (step == "full" or step.isdecimal())):
        return ""
    right = f"{attempt.rollout}/{attempt.step + 1} or {attempt.rollout}/full"
    return f"the annotation {PROMOTE} says {value!r}; write {right}"
