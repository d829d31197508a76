"""Prometheus goes away in mid-rollout and the operator is killed: the rollout waits, says so, and ends as it would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from examples.demo import environment, models
from examples.demo.load import LoadReader
from tests.e2e.field import Field, condition, serves

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def loaded(field: Field) -> Iterator[Field]:
    """Given version 1 under load."""
    field.kubectl.apply(environment.model_deployment("1"))
    field.until(environment.MODEL, serves("1"), 120)
    environment.start_load(field.kubectl, models.Scans.load().requests())
    yield field
    environment.stop_load(field.kubectl)
    field.delete(environment.MODEL)


def test_a_rollout_survives_both(loaded: Field) -> None:
    kubectl = loaded.kubectl

    def blind(status: dict[str, Any]) -> bool:
        healthy = condition(status, "AnalysisHealthy")
        return healthy.get("status") == "False" and healthy["reason"] == "ProviderError"

    with LoadReader(kubectl) as load:
        # When a better version is on its way and Prometheus goes away
        kubectl.apply(environment.model_deployment("2"))
        loaded.until(environment.MODEL, lambda status: status.get("canary", {}).get("stepIndex") == 1, 60)
        kubectl.run("scale", "deployment/prometheus", "--replicas=0")

        # Then the rollout holds and says so
        held = loaded.until(environment.MODEL, blind, 90)
        assert held["phase"] == "Paused"
        assert "Prometheus" in held["message"]
        assert held["canary"]["stepIndex"] == 1

        # And an operator that is killed meanwhile holds as well, and goes on when Prometheus is back
        loaded.kill_operator()
        environment.wait_for_operator(kubectl)
        kubectl.run("scale", "deployment/prometheus", "--replicas=1")
        kubectl.rollout_status("prometheus")
        loaded.until(environment.MODEL, serves("2"), 420)
        environment.stop_load(kubectl)
        load.wait_for_end()
        assert load.between().failed == 0
