"""An operator with nothing to do writes nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.cluster import audit
from tests.cluster.control_plane import ControlPlane
from tests.component import planes
from tests.component.operator.world import World, eventually

MANY = 200
LONG = 600.0
WATCHED_SECONDS = 15.0


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """One of its own: the controllers would be busy for a minute with clearing 200 models away."""
    with planes.with_kinds() as running:
        yield running


@pytest.mark.timeout(2 * LONG)
def test_200_healthy_models_and_no_write(idle_world: World) -> None:
    world = idle_world
    # Renewed every 10 s.
    world.operator.environment |= {"FAIRLEAD_LEASE_DURATION": "30", "FAIRLEAD_LEASE_RENEW_DEADLINE": "25"}
    world.operator.start()
    names = [f"model-{number}" for number in range(MANY)]
    items = [world.manifest("1", name=name, minReplicas=1) for name in names]
    world.plane.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    def all_healthy() -> bool:
        found = world.api.list("modeldeployments")
        return len([item for item in found if item.get("status", {}).get("phase") == "Healthy"]) == MANY

    eventually(all_healthy, f"{MANY} models to be Healthy", LONG)
    _quiet(world)
    world.operator.kill()
    position = world.audit_position()
    world.operator.start()
    time.sleep(WATCHED_SECONDS)  # what is shown is that nothing happens in this time
    assert not world.writes(position), "a restarted operator finds everything as it should be"


def _quiet(world: World) -> None:
    """The last status is written a moment after the pods are Ready; from then on there is silence."""
    eventually(lambda: not _writes_within(world, 2.0), "the operator to be done")
    position = world.audit_position()
    time.sleep(WATCHED_SECONDS)  # what is shown is that nothing happens in this time
    assert not world.writes(position)
    eventually(
        lambda: list(audit.writes(world.plane.audit_log, user=world.user, after=position)), "the Lease to be renewed"
    )


def _writes_within(world: World, seconds: float) -> int:
    position = world.audit_position()
    time.sleep(seconds)
    return len(world.writes(position))
