"""What people and other controllers do to a rollout while it runs."""

from __future__ import annotations

import json

from fairlead.api.modeldeployment import ModelDeploymentSpec
from fairlead.rollout.revision import revision_of
from tests.component.operator.world import NAME, Steps, World, eventually

WAITING: Steps = ({"setWeight": 50}, {"pause": {}})
DISABLED = {"disabled": True}
# Taken over verbatim by our API, so only the Deployment's can refuse it.
MISTYPED = {"affinity": {"nodeAffinity": "near"}}
COMPLAINT = "spec.affinity.nodeAffinity: expected map"


def waiting(world: World, **spec: object) -> str:
    """Version 1 serves, 2 waits for a person; the name of its rollout."""
    world.apply("1", **spec)
    world.until_healthy("1")
    world.apply("2", *WAITING, analysis=DISABLED, **spec)
    status = world.until(lambda status: status.get("phase") == "Paused", "the pause")
    return str(status["canary"]["rollout"])


def go_on(world: World, rollout: str) -> None:
    """Promote, and wait for the end."""
    world.annotate("promote", f"{rollout}/full")
    world.until_healthy("2")
    eventually(lambda: world.phase_of("2") == "Promoted", "the record to be closed")


def test_the_plan_is_frozen(world: World) -> None:
    rollout = waiting(world)
    world.apply("2", {"setWeight": 10}, {"setWeight": 90}, analysis=DISABLED)
    generation = world.mdep()["metadata"]["generation"]
    status = world.until(lambda status: status["observedGeneration"] == generation, "the change to be seen")
    assert (status["canary"]["step"], status["canary"]["desiredWeight"]) == ("2/3", 50)
    go_on(world, rollout)


def test_the_autoscaler_acts_in_mid_rollout(world: World) -> None:
    world.apply("1", maxReplicas=8)
    stable = world.until_healthy("1")["stable"]["revision"]
    world.apply("2", {"setWeight": 20}, {"pause": {}}, maxReplicas=8, analysis=DISABLED)
    status = world.until(lambda status: status.get("phase") == "Paused", "the pause")
    canary, rollout = status["canary"]["revision"], status["canary"]["rollout"]
    assert world.revisions() == {stable: 2, canary: 1}
    world.plane.kubectl("scale", "mdep", NAME, "-n", world.namespace, "--replicas=8")
    eventually(lambda: world.revisions() == {stable: 8, canary: 2}, "both revisions to follow")
    world.until(lambda status: status["replicas"] == 10, "the pods of both to be counted")
    go_on(world, rollout)
    eventually(lambda: world.revisions() == {canary: 8}, "the former stable to go")


def test_a_record_that_is_deleted_ends_nothing(world: World) -> None:
    rollout = waiting(world)
    pods = set(world.pods("2"))
    world.api.delete("modelrollouts", rollout)
    eventually(lambda: world.api.list("modelrollouts"), "a record to be kept again")
    assert set(world.pods("2")) == pods
    go_on(world, world.status()["canary"]["rollout"])


def test_a_snapshot_that_is_deleted_restarts_nothing(world: World) -> None:
    world.apply("1")
    revision = world.until_healthy("1")["stable"]["revision"]
    pods = set(world.pods("1"))
    world.api.delete("controllerrevisions", f"{NAME}-{revision}")
    world.apply("1", minReplicas=3)
    world.until(lambda status: status["stable"]["readyReplicas"] == 3, "the operator to act")
    assert pods < set(world.pods("1"))


def test_a_canary_whose_pods_are_refused_as_written(world: World) -> None:
    world.apply("1")
    world.until_healthy("1")
    pods = set(world.pods("1"))
    world.apply("2", server=MISTYPED, rollout={"progressDeadlineSeconds": 8})
    status = world.until(lambda status: COMPLAINT in status["message"], "the API server's complaint")
    assert world.condition("Ready")["status"] == "True"
    assert status["stable"]["version"] == "1"
    assert COMPLAINT in world.until_rejected("2")["message"]
    assert set(world.pods("1")) == pods
    world.apply("3", analysis=DISABLED)
    world.until_healthy("3")


def test_a_first_revision_that_is_refused_as_written(world: World) -> None:
    world.apply("1", server=MISTYPED)
    world.until(lambda status: COMPLAINT in status.get("message", ""), "the API server's complaint")
    assert world.condition("Stalled")["status"] == "True"
    world.apply("1")
    world.until_healthy("1")


def test_a_name_that_is_taken_in_mid_rollout(world: World) -> None:
    world.apply("1")
    world.until_healthy("1")
    manifest = world.manifest("2", rollout={"progressDeadlineSeconds": 8})
    taken = f"{NAME}-{revision_of(ModelDeploymentSpec.model_validate(manifest['spec']))}"
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": taken, "namespace": world.namespace},
        "spec": {"selector": {"app": "other"}, "ports": [{"port": 8888}]},
    }
    world.plane.kubectl("create", "-f", "-", stdin=json.dumps(foreign))
    world.apply_manifest(manifest)
    world.until(lambda status: taken in status["message"], "the clash to be told")
    assert taken in world.until_rejected("2")["message"]
    found = world.api.get("services", taken)
    assert found is not None
    assert found["spec"]["selector"] == {"app": "other"}
    assert "ownerReferences" not in found["metadata"]


def test_the_longest_name(world: World) -> None:
    name = "m" * 50
    world.apply("1", name=name)
    world.until_healthy("1", name=name)
    world.apply("2", name=name, analysis=DISABLED)
    world.until_healthy("2", name=name)
    assert world.rollout("2")["metadata"]["name"].startswith(f"{name}-")
