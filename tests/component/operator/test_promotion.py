"""A new version that is as good: promoted on evidence, in place."""

from __future__ import annotations

from collections.abc import Callable

from tests.component.operator.api import Object
from tests.component.operator.world import Steps, World, eventually

PERSON: Steps = ({"setWeight": 50}, {"pause": {}})


def stands_at(step: str) -> Callable[[Object], bool]:
    """Whether a rollout stands at this step, as people read it."""
    return lambda status: bool(status.get("canary", {}).get("step") == step)


def test_promoted_in_place(world: World) -> None:
    world.apply("1")
    stable = world.until_healthy("1")["stable"]["revision"]
    first_pods = set(world.pods("1"))
    share: Steps = ({"setWeight": 20}, {"pause": {"duration": "1s"}}, {"setWeight": 50})
    world.apply("2", *share, {"analysis": {}}, {"pause": {}})
    status = world.until(stands_at("5/6"), "the last step")
    assert status["phase"] in {"Progressing", "Paused"}
    assert status["stable"]["revision"] == stable
    assert set(world.pods("1")) == first_pods, "stable is whole until promotion"
    canary_pods = set(world.pods("2"))
    world.annotate("promote", f"{status['canary']['rollout']}/5")
    final = world.until_healthy("2")
    eventually(lambda: not world.pods("1"), "the former stable to go")
    assert canary_pods <= set(world.pods("2")), "promotion recreates no pod"
    assert all(pod["status"]["containerStatuses"][0]["restartCount"] == 0 for pod in world.pods("2").values())
    assert "canary" not in final
    assert world.condition("Promoted")["status"] == "True"
    ends = ("CanaryStarted", "Promoted")
    eventually(lambda: [reason for reason in world.events() if reason in ends] == list(ends), "the events")


def test_the_record_keeps_what_was_seen(world: World) -> None:
    world.apply("1")
    world.until_healthy("1")
    world.apply("2")
    world.until_healthy("2")
    eventually(lambda: world.rollout("2").get("status", {}).get("phase") == "Promoted", "the record to be closed")
    record = world.rollout("2")
    assert record["spec"]["stableVersion"] == "1"
    assert [step["kind"] for step in record["spec"]["plan"]["steps"]] == ["SetWeight", "Analysis", "Promote"]
    status = record["status"]
    actions = [decision["action"] for decision in status["decisions"]]
    assert actions[0] == "Started"
    assert actions[-1] == "Promoted"
    assert actions.count("StepAdvanced") == 2
    assert {metric["name"] for metric in status["metrics"]} == {"error-rate", "client-error-rate", "latency"}
    assert all(metric["canary"]["total"] > 0 and metric["stable"]["total"] > 0 for metric in status["metrics"])
    assert status["history"]
    assert "culprit" not in status
    assert status["startedAt"] <= status["firstRequestAt"] <= status["finishedAt"]


def test_the_spec_is_what_was_applied(world: World) -> None:
    world.apply("1")
    world.until_healthy("1")
    world.apply("2")
    world.until_healthy("2")
    found = world.mdep()
    assert found["spec"] == world.applied["spec"] | {"replicas": 1}
    assert set(found["metadata"]["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    assert "finalizers" not in found["metadata"]
    ours = [entry for entry in found["metadata"]["managedFields"] if "kubectl" not in entry["manager"]]
    assert ours
    for entry in ours:
        assert entry.get("subresource") == "status", entry
        assert set(entry["fieldsV1"]) == {"f:status"}


def test_a_spec_in_mid_rollout_supersedes_it(world: World) -> None:
    world.apply("1")
    world.until_healthy("1")
    world.apply("2", *PERSON)
    world.until(stands_at("2/3"), "the canary to wait")
    first_pods = set(world.pods("1"))
    world.apply("3", *PERSON, analysis={"disabled": True})
    status = world.until(lambda status: status.get("canary", {}).get("version") == "3", "the new canary")
    assert set(world.pods("1")) == first_pods
    assert world.rollout("2")["status"]["phase"] == "Superseded"
    world.annotate("promote", f"{status['canary']['rollout']}/full")
    world.until_healthy("3")
    assert "rejected" not in world.status() or not world.status()["rejected"]


def test_a_revert_in_mid_rollout_ends_it_at_once(world: World) -> None:
    world.apply("1")
    before = world.until_healthy("1")
    pods = set(world.pods("1"))
    world.apply("2", *PERSON)
    world.until(stands_at("2/3"), "the canary to wait")
    world.apply("1", *PERSON)
    after = world.until_healthy("1")
    assert after["stable"]["revision"] == before["stable"]["revision"]
    assert set(world.pods("1")) == pods
    eventually(lambda: not world.pods("2"), "the canary to go")
    eventually(lambda: world.rollout("2")["status"]["phase"] == "Superseded", "the record to be closed")
    assert len(world.api.list("modelrollouts")) == 1


def test_few_replicas_wait_and_say_what_would_mend_it(world: World) -> None:
    def tight(version: str, pods: int) -> Object:
        manifest = world.manifest(
            version, {"setWeight": 5}, {"pause": {"duration": "1s"}}, minReplicas=pods, analysis={"disabled": True}
        )
        manifest["spec"]["rollout"]["canary"]["maxOvershoot"] = 10
        return manifest

    world.apply_manifest(tight("1", 1))
    world.until_healthy("1")
    world.apply_manifest(tight("2", 1))
    status = world.until(lambda status: status["phase"] == "Paused", "the step to wait")
    assert "1 + 1 pods would give the canary 50 % where the step asks for 5 %" in status["message"]
    assert "Raise minReplicas to" in status["message"]
    assert not world.pods("2"), "nothing is exposed meanwhile"
    world.apply_manifest(tight("2", 6))
    world.until_healthy("2")


def test_shares_follow_the_weights(world: World) -> None:
    world.apply("1", minReplicas=4)
    stable = world.until_healthy("1")["stable"]["revision"]
    world.apply("2", {"setWeight": 20}, {"pause": {}}, {"setWeight": 40}, {"pause": {}}, minReplicas=4)
    status = world.until(stands_at("2/5"), "the first share")
    canary = status["canary"]["revision"]
    assert world.revisions() == {stable: 4, canary: 1}
    assert (status["canary"]["desiredWeight"], status["canary"]["plannedWeight"]) == (20, 20)
    world.annotate("promote", f"{status['canary']['rollout']}/2")
    world.until(stands_at("4/5"), "the second share")
    assert world.revisions() == {stable: 4, canary: 3}
    assert world.status()["canary"]["plannedWeight"] == 43


def test_only_the_newest_records_are_kept(world: World) -> None:
    disabled = {"disabled": True}
    for version in ("1", "2", "3", "4"):
        world.apply(version, {"setWeight": 50}, revisionHistoryLimit=1, analysis=disabled)
        world.until_healthy(version)
    eventually(lambda: len(world.api.list("modelrollouts")) == 1, "old records to go")
    eventually(lambda: len(world.api.list("controllerrevisions")) == 2, "old snapshots to go")
    assert world.rollout("4")
