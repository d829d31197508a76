"""What exists: one look at a ModelDeployment's children."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.controller import pods
from fairlead.controller.pods import PodView
from fairlead.desired.names import REVISION, SERVING_PORT, labels
from fairlead.kube import podprobe
from fairlead.kube.client import Cluster
from fairlead.kube.kinds import (
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    HPA,
    MODEL_ROLLOUT,
    PDB,
    POD,
    SERVICE,
    Kind,
)
from fairlead.rollout.state import Fleet

Manifest = dict[str, Any]

PRUNED: tuple[Kind, ...] = (HPA, DEPLOYMENT, SERVICE, PDB, CONFIG_MAP)
KINDS: tuple[Kind, ...] = (*PRUNED, CONTROLLER_REVISION, MODEL_ROLLOUT)
MOST_PROBES = 4


@dataclass(frozen=True, slots=True)
class World:
    """The children of one ModelDeployment by kind and name, and its pods.

    `said`: why a pod's server is not ready, by pod; `digests`: what its pods loaded, by revision.
    """

    children: Mapping[Kind, Mapping[str, Manifest]]
    pods: tuple[PodView, ...]
    said: Mapping[str, str]
    digests: Mapping[str, str]

    @property
    def snapshots(self) -> Mapping[str, Manifest]:
        """ControllerRevisions by name."""
        return self.children[CONTROLLER_REVISION]

    @property
    def rollouts(self) -> Mapping[str, Manifest]:
        """ModelRollouts by name."""
        return self.children[MODEL_ROLLOUT]

    def revisions_with_pods(self) -> frozenset[str]:
        """Revisions that have a Deployment."""
        return frozenset(item["metadata"]["labels"].get(REVISION, "") for item in self.children[DEPLOYMENT].values())

    def fleets(self) -> dict[str, Fleet]:
        """The pods by revision."""
        listed = self.children[DEPLOYMENT].values()
        deployments = {item["metadata"]["labels"].get(REVISION, ""): item for item in listed}
        return {
            revision: pods.fleet(
                deployments.get(revision), [pod for pod in self.pods if pod.revision == revision], self.said
            )
            for revision in {*deployments, *(pod.revision for pod in self.pods)}
        }


async def observe(cluster: Cluster, owner: Manifest, known_digests: frozenset[str]) -> World:
    """Reads the children of `owner`; asks a few servers why they are not ready or what they loaded."""
    namespace, name = owner["metadata"]["namespace"], owner["metadata"]["name"]
    uid = owner["metadata"]["uid"]
    listed = await asyncio.gather(*(cluster.list(kind, namespace, labels(name)) for kind in (*KINDS, POD)))
    children = {
        kind: {item["metadata"]["name"]: item for item in items if _owned(item, uid)}
        for kind, items in zip(KINDS, listed[:-1], strict=True)
    }
    views = tuple(pods.view(pod) for pod in listed[-1] if not pods.terminating(pod))
    said, digests = await _ask(views, known_digests)
    return World(children, views, said, digests)


def _owned(item: Manifest, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", []))


async def _ask(views: tuple[PodView, ...], known: frozenset[str]) -> tuple[dict[str, str], dict[str, str]]:
    loading = [pod for pod in views if pod.running and pod.ip and pod.ready_since is None]
    fresh = {pod.revision: pod for pod in views if pod.ip and pod.ready_since and pod.revision not in known}
    asked = [*fresh.values(), *loading][:MOST_PROBES]
    answers = await asyncio.gather(*(podprobe.server_status(pod.ip or "", SERVING_PORT) for pod in asked))
    said: dict[str, str] = {}
    digests: dict[str, str] = {}
    for pod, answer in zip(asked, answers, strict=True):
        if not answer:
            continue
        if pod.ready_since is None and answer.get("message"):
            said[pod.name] = str(answer["message"])
        if pod.ready_since is not None and answer.get("digest"):
            digests[pod.revision] = str(answer["digest"])
    return said, digests
