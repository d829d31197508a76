"""People act by annotations that name the rollout, and the step where needed."""

from __future__ import annotations

from tests.component.operator.kubelet import loading, ready
from tests.component.operator.world import NAME, Steps, World, eventually, never

STEPS: Steps = ({"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}})


def waiting(world: World) -> str:
    """A rollout of version 2 that waits at step 2/5 for a person; its name."""
    world.apply("1")
    world.until_healthy("1")
    world.apply("2", *STEPS)
    status = world.until(lambda status: status.get("canary", {}).get("stepIndex") == 1, "the first pause")
    world.until(lambda status: status["phase"] == "Paused", "the pause to show")
    return str(status["canary"]["rollout"])


def test_a_pause_waits_for_a_person_and_says_how_to_go_on(world: World) -> None:
    rollout = waiting(world)
    status = world.status()
    assert f"fairlead.dev/promote={rollout}/2" in status["message"]
    never(lambda: world.status()["canary"]["stepIndex"] != 1, "nobody promoted", 3.0)


def test_promote_fires_once_for_its_step(world: World) -> None:
    rollout = waiting(world)
    world.annotate("promote", f"{rollout}/2")
    world.until(lambda status: status["canary"]["stepIndex"] == 3, "the second pause")
    never(lambda: world.status().get("canary", {}).get("stepIndex") != 3, "the annotation fired twice", 3.0)
    world.annotate("promote", f"{rollout}/4")
    world.until_healthy("2")


def test_promote_full(world: World) -> None:
    rollout = waiting(world)
    world.annotate("promote", f"{rollout}/full")
    world.until_healthy("2")
    eventually(lambda: world.rollout("2")["status"]["phase"] == "Promoted", "the record to be closed")


def test_what_names_another_rollout_says_nothing(world: World) -> None:
    rollout = waiting(world)
    stale = rollout.removesuffix("1") + "7"
    for key, value in (("promote", f"{stale}/2"), ("promote", f"{stale}/full"), ("abort", stale), ("pause", stale)):
        world.annotate(key, value)
    world.annotate("promote", f"{rollout}/1")
    never(lambda: world.status()["canary"]["stepIndex"] != 1, "a stale annotation acted", 3.0)


def test_what_cannot_be_understood_is_told(world: World) -> None:
    rollout = waiting(world)
    world.annotate("promote", "yes please")
    status = world.until(lambda status: "yes please" in status["message"], "the complaint")
    assert f"write {rollout}/2 or {rollout}/full" in status["message"]


def test_abort(world: World) -> None:
    rollout = waiting(world)
    world.annotate("abort", rollout)
    entry = world.until_rejected("2")
    assert entry["reason"] == "Aborted"
    eventually(lambda: not world.pods("2"), "the canary to go")
    eventually(lambda: world.rollout("2")["status"]["phase"] == "Aborted", "the record to be closed")
    world.operator.kill()
    world.operator.start()
    never(lambda: world.pods("2"), "an aborted revision came back", 3.0)
    world.apply("2", {"setWeight": 50}, rollout={"retryToken": "2", "analysis": {"disabled": True}})
    world.until_healthy("2")


def test_pause_holds_until_it_is_removed(world: World) -> None:
    world.apply("1")
    world.until_healthy("1")
    world.kubelet.behaviours["2"] = loading  # so that nothing happens before the annotation is there
    world.apply(
        "2",
        {"setWeight": 20},
        {"pause": {"duration": "1s"}},
        {"setWeight": 50},
        {"analysis": {}},
        analysis={"disabled": True},
    )
    rollout = world.until(lambda status: "canary" in status, "the canary")["canary"]["rollout"]
    world.annotate("pause", rollout)
    world.until(lambda status: status["phase"] == "Paused", "the pause to show")
    world.kubelet.behaviours["2"] = ready
    world.until(lambda status: status["canary"]["readyReplicas"] > 0, "the canary to be Ready")
    step = world.status()["canary"]["stepIndex"]
    never(lambda: world.status()["canary"]["stepIndex"] != step, "it went on", 4.0)
    assert "fairlead.dev/pause" in world.status()["message"]
    world.plane.kubectl("annotate", "mdep", NAME, "-n", world.namespace, "fairlead.dev/pause-")
    world.until_healthy("2")


def test_a_pause_with_a_duration_ends_by_itself(world: World) -> None:
    world.apply("1")
    world.until_healthy("1")
    world.apply("2", {"setWeight": 50}, {"pause": {"duration": "10s"}}, analysis={"disabled": True})
    status = world.until(lambda status: status.get("canary", {}).get("stepIndex") == 1, "the pause")
    assert " UTC" in world.until(lambda status: "until" in status["message"], "the end to be told")["message"]
    assert status["phase"] == "Progressing"
    world.until_healthy("2")
