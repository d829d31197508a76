"""Where the pod template of each revision comes from: stored once, never rendered anew."""

from __future__ import annotations

from typing import Any

from fairlead.api.modeldeployment import ModelDeploymentSpec
from fairlead.api.settings import ServingDefaults
from fairlead.controller.world import World
from fairlead.desired import history, names
from fairlead.desired.podtemplate import CONTAINER, pod_template
from fairlead.kube import apply
from fairlead.kube.client import Cluster
from fairlead.kube.kinds import CONTROLLER_REVISION, DEPLOYMENT
from fairlead.rollout.state import Revision

Manifest = dict[str, Any]
AGE = "FAIRLEAD_MAX_CONNECTION_AGE_SECONDS"


class Templates:
    """The pod templates of one ModelDeployment's revisions during one pass."""

    def __init__(
        self, owner: Manifest, spec: ModelDeploymentSpec, target: Revision, world: World, serving: ServingDefaults
    ) -> None:
        self.owner = owner
        self.spec = spec
        self.target = target
        self.world = world
        self.serving = serving

    def template(self, revision: str) -> Manifest:
        """The stored template; the running one where the snapshot was deleted; for the target a new one."""
        name = names.of_revision(self.owner["metadata"]["name"], revision)
        snapshot = self.world.snapshots.get(name)
        if snapshot is not None:
            stored: Manifest = snapshot["data"]["template"]
            return stored
        running = self.world.children[DEPLOYMENT].get(name)
        if running is not None and revision != self.target.name:
            live: Manifest = running["spec"]["template"]
            return live
        return pod_template(self.owner["metadata"]["name"], self.spec, revision, self.target.version, self.serving)

    async def keep_target(self, cluster: Cluster, number: int) -> None:
        """Stores the target's snapshot if it has none yet."""
        name = names.of_revision(self.owner["metadata"]["name"], self.target.name)
        if name not in self.world.snapshots:
            template = self.template(self.target.name)
            manifest = history.snapshot(self.owner, self.spec, self.target.name, template, number)
            await apply.ensure(cluster, CONTROLLER_REVISION, manifest, None)

    def max_connection_age(self, revision: str) -> float:
        """Greatest age in seconds that a connection to a pod of `revision` reaches."""
        containers = self.template(revision)["spec"]["containers"]
        variables: list[Manifest] = next((item.get("env", []) for item in containers if item["name"] == CONTAINER), [])
        value = next((item.get("value") for item in variables if item["name"] == AGE), None)
        return float(value) if value else float(self.serving.max_connection_age_seconds)
