"""Users' own metrics: a rollout starts only when they make sense, and goes by them as they were then."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.component.operator.world import World, never

COST = {"name": "cost", "templateRef": {"name": "cost", "args": {"value": "1"}}, "interval": "1s"}


def judged_by(world: World, version: str, metric: dict[str, Any]) -> None:
    world.apply(version, analysis={"metrics": [{"name": "error-rate"}, metric]})


def share_template(world: World, maximum: float) -> None:
    template = {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "MetricTemplate",
        "metadata": {"name": "cost", "namespace": world.namespace},
        "spec": {"query": "vector({{ args.value }})", "thresholdRange": {"max": maximum}, "args": [{"name": "value"}]},
    }
    world.plane.kubectl("apply", "-f", "-", stdin=json.dumps(template))


def test_a_missing_template_is_waited_for_and_the_plan_keeps_it(world: World) -> None:
    world.apply("1")
    world.until_healthy("1")
    judged_by(world, "2", COST)
    status = world.until(lambda status: status["phase"] == "Degraded", "the missing template to show")
    assert "version 1 serves, but the rollout of version 2 cannot start" in status["message"]
    assert "metric cost: there is no MetricTemplate cost in the namespace" in status["message"]
    assert world.condition("Ready")["status"] == "True"
    assert world.condition("Stalled")["reason"] == "InvalidMetric"
    never(lambda: world.status().get("canary"), "it started blindly", 2.0)
    share_template(world, 2.0)
    world.until(lambda status: status.get("canary"), "the rollout to start")
    share_template(world, 0.5)
    world.until_healthy("2")
    rollout = json.loads(world.plane.kubectl("get", "mro", "-n", world.namespace, "-o", "json"))["items"][0]
    query = rollout["spec"]["plan"]["analysis"]["metrics"][1]["query"]
    assert (query["query"], query["arguments"], query["maximum"]) == ("vector({{ args.value }})", {"value": "1"}, 2.0)
    judged_by(world, "3", COST)
    rejected = world.until_rejected("3")
    assert (rejected["reason"], rejected["metric"]) == ("ThresholdExceeded", "cost")
    said = r"cost is 1, above the maximum of 0\.5: (\d+) of \1 answers failed, 0 tolerated"
    assert re.search(said, rejected["message"])


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("up{x={{ nobody }}}", "metric mine: the query template is wrong: 'nobody' is undefined"),
        ("{% for i in args %}{% endfor %}", "metric mine: the query template is wrong: line 1: For cannot be used"),
    ],
)
def test_a_wrong_template_is_told_before_anything_moves(world: World, query: str, text: str) -> None:
    world.apply("1")
    world.until_healthy("1")
    judged_by(world, "2", {"name": "mine", "query": query, "thresholdRange": {"max": 1}})
    status = world.until(lambda status: status["phase"] == "Degraded", "the wrong template to show")
    assert text in status["message"]
    assert not status.get("canary")
    world.apply("1")
    world.until_healthy("1")
