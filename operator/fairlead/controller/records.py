"""The ModelRollouts of one ModelDeployment: begun, written each pass, and never left open."""

from __future__ import annotations

from typing import Any

from fairlead.api.modelrollout import FINISHED, ModelRolloutSpec, ModelRolloutStatus, RolloutPhase
from fairlead.api.plan import Plan
from fairlead.controller import record, times
from fairlead.controller.journal import Memory
from fairlead.controller.world import World
from fairlead.desired import history
from fairlead.kube import apply
from fairlead.kube.client import Cluster
from fairlead.kube.kinds import MODEL_ROLLOUT
from fairlead.rollout.revision import plan_hash
from fairlead.rollout.state import Attempt, Revision, Start

Manifest = dict[str, Any]


class Records:
    """Access to the records during one pass."""

    def __init__(self, cluster: Cluster, owner: Manifest, world: World) -> None:
        self.cluster = cluster
        self.owner = owner
        self.world = world

    def plan(self, attempt: Attempt) -> Plan | None:
        """The frozen plan of a running attempt; None when its record is missing."""
        found = self.world.rollouts.get(attempt.rollout)
        return ModelRolloutSpec.model_validate(found["spec"]).plan if found else None

    def status(self, attempt: Attempt) -> ModelRolloutStatus:
        """What the record of a running attempt holds."""
        found = self.world.rollouts.get(attempt.rollout, {})
        return ModelRolloutStatus.model_validate(found.get("status") or {})

    async def begin(self, attempt: Attempt, stable: Revision, plan: Plan, retry_token: str) -> None:
        """Creates the record of an attempt."""
        spec = ModelRolloutSpec(
            model_deployment=self.owner["metadata"]["name"],
            revision=attempt.revision.name,
            version=attempt.revision.version,
            stable_revision=stable.name,
            stable_version=stable.version,
            attempt=int(attempt.rollout.rpartition("-")[2]),
            retry_token=retry_token,
            plan=plan,
            plan_hash=plan_hash(plan),
        )
        manifest = history.rollout_record(self.owner, attempt.rollout, spec)
        live = (await apply.ensure(self.cluster, MODEL_ROLLOUT, manifest, None)).live
        first = record.after(ModelRolloutStatus(), plan, attempt, Start(), None, attempt.started_at)
        await self._write(live, first)

    async def write(self, attempt: Attempt, new: ModelRolloutStatus) -> None:
        """Writes the record of a running attempt if it says something new. Raises Conflict."""
        found = self.world.rollouts.get(attempt.rollout)
        if found is not None and (found.get("status") or {}) != new.to_record():
            await self._write(found, new)

    async def close(self, memory: Memory, now: float) -> None:
        """Ends every record that is still open though its rollout is over, from what is remembered."""
        current = memory.attempt.rollout if memory.attempt else ""
        for name, item in self.world.rollouts.items():
            status = ModelRolloutStatus.model_validate(item.get("status") or {})
            if name == current or status.phase in FINISHED:
                continue
            phase, message = _end(ModelRolloutSpec.model_validate(item["spec"]), memory)
            ended = {"phase": phase, "message": message, "finished_at": times.to_wire(now)}
            await self._write(item, status.model_copy(update=ended))

    async def _write(self, live: Manifest, status: ModelRolloutStatus) -> None:
        await self.cluster.replace_status(MODEL_ROLLOUT, {**live, "status": status.to_record()})


def _end(spec: ModelRolloutSpec, memory: Memory) -> tuple[RolloutPhase, str]:
    if memory.stable and memory.stable.name == spec.revision:
        return "Promoted", f"{spec.version} is stable"
    rejection = next((item for item in memory.rejected if item.revision == spec.revision), None)
    if rejection:
        return ("Aborted" if rejection.reason == "Aborted" else "RolledBack"), rejection.message
    return "Superseded", "the rollout is no longer remembered by its ModelDeployment"
