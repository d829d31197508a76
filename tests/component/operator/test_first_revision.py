"""The first revision: nothing to compare with, so it is brought up and serves."""

from __future__ import annotations

from tests.component.operator.api import Object
from tests.component.operator.kubelet import crash_loop, loading, no_image
from tests.component.operator.world import NAME, World, eventually


def bare(world: World) -> Object:
    """A ModelDeployment with nothing but spec.model, and in it nothing but the place of the files."""
    manifest = world.manifest("1")
    return manifest | {"spec": {"model": {"storageUri": "s3://models/fraud"}}}


def test_a_model_alone_is_enough(world: World) -> None:
    world.apply_manifest(bare(world))
    status = world.until(lambda status: status.get("phase") == "Healthy", "the model to serve")
    revision = status["stable"]["revision"]
    assert status["stable"] == {
        "revision": revision,
        "version": revision,
        "replicas": 1,
        "readyReplicas": 1,
    }
    assert status["url"] == f"http://{NAME}.{world.namespace}.svc"
    assert {item["type"]: item["status"] for item in status["conditions"]} == {
        "Ready": "True",
        "Progressing": "False",
        "Promoted": "True",
        "ModelLoaded": "True",
        "AnalysisHealthy": "Unknown",
        "Stalled": "False",
        "Reconciling": "False",
    }
    eventually(lambda: "FirstRevisionReady" in world.events(), "the event")
    assert not world.api.list("modelrollouts"), "there was nothing to roll out against"


def test_children_are_owned_and_named(world: World) -> None:
    world.apply("7", maxReplicas=4)
    revision = world.until_healthy("7")["stable"]["revision"]
    uid = world.mdep()["metadata"]["uid"]
    expected = {
        "deployments": {f"{NAME}-{revision}"},
        "controllerrevisions": {f"{NAME}-{revision}"},
        "services": {NAME, f"{NAME}-{revision}"},
        "horizontalpodautoscalers": {NAME},
        "poddisruptionbudgets": {NAME},
        "modelrollouts": set(),
    }
    for resource, names in expected.items():
        found = world.api.list(resource)
        assert {item["metadata"]["name"] for item in found} == names, resource
        for item in found:
            assert [owner["uid"] for owner in item["metadata"]["ownerReferences"]] == [uid], resource
            assert item["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "fairlead"


def test_the_pods_pass_the_restricted_level(world: World) -> None:
    world.plane.kubectl("label", "namespace", world.namespace, "pod-security.kubernetes.io/enforce=restricted")
    world.apply("1")
    world.until_healthy("1")
    assert len(world.pods("1")) == 2


def test_what_keeps_the_first_pods_is_said(world: World) -> None:
    world.kubelet.behaviours["1"] = no_image
    world.apply("1", rollout={"progressDeadlineSeconds": 2})
    status = world.until(lambda status: "ImagePullBackOff" in status.get("message", ""), "the pod's reason")
    assert "0 of 2 pods of version 1 are Ready" in status["message"]
    world.until(lambda status: status["phase"] == "Degraded", "the deadline to show")
    assert world.condition("Progressing")["reason"] == "ProgressDeadlineExceeded"
    assert world.condition("Ready")["status"] == "False"
    world.kubelet.behaviours["1"] = loading
    world.kubelet.behaviours.pop("1")
    world.until_healthy("1")


def test_a_first_revision_that_cannot_load_is_replaced_by_the_next_spec(world: World) -> None:
    reason = "s3://models/fraud/1: no such object"
    world.kubelet.behaviours["1"] = lambda since: crash_loop(since, reason)
    world.apply("1")
    world.until(lambda status: reason in status.get("message", ""), "the container's last words")
    assert world.condition("ModelLoaded")["status"] == "False"
    world.apply("2")
    world.until_healthy("2")
    eventually(lambda: not world.pods("1"), "the broken revision to go")
    assert not world.api.list("modelrollouts")


def test_scaling_restarts_nothing(world: World) -> None:
    world.apply("1")
    revision = world.until_healthy("1")["stable"]["revision"]
    pods = set(world.pods("1"))
    world.apply("1", minReplicas=3)
    world.until(lambda status: status["stable"]["readyReplicas"] == 3, "a third pod")
    assert pods < set(world.pods("1"))
    world.apply("1", minReplicas=3, rollout={"retryToken": "x", "canary": {"steps": [{"setWeight": 10}]}})
    world.until(
        lambda status: status["observedGeneration"] == world.mdep()["metadata"]["generation"], "the spec to be seen"
    )
    assert world.revisions() == {revision: 3}


def test_the_autoscaler_scales_the_model_deployment(world: World) -> None:
    world.apply("1", minReplicas=2, maxReplicas=5)
    revision = world.until_healthy("1")["stable"]["revision"]
    (autoscaler,) = world.api.list("horizontalpodautoscalers")
    assert autoscaler["spec"]["scaleTargetRef"] == {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "ModelDeployment",
        "name": NAME,
    }
    world.plane.kubectl("scale", "mdep", NAME, "-n", world.namespace, "--replicas=4")
    eventually(lambda: world.revisions() == {revision: 4}, "the Deployment to follow")
    world.until(lambda status: status["replicas"] == 4, "the pods to be counted")


def test_the_replicas_never_dip_when_an_autoscaler_comes_and_goes(world: World) -> None:
    world.apply("1", minReplicas=3)
    revision = world.until_healthy("1")["stable"]["revision"]
    world.apply("1", minReplicas=3, maxReplicas=6)
    eventually(lambda: world.api.list("horizontalpodautoscalers"), "the autoscaler to come")
    assert world.revisions() == {revision: 3}
    world.apply("1", minReplicas=3, maxReplicas=3)
    eventually(lambda: not world.api.list("horizontalpodautoscalers"), "the autoscaler to go")
    assert world.revisions() == {revision: 3}
    deployment = world.api.list("deployments")[0]
    assert deployment["metadata"]["generation"] == 1, "it was never changed"
