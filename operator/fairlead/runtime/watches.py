"""Which objects are watched, whose they are, and whether the watches still live.

A watch can die without a word, and a list after a reconnection does not tell what was deleted meanwhile. So the
same objects are listed now and then, metadata only, and compared with what the watches delivered: what was missed
is looked at, and a watch that goes on missing things is reported as dead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fairlead.kube import kinds
from fairlead.kube.client import Cluster, Object
from fairlead.kube.errors import ApiError, NotFound
from fairlead.kube.kinds import Kind

Key = tuple[str, str]

MANAGED: Final[Mapping[str, str]] = {"app.kubernetes.io/managed-by": "fairlead"}
PARENT: Final = "fairlead.dev/model-deployment"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watched:
    """A kind that is watched. Children are ours by label; `status` says whether a change of status matters."""

    kind: Kind
    child: bool = True
    status: bool = True

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels that the API server selects by."""
        return MANAGED if self.child else {}

    def key(self, meta: Mapping[str, Any]) -> Key | None:
        """The ModelDeployment that an object with this metadata concerns."""
        name = (meta.get("labels") or {}).get(PARENT) if self.child else meta.get("name")
        return (meta["namespace"], name) if name else None


# Our own writes to the status of a rollout, and an autoscaler's every 15 s, are no reason for another pass.
WATCHED: Final = (
    Watched(kinds.MODEL_DEPLOYMENT, child=False),
    Watched(kinds.MODEL_ROLLOUT, status=False),
    Watched(kinds.DEPLOYMENT),
    Watched(kinds.POD),
    Watched(kinds.SERVICE, status=False),
    Watched(kinds.HPA, status=False),
    Watched(kinds.PDB, status=False),
    Watched(kinds.CONTROLLER_REVISION, status=False),
)


class Watches:
    """What the watches have delivered. `wake` is called with each ModelDeployment that needs a look."""

    def __init__(
        self,
        cluster: Cluster,
        wake: Callable[[Key], None],
        *,
        namespaces: Sequence[str] = (),
        watched: Sequence[Watched] = WATCHED,
    ) -> None:
        self.dead: tuple[str, ...] = ()
        """Kinds whose watch has died: nothing but a new process helps."""
        self._cluster = cluster
        self._wake = wake
        self._namespaces: Sequence[str | None] = namespaces or (None,)
        self._watched = watched
        self._seen: dict[Kind, dict[str, _Seen]] = {one.kind: {} for one in watched}
        self._gone: set[str] = set()

    def deliver(self, watched: Watched, event: str | None, obj: Object) -> None:
        """A watch delivered this object. `event` is DELETED when it is gone."""
        meta = obj["metadata"]
        key = watched.key(meta)
        if key is None:
            return
        seen = self._seen[watched.kind]
        before = seen.pop(meta["uid"], None)
        matter = None if watched.status else _matter(obj)
        if event == "DELETED":
            self._gone.add(meta["uid"])
        else:
            seen[meta["uid"]] = _Seen(key, int(meta["resourceVersion"]), matter)
        if event == "DELETED" or before is None or matter is None or matter != before.matter:
            self._wake(key)

    async def run(self, interval: float) -> None:
        """Compare every `interval` seconds. Raises NotFound when a kind is there no more."""
        missed = 0
        while True:
            await asyncio.sleep(interval)
            try:
                await self.check(min(15.0, interval / 2))
                missed = 0
            except NotFound:
                # Right after its start an API server may not know all kinds yet; kopf does not always notice.
                missed += 1
                if missed > 1:
                    raise
            except (ApiError, TimeoutError) as exc:
                # An API server that does not answer says nothing about the watches.
                _log.warning("cannot compare the watches with lists: %s", exc)

    async def check(self, patience: float) -> None:
        """One comparison: what the lists show must arrive by the watches within `patience` seconds."""
        self._gone.clear()
        missed = {one: late for one in self._watched if (late := self._late(one, await self._list(one)))}
        if missed:
            await asyncio.sleep(patience)
        dead = []
        for one, objects in missed.items():
            still = self._late(one, objects)
            for meta in still:
                if key := one.key(meta):
                    self._wake(key)
            if still:
                dead.append(one.kind.resource)
        if dead:
            _log.error("the watches of %s no longer deliver", ", ".join(dead))
        self.dead = tuple(dead)

    async def _list(self, watched: Watched) -> list[Object]:
        """The metadata of all objects; what is gone unnoticed is looked at on the way."""
        before = dict(self._seen[watched.kind])
        listed: list[Object] = []
        for namespace in self._namespaces:
            listed += await self._cluster.list_metadata(watched.kind, namespace, watched.labels)
        there = {item["metadata"]["uid"] for item in listed}
        for uid, old in before.items():
            # Only what was known before the list began: newer objects are rightly not on it.
            if uid not in there and self._seen[watched.kind].pop(uid, None) is not None:
                self._wake(old.key)
        return [item["metadata"] for item in listed]

    def _late(self, watched: Watched, listed: Sequence[Object]) -> list[Object]:
        seen = self._seen[watched.kind]
        return [
            meta
            for meta in listed
            if watched.key(meta) is not None
            and meta["uid"] not in self._gone
            and ((known := seen.get(meta["uid"])) is None or known.version < int(meta["resourceVersion"]))
        ]


@dataclass(frozen=True, slots=True)
class _Seen:
    key: Key
    version: int
    matter: int | None


def _matter(obj: Object) -> int:
    """A number that changes with what matters of an object: not its status, nor who wrote what when."""
    meta = {name: value for name, value in obj["metadata"].items() if name not in {"managedFields", "resourceVersion"}}
    rest = {name: value for name, value in obj.items() if name not in {"metadata", "status"}}
    return hash(repr((meta, rest)))
