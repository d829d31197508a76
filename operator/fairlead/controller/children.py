"""Brings the children of a ModelDeployment to what they should be, and removes what should not be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlead.api.modelrollout import FINISHED
from fairlead.controller.journal import Memory
from fairlead.controller.world import PRUNED, World
from fairlead.desired import history, names
from fairlead.kube import apply
from fairlead.kube.client import Cluster
from fairlead.kube.kinds import CONFIG_MAP, CONTROLLER_REVISION, DEPLOYMENT, HPA, MODEL_ROLLOUT, PDB, SERVICE, Kind

Manifest = dict[str, Any]
KINDS: Mapping[str, Kind] = {kind.kind: kind for kind in (DEPLOYMENT, SERVICE, HPA, PDB, CONFIG_MAP)}


class Children:
    """The children of one ModelDeployment during one pass."""

    def __init__(self, cluster: Cluster, owner: Manifest, world: World) -> None:
        self.cluster = cluster
        self.namespace: str = owner["metadata"]["namespace"]
        self.name: str = owner["metadata"]["name"]
        self.world = world

    async def bring_about(self, manifests: list[Manifest]) -> bool:
        """Removes what is not wanted (a bad canary goes first), then applies what is. Whether anything changed."""
        wanted = {(item["kind"], item["metadata"]["name"]) for item in manifests}
        changed = False
        for kind in PRUNED:
            for name, item in self.world.children[kind].items():
                if (kind.kind, name) not in wanted and "deletionTimestamp" not in item["metadata"]:
                    await self._delete(kind, item)
                    changed = True
        for manifest in manifests:
            kind = KINDS[manifest["kind"]]
            live = self.world.children[kind].get(manifest["metadata"]["name"])
            changed |= (await apply.ensure(self.cluster, kind, manifest, live)).changed
        return changed

    async def remember(self, memory: Memory) -> None:
        """Writes onto the snapshots which revision is stable and which are rejected."""
        rejected = {item.revision: item.to_record() for item in memory.rejected}
        for name, snapshot in self.world.snapshots.items():
            revision = history.revision_label(snapshot)
            stable = memory.stable is not None and memory.stable.name == revision
            manifest = history.remembering(snapshot, stable=stable, rejection=rejected.get(revision))
            await apply.ensure(self.cluster, CONTROLLER_REVISION, manifest, self.world.snapshots[name])

    async def trim(self, limit: int, kept: frozenset[str]) -> None:
        """Removes the oldest snapshots (but of revisions in `kept`) and finished rollouts beyond `limit`."""
        snapshots = [item for item in self.world.snapshots.values() if history.revision_label(item) not in kept]
        for item in sorted(snapshots, key=lambda one: one["revision"], reverse=True)[limit:]:
            await self._delete(CONTROLLER_REVISION, item)
        finished = [item for item in self.world.rollouts.values() if item.get("status", {}).get("phase") in FINISHED]
        numbers = {history.revision_label(item): int(item["revision"]) for item in self.world.snapshots.values()}

        def age(rollout: Manifest) -> tuple[str, int, int]:
            # Timestamps tell whole seconds; within one, the snapshots' numbers tell which came first.
            spec = rollout["spec"]
            return rollout["metadata"]["creationTimestamp"], numbers.get(spec["revision"], 0), spec["attempt"]

        for item in sorted(finished, key=age, reverse=True)[limit:]:
            await self._delete(MODEL_ROLLOUT, item)

    async def _delete(self, kind: Kind, item: Manifest) -> None:
        meta = item["metadata"]
        await self.cluster.delete(kind, meta["namespace"], meta["name"], meta["uid"])

    def next_attempt(self, revision: str) -> int:
        """The number of the next attempt at `revision`."""
        prefix = names.of_revision(self.name, revision) + "-"
        taken = (name.removeprefix(prefix) for name in self.world.rollouts if name.startswith(prefix))
        return 1 + max((int(text) for text in taken if text.isdecimal()), default=0)

    def next_number(self) -> int:
        """The `revision` number of the next snapshot."""
        return 1 + max((item["revision"] for item in self.world.snapshots.values()), default=0)
