"""What makes a revision: the hash of the model and the pods that serve it."""

from __future__ import annotations

import hashlib
import json

from fairlead.api.modeldeployment import ModelDeploymentSpec
from fairlead.api.plan import Plan

LENGTH = 10


def revision_of(spec: ModelDeploymentSpec) -> str:
    """The revision of a spec: only `model` and `server` count, as the user wrote them.

    Scaling and rollout settings are not in it, so changing them starts nothing. Neither are
    defaults, so a new operator's defaults start nothing either.
    """
    return _hash({"model": spec.model.to_wire(), "server": spec.server.to_wire()})


def version_of(spec: ModelDeploymentSpec) -> str:
    """The version people read: the user's own, else the revision."""
    return spec.model.version or revision_of(spec)


def plan_hash(plan: Plan) -> str:
    """A hash over every step, margin and weight: what stands in the record and never changes."""
    return _hash(plan.to_record())


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]
