"""The one way in which a child object gets the shape that the operator wants.

An apply that would change nothing is not sent, so that an idle cluster sees no writes. Whether it would is
seen without memory: the live object carries the hash of the manifest that it was made from, and each field of
the manifest is compared with it. That holds across restarts of the operator.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from fairlead.kube.client import Cluster, Object
from fairlead.kube.errors import NotOurs
from fairlead.kube.kinds import Kind
from fairlead.kube.subset import covers, project

APPLIED = "fairlead.dev/applied"
"""Annotation on each child: a hash of the manifest that was applied last."""

_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Applied:
    """`changed` is True when the API server holds something new now. `live` is what it holds."""

    changed: bool
    live: Object


async def ensure(cluster: Cluster, kind: Kind, desired: Object, live: Object | None) -> Applied:
    """Make the API server hold `desired`. `live` is the object as last read, None if it was not found.

    `desired` names its owner in `metadata.ownerReferences`. Raises `NotOurs` where the name is taken by an
    object of another owner, and `ApiError`.
    """
    meta = desired["metadata"]
    if live is None:
        # Lists go by labels and may be a moment old: an apply would silently take over what it does not show.
        live = await cluster.get(kind, meta["namespace"], meta["name"])
    if live is not None and not _same_owner(desired, live):
        raise NotOurs(kind.kind, meta["namespace"], meta["name"])
    digest = manifest_hash(desired)
    stamped = _stamped(desired, digest)
    if live is not None and _holds(cluster, stamped, live, digest):
        return Applied(changed=False, live=live)
    result = await cluster.apply(kind, stamped)
    _remember(cluster, stamped, result, digest)
    before = live["metadata"]["resourceVersion"] if live is not None else None
    return Applied(changed=result["metadata"]["resourceVersion"] != before, live=result)


def manifest_hash(desired: Object) -> str:
    """Sixteen hex characters that change with any field of the manifest."""
    return hashlib.sha256(_canonical(desired)).hexdigest()[:16]


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _stamped(desired: Object, digest: str) -> Object:
    meta = desired["metadata"]
    return {**desired, "metadata": {**meta, "annotations": {**(meta.get("annotations") or {}), APPLIED: digest}}}


def _same_owner(desired: Object, live: Object) -> bool:
    wanted = {owner["uid"] for owner in desired["metadata"]["ownerReferences"]}
    return wanted <= {owner["uid"] for owner in live["metadata"].get("ownerReferences") or []}


def _holds(cluster: Cluster, stamped: Object, live: Object, digest: str) -> bool:
    if covers(live, stamped):
        return True
    # Some values come back in another form than they were sent in. What the server made of this manifest
    # last time is as close as it gets; without this each pass would apply again.
    return cluster.applied.get(live["metadata"]["uid"]) == (digest, _made_of(stamped, live))


def _remember(cluster: Cluster, stamped: Object, result: Object, digest: str) -> None:
    uid = result["metadata"]["uid"]
    if covers(result, stamped):
        cluster.applied.pop(uid, None)
        return
    while len(cluster.applied) >= _REMEMBERED:
        cluster.applied.pop(next(iter(cluster.applied)))
    cluster.applied[uid] = (digest, _made_of(stamped, result))


def _made_of(stamped: Object, live: Object) -> str:
    return hashlib.sha256(_canonical(project(live, stamped))).hexdigest()
