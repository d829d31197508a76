"""From what a user writes to the frozen plan, its shares and its revision."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api.modeldeployment import ModelDeploymentSpec
from fairlead.api.plan import Plan, PlanStep
from fairlead.rollout.planning import plan_of
from fairlead.rollout.revision import plan_hash, revision_of, version_of
from fairlead.rollout.shares import canary_replicas, planned_weight, share_at


def spec(**fields: Any) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.model_validate({"model": {"storageUri": "s3://m/1"}, **fields})


def shape(plan: Plan) -> list[tuple[str, int, int]]:
    return [(step.kind, step.weight, step.stage) for step in plan.steps]


def test_a_spec_with_only_a_model_has_a_whole_plan() -> None:
    plan = plan_of(spec(), 20)

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
    assert shape(plan_of(spec(rollout={"canary": {"steps": steps}}), 20)) == expected


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
        ),
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
    plan = plan_of(spec(), 20)

    assert Plan.model_validate(plan.to_record()) == plan
    assert plan_hash(Plan.model_validate(plan.to_record())) == plan_hash(plan)
