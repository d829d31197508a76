"""From what a user writes to the frozen plan, its shares and its revision."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api.metricspec import Metric
from fairlead.api.metrictemplate import MetricTemplateSpec
from fairlead.api.modeldeployment import ModelDeploymentSpec
from fairlead.api.plan import Plan, PlanMetric, PlanQuery, PlanRatio, PlanStep
from fairlead.rollout.metrics import PlanError, planned_metrics, templates_named
from fairlead.rollout.planning import plan_of
from fairlead.rollout.revision import plan_hash, revision_of, version_of
from fairlead.rollout.shares import canary_replicas, planned_weight, share_at


def spec(**fields: Any) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.model_validate({"model": {"storageUri": "s3://m/1"}, **fields})


def shape(plan: Plan) -> list[tuple[str, int, int]]:
    return [(step.kind, step.weight, step.stage) for step in plan.steps]


def test_a_spec_with_only_a_model_has_a_whole_plan() -> None:
    plan = plan_of(spec().rollout, 20)

    assert shape(plan) == [
        ("SetWeight", 20, 1),
        ("Analysis", 20, 1),
        ("SetWeight", 50, 2),
        ("Analysis", 50, 2),
        ("Promote", 100, 3),
    ]
    assert {metric.name: metric.weight for metric in plan.analysis.metrics} == {
        "error-rate": 0.5,
        "latency": 0.4,
        "client-error-rate": 0.1,
        "prediction-distribution": 1.0,
        "input-distribution": 1.0,
        "accuracy": 1.0,
    }
    assert {metric.name: metric.action for metric in plan.analysis.metrics if metric.action != "Rollback"} == {
        "prediction-distribution": "Hold",
        "input-distribution": "Hold",
        "accuracy": "Veto",
    }
    assert plan.analysis.alpha == 0.01


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], [("Promote", 100, 1)]),
        ([{"setWeight": 100}], [("Promote", 100, 1)]),
        (
            [{"setWeight": 5}, {"pause": {}}, {"setWeight": 100}, {"pause": {}}],
            [("SetWeight", 5, 1), ("Pause", 5, 1), ("Promote", 100, 2)],
        ),
    ],
)
def test_promotion_is_always_the_last_step(steps: list[Any], expected: list[Any]) -> None:
    assert shape(plan_of(spec(rollout={"canary": {"steps": steps}}).rollout, 20)) == expected


def test_what_the_user_wrote_is_kept() -> None:
    plan = plan_of(
        spec(
            rollout={
                "canary": {"steps": [{"setWeight": 10}, {"pause": {"duration": "1h30m"}}], "maxOvershoot": 5},
                "analysis": {
                    "interval": "5s",
                    "metrics": [{"name": "latency", "promotionMargin": {"ratio": 2, "absolute": 0.01}}],
                },
                "holdTimeout": {"after": "24h"},
                "progressDeadlineSeconds": 30,
            }
        ).rollout,
        5,
    )

    assert plan.steps[1].duration == 5400
    assert (plan.max_overshoot, plan.progress_deadline, plan.hold_timeout) == (5, 30, 86400)
    assert plan.analysis.interval == 5
    assert plan.analysis.max_connection_age == 5
    (metric,) = plan.analysis.metrics
    assert (metric.weight, metric.promotion.ratio, metric.rollback.ratio) == (1.0, 2, 1.1)


@pytest.mark.parametrize(
    ("stable", "weight", "pods", "share"),
    [(1, 5, 1, 50), (2, 5, 1, 33), (3, 25, 1, 25), (10, 20, 3, 23), (19, 5, 1, 5), (4, 50, 4, 50), (4, 90, 4, 50)],
)
def test_shares_by_replicas(stable: int, weight: int, pods: int, share: int) -> None:
    assert canary_replicas(stable, weight) == pods
    assert planned_weight(stable, pods) == share


def test_a_blocked_weight_keeps_the_share_before_it() -> None:
    plan = Plan(
        steps=[
            PlanStep(kind="SetWeight", weight=30, stage=1),
            PlanStep(kind="SetWeight", weight=31, stage=2),
            PlanStep(kind="Promote", weight=100, stage=3),
        ],
        max_overshoot=3,
    )

    assert share_at(plan, 0, 2).replicas == 1
    assert share_at(plan, 1, 2).replicas == 1
    assert share_at(plan, 2, 2).replicas == 2
    blocked = share_at(plan, 0, 1)
    assert blocked.replicas == 0
    assert "maxOvershoot" in blocked.blocked


def test_only_model_and_server_make_a_revision() -> None:
    base = spec()

    assert revision_of(spec(minReplicas=3, rollout={"retryToken": "x"}, replicas=7)) == revision_of(base)
    assert revision_of(spec(server={"drainSeconds": 10})) != revision_of(base)
    assert revision_of(spec(model={"storageUri": "s3://m/2"})) != revision_of(base)
    assert version_of(base) == revision_of(base)
    assert version_of(spec(model={"storageUri": "s3://m/1", "version": "7"})) == "7"


def test_a_plan_survives_the_record() -> None:
    plan = plan_of(spec().rollout, 20)

    assert Plan.model_validate(plan.to_record()) == plan
    assert plan_hash(Plan.model_validate(plan.to_record())) == plan_hash(plan)


def planned(*metrics: dict[str, Any], **templates: dict[str, Any]) -> list[PlanMetric]:
    listed = [Metric.model_validate(metric) for metric in metrics]
    return planned_metrics(listed, {name: MetricTemplateSpec.model_validate(one) for name, one in templates.items()})


def test_a_users_query_has_every_default_written_out() -> None:
    (metric,) = planned({"name": "cost", "query": "cost", "thresholdRange": {"max": 2}})

    assert (metric.kind, metric.weight, metric.dry_run) == ("query", 0.0, False)
    assert metric.query == PlanQuery(
        query="cost",
        interval=60.0,
        initial_delay=0.0,
        maximum=2.0,
        failure_limit=0,
        inconclusive_limit=3,
        consecutive_error_limit=4,
    )


def test_only_metrics_that_roll_back_share_alpha() -> None:
    ratio = {"bad": "bad", "total": "all"}
    metrics = planned(
        {"name": "error-rate"},
        {"name": "mine", "ratio": ratio, "weight": 0.5},
        {"name": "tried", "ratio": ratio, "dryRun": True},
        {"name": "held", "ratio": ratio, "action": "Hold"},
        {"name": "cost", "query": "cost", "thresholdRange": {"max": 2}},
    )

    assert [metric.weight for metric in metrics] == [0.5, 0.5, 1.0, 1.0, 0.0]
    assert metrics[1].ratio == PlanRatio(bad="bad", total="all")


TEMPLATE = {
    "query": "cost{team={{ args.team | text }}, zone={{ args.zone | text }}}",
    "args": [{"name": "team"}, {"name": "zone", "default": "any"}],
    "thresholdRange": {"max": 2},
    "interval": "30s",
    "failureLimit": 3,
}


def test_what_a_metric_says_goes_before_its_template() -> None:
    reference = {"name": "cost", "args": {"team": "a"}}
    (metric,) = planned({"name": "m", "templateRef": reference, "failureLimit": 0, "initialDelay": "5m"}, cost=TEMPLATE)

    query = metric.query
    assert query is not None
    assert (query.query, query.arguments) == (TEMPLATE["query"], {"team": "a", "zone": "any"})
    assert (query.interval, query.initial_delay, query.maximum, query.failure_limit) == (30.0, 300.0, 2.0, 0)


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        ({"templateRef": {"name": "gone"}}, "metric m: there is no MetricTemplate gone in the namespace"),
        ({"templateRef": {"name": "cost"}}, "metric m: MetricTemplate cost needs a value for team"),
        (
            {"templateRef": {"name": "cost", "args": {"team": "a", "tema": "b"}}},
            "metric m: MetricTemplate cost has no arg tema; it has team, zone",
        ),
        (
            {"templateRef": {"name": "bare"}},
            "metric m: it needs a thresholdRange, or compareTo with maxIncrease or maxDecrease",
        ),
        (
            {"templateRef": {"name": "bare"}, "compareTo": "stable"},
            "metric m: it needs a thresholdRange, or compareTo with maxIncrease or maxDecrease",
        ),
    ],
)
def test_what_does_not_make_a_threshold_is_told(metric: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PlanError) as caught:
        planned({"name": "m", **metric}, cost=TEMPLATE, bare={"query": "up"})
    assert str(caught.value) == sentence


def test_templates_are_part_of_the_plan_and_its_hash() -> None:
    rollout = spec(rollout={"analysis": {"metrics": [{"name": "m", "templateRef": {"name": "t"}}]}}).rollout
    plans = [
        plan_of(rollout, 20, {"t": MetricTemplateSpec.model_validate({"query": query, "thresholdRange": {"min": 1}})})
        for query in ("a", "b")
    ]

    assert templates_named(rollout.analysis.metrics) == ["t"]
    assert plan_hash(plans[0]) != plan_hash(plans[1])
    assert Plan.model_validate(plans[0].to_record()) == plans[0]
