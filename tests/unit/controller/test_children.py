"""Which records of the past are removed, as asked of the API server."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from fairlead.controller.children import Children
from fairlead.controller.world import World
from fairlead.kube.kinds import CONTROLLER_REVISION, MODEL_ROLLOUT, Kind

SECOND = "2026-01-01T00:00:00Z"
LATER = "2026-01-01T00:00:01Z"


class Cluster:
    """Keeps what was asked to be deleted."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def delete(self, _kind: Kind, _namespace: str, name: str, _uid: str) -> None:
        self.deleted.append(name)


def meta(name: str, created: str, revision: str) -> dict[str, Any]:
    labels = {"fairlead.dev/revision": revision}
    return {"namespace": "d", "name": name, "uid": name, "creationTimestamp": created, "labels": labels}


def snapshot(number: int, revision: str) -> dict[str, Any]:
    return {"metadata": meta(f"snapshot-{revision}", SECOND, revision), "revision": number}


def rollout(revision: str, attempt: int, created: str, phase: str = "Promoted") -> dict[str, Any]:
    spec = {"revision": revision, "attempt": attempt}
    return {"metadata": meta(f"{revision}-{attempt}", created, revision), "spec": spec, "status": {"phase": phase}}


def removed(snapshots: tuple[dict[str, Any], ...], rollouts: tuple[dict[str, Any], ...], limit: int) -> list[str]:
    cluster = Cluster()
    world = World(
        children={
            CONTROLLER_REVISION: {item["metadata"]["name"]: item for item in snapshots},
            MODEL_ROLLOUT: {item["metadata"]["name"]: item for item in rollouts},
        },
        pods=(),
        said={},
        digests={},
    )
    # All that is asked of the API server here is to delete.
    children = Children(cluster, {"metadata": {"namespace": "d", "name": "m"}}, world)  # type: ignore[arg-type]
    kept = frozenset(item["metadata"]["labels"]["fairlead.dev/revision"] for item in snapshots)
    asyncio.run(children.trim(limit, kept))
    return cluster.deleted


SNAPSHOTS = (snapshot(1, "c"), snapshot(2, "a"), snapshot(3, "b"))


@pytest.mark.parametrize("listed", list(itertools.permutations(("c", "a", "b"))))
def test_rollouts_of_one_second_go_in_the_order_of_their_snapshots(listed: tuple[str, ...]) -> None:
    rollouts = tuple(rollout(revision, 1, SECOND) for revision in listed)
    assert removed(SNAPSHOTS, rollouts, 1) == ["a-1", "c-1"]


def test_the_later_second_is_newer_whatever_its_snapshot() -> None:
    """Going back to an old revision is the newest rollout."""
    assert removed(SNAPSHOTS, (rollout("c", 2, LATER), rollout("b", 1, SECOND)), 1) == ["b-1"]


def test_attempts_at_one_revision_go_in_their_order() -> None:
    attempts = tuple(rollout("c", number, SECOND) for number in (10, 9, 2))
    assert removed(SNAPSHOTS, attempts, 1) == ["c-9", "c-2"]


def test_a_rollout_without_snapshot_is_older() -> None:
    assert removed(SNAPSHOTS, (rollout("gone", 1, SECOND), rollout("c", 1, SECOND)), 1) == ["gone-1"]


def test_a_running_rollout_is_never_removed() -> None:
    rollouts = (rollout("c", 1, SECOND, "Running"), rollout("b", 1, SECOND))
    assert removed(SNAPSHOTS, rollouts, 1) == []
