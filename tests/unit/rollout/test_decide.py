"""Every decision of a rollout as a row: what was seen → what is done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fairlead.api.plan import AnalysisPlan, Plan, PlanStep
from fairlead.api.verdict import Outcome, Reason, Verdict
from fairlead.rollout.decide import decide
from fairlead.rollout.state import (
    Advance,
    Attempt,
    Bootstrap,
    Commands,
    Fleet,
    Hold,
    Observation,
    Promote,
    Rejection,
    Revision,
    Rollback,
    Settle,
    Start,
    Supersede,
    Trouble,
)

NOW = 10_000.0
V1, V2, V3 = Revision("aaa", "1"), Revision("bbb", "2"), Revision("ccc", "3")
PLAN = Plan(
    steps=[
        PlanStep(kind="SetWeight", weight=25, stage=1),
        PlanStep(kind="Pause", weight=25, stage=1, duration=60.0),
        PlanStep(kind="Analysis", weight=25, stage=1),
        PlanStep(kind="SetWeight", weight=50, stage=2),
        PlanStep(kind="Pause", weight=50, stage=2),
        PlanStep(kind="Promote", weight=100, stage=3),
    ]
)
GOOD = Verdict(Outcome.ADVANCE, Reason.PROVEN, "proven")
SO_FAR = Verdict(Outcome.CONTINUE, Reason.COLLECTING, "not enough to tell")
BAD = Verdict(Outcome.ROLLBACK, Reason.REGRESSION, "errors 10 % against 0 %", culprit="error-rate")
BLIND = Verdict(Outcome.INCONCLUSIVE, Reason.NO_DATA, "no data", measurable=False)


def seen(step: int = 0, **changes: Any) -> Observation:
    """V2 on its way instead of V1 at `step`, three stable pods, all canary pods Ready."""
    pods = {0: 1, 1: 1, 2: 1}.get(step, 3)
    attempt = changes.pop("attempt", Attempt("m-bbb-1", V2, step, NOW - 300, NOW - 10, NOW - 8))
    base = Observation(
        now=NOW,
        target=V2,
        replicas=3,
        stable=V1,
        attempt=attempt,
        plan=PLAN,
        verdict=SO_FAR,
        fleets={"aaa": Fleet(3, 3, 3), "bbb": Fleet(pods, pods, pods)},
    )
    return replace(base, **changes)


def idle(**changes: Any) -> Observation:
    """V1 serves and nothing moves."""
    return replace(seen(), attempt=None, plan=None, verdict=None, target=V1, **changes)


@pytest.mark.parametrize(
    ("observation", "expected"),
    [
        (idle(stable=None, fleets={}), Bootstrap(done=False)),
        (idle(stable=None, fleets={"aaa": Fleet(3, 3, 2)}), Bootstrap(done=False)),
        (idle(stable=None), Bootstrap(done=True)),
        (idle(), Settle()),
        (replace(idle(), target=V2), Start()),
        (replace(idle(), target=V2, unplannable=Trouble("InvalidMetric", "no such template")), Settle()),
        (
            seen(plan=None, unplannable=Trouble("InvalidMetric", "no such template")),
            Hold(
                Attempt("m-bbb-1", V2, 0, NOW - 300, NOW - 10, NOW - 8),
                "InvalidMetric",
                "no such template",
                paused=True,
            ),
        ),
        (
            seen(plan=None, target=V3, unplannable=Trouble("InvalidMetric", "no such template")),
            Supersede("Superseded", "the spec asks for version 3: the rollout of version 2 ends"),
        ),
        (replace(idle(), target=V2, rejected={"bbb": Rejection("", "bad")}), Settle()),
        (replace(idle(), target=V2, rejected={"bbb": Rejection("", "bad")}, retry_token="again"), Start()),
        (replace(idle(), target=V2, leftovers=frozenset({"ccc"})), Settle()),
    ],
)
def test_without_a_rollout(observation: Observation, expected: object) -> None:
    assert decide(observation) == expected


@pytest.mark.parametrize(
    ("observation", "kind", "reason"),
    [
        (seen(0), Advance, "WeightReached"),
        (seen(0, fleets={"bbb": Fleet(1, 1, 0)}), Hold, "WaitingForPods"),
        (seen(1), Hold, "Pausing"),
        (seen(1, now=NOW + 60), Advance, "PauseOver"),
        (seen(1, now=NOW + 60, verdict=BLIND), Hold, Reason.NO_DATA),
        (seen(1, now=NOW + 60, verdict=None), Hold, Reason.COLLECTING),
        (seen(2), Hold, Reason.COLLECTING),
        (seen(2, verdict=BLIND), Hold, Reason.NO_DATA),
        (seen(2, verdict=GOOD), Advance, Reason.PROVEN),
        (seen(2, verdict=GOOD, fleets={"bbb": Fleet(1, 1, 0)}), Hold, "WaitingForPods"),
        (seen(4), Hold, "WaitingForPerson"),
        (seen(4, commands=Commands(promote_step=4)), Advance, "PromotedByUser"),
        (seen(4, commands=Commands(promote_step=3)), Hold, "WaitingForPerson"),
        (seen(5), Promote, "Promoted"),
        (seen(5, fleets={"bbb": Fleet(3, 3, 2)}), Hold, "WaitingForPods"),
        (seen(2, commands=Commands(pause=True), verdict=GOOD), Hold, "PausedByUser"),
        (seen(2, commands=Commands(pause=True), verdict=BAD), Rollback, Reason.REGRESSION),
        (seen(2, commands=Commands(promote_full=True)), Advance, "PromotedByUser"),
        (seen(5, commands=Commands(promote_full=True), verdict=BAD), Promote, "Promoted"),
        (seen(2, commands=Commands(abort=True)), Rollback, "Aborted"),
        (seen(1, verdict=BAD), Rollback, Reason.REGRESSION),
        (seen(4, verdict=BAD), Rollback, Reason.REGRESSION),
        (seen(2, target=V1), Supersede, "Reverted"),
        (seen(2, target=V3), Supersede, "Superseded"),
        (seen(2, target=V3, verdict=BAD), Supersede, "Superseded"),
    ],
)
def test_in_a_rollout(observation: Observation, kind: type, reason: str) -> None:
    action = decide(observation)

    assert isinstance(action, kind)
    assert getattr(action, "reason", "") == reason


def test_full_promotion_jumps_to_the_last_step() -> None:
    action = decide(seen(0, commands=Commands(promote_full=True)))

    assert isinstance(action, Advance)
    assert action.attempt.step == 5
    assert action.attempt.stage_started_at is None


def test_a_stage_begins_when_its_share_is_reached_and_lasts_over_its_steps() -> None:
    waiting = seen(0, attempt=Attempt("m-bbb-1", V2, 0, NOW, NOW), fleets={"bbb": Fleet(1, 1, 0)})
    held = decide(waiting)
    assert isinstance(held, Hold)
    assert held.attempt.stage_started_at is None

    reached = decide(replace(waiting, fleets={"bbb": Fleet(1, 1, 1)}, now=NOW + 5))
    assert isinstance(reached, Advance)
    assert reached.attempt.stage_started_at == NOW + 5

    next_weight = decide(seen(2, verdict=GOOD))
    assert isinstance(next_weight, Advance)
    assert next_weight.attempt.stage_started_at is None


def test_only_missing_pods_run_against_the_deadline() -> None:
    trouble = Trouble("ImagePullBackOff", "no such image")
    missing = {"bbb": Fleet(1, 1, 0, trouble=trouble)}
    attempt = Attempt("m-bbb-1", V2, 0, NOW - 600, NOW - 600, unready_since=NOW - 599)

    early = decide(seen(attempt=attempt, fleets=missing))
    late = decide(seen(attempt=attempt, fleets=missing, now=NOW + 1))
    mended = decide(seen(attempt=attempt, now=NOW + 1))

    assert isinstance(early, Hold)
    assert "ImagePullBackOff: no such image" in early.message
    assert isinstance(late, Rollback)
    assert late.reason == "ProgressDeadlineExceeded"
    assert "no such image" in late.message
    assert isinstance(mended, Advance)
    assert mended.attempt.unready_since is None


def test_a_pod_that_crashes_again_and_again_is_not_saved_by_the_moments_it_is_ready() -> None:
    attempt = Attempt("m-bbb-1", V2, 2, NOW - 900, NOW - 700, NOW - 700, unready_since=NOW - 650)
    flapping = {"bbb": Fleet(1, 1, 1, last_crash=NOW - 20)}

    assert isinstance(decide(seen(attempt=attempt, fleets=flapping)), Rollback)


def test_hold_timeout_ends_the_waiting() -> None:
    plan = PLAN.model_copy(update={"hold_timeout": 100.0})
    first = decide(seen(2, plan=plan, verdict=BLIND))
    assert isinstance(first, Hold)
    assert first.attempt.held_since == NOW

    later = decide(seen(plan=plan, verdict=BLIND, attempt=first.attempt, now=NOW + 100))
    assert isinstance(later, Rollback)
    assert later.reason == "HoldTimeout"

    seeing_again = decide(seen(plan=plan, verdict=SO_FAR, attempt=first.attempt, now=NOW + 99))
    assert isinstance(seeing_again, Hold)
    assert seeing_again.attempt.held_since is None


def test_without_analysis_the_readiness_decides() -> None:
    plan = PLAN.model_copy(update={"analysis": AnalysisPlan(enabled=False)})

    assert isinstance(decide(seen(2, plan=plan, verdict=None)), Advance)
    assert isinstance(decide(seen(1, plan=plan, verdict=None, now=NOW + 60)), Advance)


def test_a_step_that_would_expose_too_much_waits_and_says_what_would_mend_it() -> None:
    plan = Plan(steps=[PlanStep(kind="SetWeight", weight=5, stage=1), PLAN.steps[-1]], max_overshoot=20)
    nothing = {"aaa": Fleet(2, 2, 2), "bbb": Fleet()}

    action = decide(seen(plan=plan, replicas=2, fleets=nothing, attempt=Attempt("m-bbb-1", V2, 0, NOW, NOW)))

    assert isinstance(action, Hold)
    assert action.paused
    assert action.attempt.unready_since is None
    assert "2 + 1 pods would give the canary 33 %" in action.message
    assert "Raise minReplicas to 3" in action.message
