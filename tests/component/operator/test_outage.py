"""The API server away for a while in mid-rollout."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.component import planes
from tests.component.operator.world import Steps, World

STEPS: Steps = ({"setWeight": 20}, {"pause": {"duration": "3s"}}, {"setWeight": 50}, {"analysis": {}})


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """One of its own: after an outage the controllers take up to a minute to look at anything again."""
    with planes.with_kinds() as running:
        yield running


def test_the_api_server_away_for_a_while(world: World) -> None:
    world.apply("1")
    pods = set(world.pods("1")) if world.until_healthy("1") else set()
    world.apply("2", *STEPS)
    world.until(lambda status: "canary" in status or status["stable"]["version"] == "2", "the rollout to be under way")
    world.plane.stop_server()
    world.plane.restart_server()
    world.until_healthy("2")
    assert pods
    assert len(world.api.list("modelrollouts")) == 1
