"""The whole promise: a better version is promoted on evidence, a worse one is rolled back, and nobody notices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from examples.demo import environment, models, promise, story
from examples.demo.load import LoadReader
from examples.demo.promise import Act
from examples.demo.view import Plain
from examples.demo.watch import Snapshot, Watcher
from tests.e2e.field import Field, condition

pytestmark = pytest.mark.timeout(900)


@dataclass(slots=True)
class Told:
    """What was seen of the story."""

    promotion: Act
    rollback: Act
    aftermath: Act
    seen: Snapshot
    rolled_back: dict[str, Any]
    restarted: dict[str, Any]
    retried: dict[str, Any]
    model: dict[str, Any]


@pytest.fixture(scope="module")
def told(field: Field) -> Iterator[Told]:
    """Given version 1 under load: 2 and 3 are applied, the operator is killed, and 3 is asked for again."""
    kubectl = field.kubectl
    with ExitStack() as stack:
        watcher = stack.enter_context(Watcher(kubectl, environment.MODEL))
        stage = story.Stage(kubectl, watcher, Plain())
        story.serve_first(stage)
        environment.start_load(kubectl, models.Scans.load().requests())
        stage.load = stack.enter_context(LoadReader(kubectl))
        story.watch_on(stage, story.BASELINE_SECONDS, "version 1 serves")
        promotion = story.roll_out(stage, "2", story.PROMOTION_SECONDS, "version 2")
        rollback = story.roll_out(stage, "3", story.ROLLBACK_SECONDS, "version 3")
        rolled_back = field.status(environment.MODEL)
        seen = watcher.snapshot()
        field.kill_operator()
        environment.wait_for_operator(kubectl)
        aftermath = story.watch_on(stage, story.AFTERMATH_SECONDS, "version 2 serves on")
        restarted = field.status(environment.MODEL)
        model = kubectl.get("modeldeployment", environment.MODEL, "--show-managed-fields")
        kubectl.run(
            *("patch", "modeldeployment", environment.MODEL, "--type=merge"),
            *("-p", '{"spec": {"rollout": {"retryToken": "again"}}}'),
        )
        retried = field.until(environment.MODEL, lambda status: "canary" in status, 30)
        stage.apply("2")
        field.until(environment.MODEL, lambda status: status["phase"] == "Healthy", 60)
        environment.stop_load(kubectl)
    yield Told(promotion, rollback, aftermath, seen, rolled_back, restarted, retried, model)
    field.delete(environment.MODEL)


def test_the_better_version_is_promoted_and_nobody_notices(told: Told) -> None:
    checks = promise.promotion(told.promotion, told.seen.rollout("2"), told.seen.pods.values())

    assert all(check.kept for check in checks), checks


def test_the_worse_version_is_rolled_back_in_time_on_evidence(told: Told) -> None:
    checks = promise.rollback(told.seen.rollout("3"), told.seen.stable_version)

    assert all(check.kept for check in checks), checks


def test_status_tells_the_culprit_and_the_numbers_of_both_arms(told: Told) -> None:
    (rejected,) = told.rolled_back["rejected"]

    assert told.rolled_back["phase"] == "Degraded"
    assert rejected["version"] == "3"
    assert rejected["metric"] in {"error-rate", "latency"}
    assert "evidence" in rejected["message"]
    assert rejected["message"].count(" of ") >= 2
    assert condition(told.rolled_back, "Promoted")["status"] == "False"
    assert condition(told.rolled_back, "Ready")["status"] == "True"


def test_a_restarted_operator_does_not_try_it_again_but_a_new_retry_token_does(told: Told) -> None:
    assert told.restarted["phase"] == "Degraded"
    assert "canary" not in told.restarted
    assert told.retried["canary"]["version"] == "3"
    assert told.retried["canary"]["rollout"].endswith("-2")


def test_after_the_rollback_nothing_fails(told: Told) -> None:
    assert told.aftermath.load.sent > 0
    assert told.aftermath.load.failed == 0


def test_the_operator_writes_status_and_nothing_of_the_spec(told: Told) -> None:
    entries = [entry for entry in told.model["metadata"]["managedFields"] if entry["manager"] == "fairlead"]

    assert entries
    assert all(set(entry["fieldsV1"]) == {"f:status"} for entry in entries)
    applied = environment.model_deployment("3")["spec"]
    assert told.model["spec"] == applied | {"replicas": 1}


def test_the_record_keeps_the_decisions_and_the_evidence(told: Told) -> None:
    record = told.seen.rollout("3")
    assert record is not None
    status = record["status"]

    assert status["decisions"][0]["action"] == "Started"
    assert status["decisions"][-1]["action"] == "RolledBack"
    assert status["history"][-1]["evidence"] >= 100
    (culprit,) = (item for item in status["metrics"] if item["name"] == status["culprit"])
    assert culprit["canary"]["bad"] > 0
