"""More than one operator, one after the other or at the same time."""

from __future__ import annotations

from tests.component.operator import processes
from tests.component.operator.world import Steps, World, eventually, never

STEPS: Steps = ({"setWeight": 20}, {"pause": {"duration": "15s"}}, {"setWeight": 50}, {"analysis": {}})


def test_an_operator_upgrade_restarts_no_pod(world: World) -> None:
    world.apply("1")
    revision = world.until_healthy("1")["stable"]["revision"]
    pods = set(world.pods("1"))
    world.operator.stop()
    world.operator.environment["FAIRLEAD_SERVING_IMAGE"] = "fairlead.local/serving:next"
    world.operator.start()
    world.apply("1", minReplicas=3)
    world.until(lambda status: status["stable"]["readyReplicas"] == 3, "the new operator to act")
    assert world.revisions() == {revision: 3}
    assert pods < set(world.pods("1"))
    assert not world.api.list("modelrollouts")
    assert _images(world, "1") == {"fairlead.local/serving:dev"}, "the snapshot keeps its image"
    world.apply("2", analysis={"disabled": True})
    world.until_healthy("2")
    assert _images(world, "2") == {"fairlead.local/serving:next"}


def test_another_one_takes_over_in_mid_rollout(idle_world: World) -> None:
    world = idle_world
    (world.folder / "second").mkdir()
    second = processes.operator(
        world.kubeconfig, world.namespace, world.folder / "second", world.prometheus, lease_name=world.lease
    )
    second.environment["POD_NAME"] = "operator-1"
    world.operator.start()
    with second:
        world.apply("1")
        world.until_healthy("1")
        world.apply("2", *STEPS)
        world.until(lambda status: status.get("canary", {}).get("stepIndex", 0) >= 1, "the rollout to be under way")
        assert _holder(world).startswith("operator-0")
        world.operator.kill()
        # As if the time had gone by; that it is waited for is shown in tests/component/kube/test_leader.py.
        world.api.patch("leases", world.lease, {"spec": {"leaseDurationSeconds": 1}})
        eventually(lambda: _holder(world).startswith("operator-1"), "the other one to lead")
        world.until_healthy("2")
        assert len(world.api.list("modelrollouts")) == 1


def test_one_that_ends_gives_its_lease_back(world: World) -> None:
    assert _holder(world).startswith("operator-0")
    assert world.operator.stop() == 0
    assert not _holder(world)


def test_its_end_in_a_pause_changes_nothing(world: World) -> None:
    world.apply("1")
    world.until_healthy("1")
    world.apply("2", {"setWeight": 50}, {"pause": {}})
    before = world.until(lambda status: status.get("phase") == "Paused", "the pause")
    revisions = world.revisions()
    world.operator.stop()
    world.operator.start()
    never(lambda: world.revisions() != revisions, "pods came or went", 3.0)
    after = world.status()
    assert after["canary"]["rollout"] == before["canary"]["rollout"]
    assert after["canary"]["stepStartedAt"] == before["canary"]["stepStartedAt"]


def _images(world: World, version: str) -> set[str]:
    return {pod["spec"]["containers"][0]["image"] for pod in world.pods(version).values()}


def _holder(world: World) -> str:
    lease = world.api.get("leases", world.lease)
    return str((lease or {}).get("spec", {}).get("holderIdentity") or "")
