"""The operator killed at any moment of a rollout: it ends as it would have."""

from __future__ import annotations

import time
from functools import partial

import pytest

from tests.component.operator.api import Object
from tests.component.operator.traffic import Load
from tests.component.operator.world import Steps, World, eventually

# Each kill costs the start of a Python program.
LONG = 600.0
STEPS: Steps = ({"setWeight": 20}, {"pause": {"duration": "1s"}}, {"setWeight": 50}, {"analysis": {}})


def kill_after_each_write(world: World, ended: str) -> int:
    """Kill the operator as soon as it has written anything, until the rollout of 2 has ended; the number of kills."""
    deadline, kills = time.monotonic() + LONG, 0
    position = world.audit_position()
    while world.phase_of("2") != ended:
        assert time.monotonic() < deadline, f"{kills} kills, {world.status()}\n{world.operator.words()[-3000:]}"
        if not any(write.resource != "events" for write in world.writes(position)):
            time.sleep(0.005)
            continue
        world.operator.kill()
        kills += 1
        position = world.audit_position()
        world.operator.start()
    return kills


@pytest.mark.timeout(2 * LONG)
def test_killed_after_every_write_a_good_version_is_promoted(world: World) -> None:
    world.apply("1")
    stable = set(world.pods("1")) if world.until_healthy("1") else set()
    world.apply("2", *STEPS)
    assert kill_after_each_write(world, "Promoted") > 1, "in the middle of it, and not only once"
    world.until_healthy("2")
    assert stable
    assert not world.status().get("rejected")
    assert len(world.api.list("modelrollouts")) == 1, "one attempt, whatever happened to the operator"
    assert all(pod["status"]["containerStatuses"][0]["restartCount"] == 0 for pod in world.pods("2").values())
    eventually(lambda: len(world.revisions()) == 1, "the former stable to go")


@pytest.mark.timeout(2 * LONG)
def test_killed_after_every_write_a_bad_version_is_rolled_back(world: World) -> None:
    world.apply("1")
    revision = world.until_healthy("1")["stable"]["revision"]
    pods = set(world.pods("1"))
    world.load("2", Load(errors=0.1))
    world.apply("2", *STEPS)
    kill_after_each_write(world, "RolledBack")
    assert world.until_rejected("2")["metric"] == "error-rate"
    eventually(lambda: world.revisions() == {revision: 2}, "the canary to go")
    assert set(world.pods("1")) == pods
    assert len(world.api.list("modelrollouts")) == 1


@pytest.mark.timeout(2 * LONG)
def test_killed_at_every_step(world: World) -> None:
    world.apply("1")
    world.until_healthy("1")
    world.apply("2", *STEPS)
    for step in range(len(STEPS) + 1):
        world.until(partial(_reached, step), f"step {step + 1}")
        world.operator.kill()
        world.operator.start()
    world.until_healthy("2")
    assert world.rollout("2")["status"]["decisions"][-1]["action"] == "Promoted"
    assert len(world.api.list("modelrollouts")) == 1


def test_a_tidy_end_leaves_no_complaint(world: World) -> None:
    world.apply("1")
    world.until_healthy("1")
    assert world.operator.stop() == 0
    assert "Traceback" not in world.operator.words()


def _reached(step: int, status: Object) -> bool:
    """Whether the rollout of 2 stands at a step or beyond it, or is over."""
    return bool(status["stable"]["version"] == "2" or status.get("canary", {}).get("stepIndex", -1) >= step)
