"""What goes with a ModelDeployment, and what is never touched."""

from __future__ import annotations

from tests.component.operator.api import Object
from tests.component.operator.world import NAME, World, eventually, never

_OWNED = (
    "deployments",
    "replicasets",
    "pods",
    "services",
    "horizontalpodautoscalers",
    "poddisruptionbudgets",
    "controllerrevisions",
    "modelrollouts",
)


def foreign_service(world: World) -> Object:
    """A Service of somebody else's under the name that the model needs."""
    return world.api.create(
        "services",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "labels": {"team": "other"}},
            "spec": {"selector": {"app": "other"}, "ports": [{"port": 8888}]},
        },
    )


def left(world: World) -> list[str]:
    """The resources of which something is there."""
    return [resource for resource in _OWNED if world.api.list(resource)]


def test_deleted_in_mid_rollout_all_goes(world: World) -> None:
    world.apply("1", maxReplicas=4)
    world.until_healthy("1")
    world.apply("2", {"setWeight": 50}, {"pause": {}}, maxReplicas=4)
    world.until(lambda status: status.get("canary", {}).get("stepIndex") == 1, "the rollout to be under way")
    assert left(world) == list(_OWNED)
    world.plane.kubectl("delete", "mdep", NAME, "-n", world.namespace, "--timeout=120s")
    # The garbage collector learns of a new kind within half a minute, and this may be the session's first test.
    eventually(lambda: not left(world), "all children to go", instead=lambda: left(world))
    never(lambda: left(world), "something came back", 3.0)


def test_created_again_it_is_a_new_one(world: World) -> None:
    world.apply("1")
    first = world.until_healthy("1")["stable"]["revision"]
    world.plane.kubectl("delete", "mdep", NAME, "-n", world.namespace, "--timeout=120s")
    world.apply("2")
    status = world.until_healthy("2")
    assert status["stable"]["revision"] != first
    uid = world.mdep()["metadata"]["uid"]
    eventually(
        lambda: {item["metadata"]["ownerReferences"][0]["uid"] for item in world.api.list("services")} == {uid},
        "the former children to be replaced",
    )


def test_a_foreign_object_is_never_adopted(world: World) -> None:
    foreign = foreign_service(world)
    world.apply("1")
    status = world.until(
        lambda status: NAME in status.get("message", "") and status["phase"] == "Degraded", "the clash"
    )
    assert world.condition("Stalled")["status"] == "True"
    assert world.condition("Stalled")["reason"] == "NotOurs"
    assert "Service" in status["message"]
    found = world.api.get("services", NAME)
    assert found is not None
    assert found["metadata"]["resourceVersion"] == foreign["metadata"]["resourceVersion"]
    world.api.delete("services", NAME)
    world.until_healthy("1")


def test_a_child_that_is_deleted_or_changed_comes_back(world: World) -> None:
    world.apply("1")
    revision = world.until_healthy("1")["stable"]["revision"]
    world.api.delete("services", NAME)
    eventually(lambda: world.api.get("services", NAME), "the Service to come back")
    world.api.patch("deployments", f"{NAME}-{revision}", {"spec": {"replicas": 0}})
    eventually(lambda: world.revisions() == {revision: 2}, "the replicas to come back")
