"""An operator with nothing to do writes nothing."""

from __future__ import annotations

import json
import time

import pytest

from tests.cluster import audit
from tests.component.operator.world import World, eventually

MANY = 200
WATCHED_SECONDS = 15.0


@pytest.mark.timeout(300)
def test_200_healthy_models_and_no_write(world: World) -> None:
    names = [f"model-{number}" for number in range(MANY)]
    items = [world.manifest("1", name=name, minReplicas=1) for name in names]
    world.plane.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    def all_healthy() -> bool:
        found = world.api.list("modeldeployments")
        return len([item for item in found if item.get("status", {}).get("phase") == "Healthy"]) == MANY

    eventually(all_healthy, f"{MANY} models to be Healthy", 200.0)
    _quiet(world)
    world.operator.kill()
    position = world.audit_position()
    world.operator.start()
    time.sleep(WATCHED_SECONDS)  # what is shown is that nothing happens in this time
    assert not world.writes(position), "a restarted operator finds everything as it should be"


def _quiet(world: World) -> None:
    """The last status is written a moment after the pods are Ready; from then on there is silence."""
    eventually(lambda: not _writes_within(world, 2.0), "the operator to be done", 60.0)
    position = world.audit_position()
    time.sleep(WATCHED_SECONDS)  # what is shown is that nothing happens in this time
    assert not world.writes(position)
    leases = audit.writes(world.plane.audit_log, user=world.user, after=position)
    assert list(leases), "but the Lease is renewed"


def _writes_within(world: World, seconds: float) -> int:
    position = world.audit_position()
    time.sleep(seconds)
    return len(world.writes(position))
