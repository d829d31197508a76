"""A new version that is worse: rolled back on evidence, and remembered."""

from __future__ import annotations

import json

import pytest

from tests.component.operator.traffic import Load
from tests.component.operator.world import NAME, Steps, World, eventually, never

PERSON: Steps = ({"setWeight": 50}, {"pause": {}})
ERRORS = Load(errors=0.1)


def rolled_back(world: World, load: Load = ERRORS) -> str:
    """Version 1 serves, 2 was rolled back; the revision of 1."""
    world.apply("1")
    revision: str = world.until_healthy("1")["stable"]["revision"]
    world.load("2", load)
    world.apply("2", *PERSON)
    world.until_rejected("2")
    return revision


@pytest.mark.parametrize(
    ("load", "culprit"),
    [
        (ERRORS, "error-rate"),
        (Load(client_errors=0.2), "client-error-rate"),
        (Load(latency=0.2), "latency"),
    ],
    ids=["errors", "client errors", "latency"],
)
def test_a_regression_is_rolled_back_with_its_numbers(world: World, load: Load, culprit: str) -> None:
    rolled_back(world, load)
    (entry,) = world.status()["rejected"]
    assert (entry["version"], entry["metric"]) == ("2", culprit)
    assert "against" in entry["message"]
    assert "the bar is 100" in entry["message"]
    status = world.until(lambda status: status["phase"] == "Degraded", "the rollback to show")
    assert "change spec.rollout.retryToken to try again" in status["message"]
    assert {kind: world.condition(kind)["status"] for kind in ("Ready", "Promoted", "Progressing", "Stalled")} == {
        "Ready": "True",
        "Promoted": "False",
        "Progressing": "False",
        "Stalled": "True",
    }
    eventually(lambda: world.rollout("2")["status"]["phase"] == "RolledBack", "the record to be closed")
    record = world.rollout("2")["status"]
    assert record["culprit"] == culprit
    numbers = next(metric for metric in record["metrics"] if metric["name"] == culprit)
    assert numbers["canary"]["bad"] / numbers["canary"]["total"] > 0.05
    assert numbers["stable"]["bad"] == 0
    assert record["decisions"][-1]["action"] == "RolledBack"
    eventually(lambda: not world.pods("2"), "the canary's pods to go")
    eventually(lambda: "RolledBack" in world.events(), "the event")


def test_stable_is_untouched(world: World) -> None:
    world.apply("1")
    world.until_healthy("1")
    pods = set(world.pods("1"))
    world.load("2", ERRORS)
    world.apply("2")
    world.until_rejected("2")
    assert set(world.pods("1")) == pods


def test_not_tried_again_after_a_restart_of_the_operator(world: World) -> None:
    revision = rolled_back(world)
    eventually(lambda: world.revisions() == {revision: 2}, "the canary to go")
    world.operator.kill()
    world.operator.start()
    never(lambda: world.revisions() != {revision: 2}, "the rejected revision came back", 4.0)
    assert len(world.api.list("modelrollouts")) == 1


def test_not_tried_again_when_the_status_is_lost(world: World) -> None:
    revision = rolled_back(world)
    eventually(lambda: world.revisions() == {revision: 2}, "the canary to go")
    pods = set(world.pods("1"))
    world.operator.kill()
    wipe = json.dumps([{"op": "remove", "path": "/status"}])
    world.plane.kubectl("patch", "mdep", NAME, "-n", world.namespace, "--type=json", "--subresource=status", "-p", wipe)
    assert not world.status()
    world.operator.start()
    status = world.until(lambda status: status.get("rejected"), "the memory to come back")
    assert status["stable"]["revision"] == revision
    assert [item["version"] for item in status["rejected"]] == ["2"]
    never(lambda: world.revisions() != {revision: 2}, "the rejected revision came back", 4.0)
    assert set(world.pods("1")) == pods
    assert len(world.api.list("modelrollouts")) == 1


def test_not_tried_again_when_another_version_came_between(world: World) -> None:
    rolled_back(world)
    world.apply("3", analysis={"disabled": True})
    world.until_healthy("3")
    world.apply("2", *PERSON)
    world.until(lambda status: status["phase"] == "Degraded", "the rejection to show")
    assert not world.pods("2")
    assert world.condition("Promoted")["status"] == "False"


def test_a_new_retry_token_tries_again(world: World) -> None:
    rolled_back(world)
    world.load("2", Load())
    world.apply("2", rollout={"retryToken": "fixed the feature store"})
    world.until_healthy("2")
    assert world.rollout("2", attempt=2)["spec"]["retryToken"] == "fixed the feature store"
    assert not world.status().get("rejected"), "what serves is not rejected"


def test_a_retry_that_is_bad_again_is_rejected_again(world: World) -> None:
    revision = rolled_back(world)
    world.apply("2", rollout={"retryToken": "again"})
    eventually(lambda: len(world.api.list("modelrollouts")) == 2, "the second attempt")
    eventually(
        lambda: world.rollout("2", attempt=2).get("status", {}).get("phase") == "RolledBack",
        "the second rollback",
    )
    never(lambda: len(world.api.list("modelrollouts")) != 2, "a third attempt", 3.0)
    assert world.status()["stable"]["revision"] == revision
    assert [item["retryToken"] for item in world.status()["rejected"]] == ["again"]


def test_reverting_the_spec_is_healthy_again(world: World) -> None:
    rolled_back(world)
    world.apply("1")
    world.until_healthy("1")
    assert world.condition("Promoted")["status"] == "True"
