"""A canary whose pods never become Ready is rolled back with the pod's own reason, which is shown long before."""

from __future__ import annotations

import json
from functools import partial

from tests.component.operator.api import Object
from tests.component.operator.kubelet import Behaviour, crash_loop, loading, no_image, no_node, ready
from tests.component.operator.world import World, eventually

LAST_WORDS = "model file model.skops: wrong digest sha256:aaaa, expected sha256:bbbb"
BROKEN: dict[str, tuple[Behaviour, str, str]] = {
    "image": (no_image, "ImagePullBackOff", "Back-off pulling image"),
    "node": (no_node, "Unschedulable", "0/3 nodes are available"),
    "crash": (lambda since: crash_loop(since, code=137), "CrashLoopBackOff", "exit code 137"),
    "model": (lambda since: crash_loop(since, LAST_WORDS), "ModelLoadFailed", LAST_WORDS),
}


def test_rolled_back_at_the_deadline_with_the_reason(world: World) -> None:
    """All of them at once, so that a deadline which leaves a busy machine time to show the reason costs it once."""
    for case in BROKEN:
        world.apply("1", name=case)
    for case, (behaviour, _, _) in BROKEN.items():
        world.until_healthy("1", name=case)
        world.kubelet.behaviours[case] = behaviour
    pods = set(world.pods("1"))
    for case in BROKEN:
        world.apply(case, name=case, rollout={"progressDeadlineSeconds": 30})
    for case, (_, reason, words) in BROKEN.items():
        status = world.until(partial(_says, reason), f"the pod's reason ({case})", name=case)
        assert words in status["message"]
        assert status["phase"] == "Progressing", "it is shown before the deadline"
        assert world.condition("ModelLoaded", name=case)["status"] == "False"
    for case, (_, reason, words) in BROKEN.items():
        entry = world.until_rejected(case, name=case)
        assert entry["reason"] == "ProgressDeadlineExceeded"
        assert reason in entry["message"]
        assert words in entry["message"]
        eventually(partial(_none_left, world, case), "the canary to go")
    assert set(world.pods("1")) == pods


def test_refused_pods_are_told_too(world: World) -> None:
    """A quota keeps the pods from being made at all: only the Deployment knows."""
    world.apply("1")
    world.until_healthy("1")
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "two-pods", "namespace": world.namespace},
        "spec": {"hard": {"pods": "2"}},
    }
    world.plane.kubectl("create", "-f", "-", stdin=json.dumps(quota))
    world.plane.kubectl(
        "wait", "quota/two-pods", "-n", world.namespace, "--for=jsonpath={.status.used.pods}=2", "--timeout=120s"
    )
    world.apply("2", rollout={"progressDeadlineSeconds": 20})
    world.until(lambda status: "exceeded quota" in status["message"], "the refusal")
    assert "exceeded quota" in world.until_rejected("2")["message"]


def test_an_operator_restart_does_not_start_the_clock_again(world: World) -> None:
    world.apply("1")
    world.until_healthy("1")
    world.kubelet.behaviours["2"] = loading
    world.apply("2", rollout={"progressDeadlineSeconds": 600})
    started = world.until(lambda status: status.get("canary", {}).get("unreadySince"), "the clock")["canary"]
    for _ in range(2):
        world.operator.kill()
        world.operator.start()
    world.kubelet.behaviours["2"] = no_image
    status = world.until(partial(_says, "ImagePullBackOff"), "the last one to act")
    assert status["canary"]["unreadySince"] == started["unreadySince"]


def test_pods_that_become_ready_in_time_go_on(world: World) -> None:
    world.apply("1")
    world.until_healthy("1")
    world.kubelet.behaviours["2"] = loading
    world.apply("2", rollout={"progressDeadlineSeconds": 600, "analysis": {"disabled": True}})
    world.until(lambda status: "0 of 2 pods of version 2 are Ready" in status["message"], "the wait to be told")
    world.kubelet.behaviours["2"] = ready
    world.until_healthy("2")


def test_pauses_do_not_count(world: World) -> None:
    world.apply("1")
    world.until_healthy("1")
    steps = ({"setWeight": 50}, {"pause": {"duration": "16s"}})
    world.apply("2", *steps, rollout={"progressDeadlineSeconds": 15, "analysis": {"disabled": True}})
    world.until_healthy("2")


def _says(text: str, status: Object) -> bool:
    return text in status["message"]


def _none_left(world: World, version: str) -> bool:
    return not world.pods(version)
