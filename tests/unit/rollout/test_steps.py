"""When a step is over: a table, and the operator's own decisions beside it."""

from __future__ import annotations

import itertools

import pytest

from fairlead.api.plan import Plan, PlanStep
from fairlead.api.verdict import Outcome, Reason, Verdict
from fairlead.rollout.decide import decide
from fairlead.rollout.state import Advance, Attempt, Fleet, Observation, Revision
from fairlead.rollout.steps import leaves

PLAN = Plan(
    steps=[
        PlanStep(kind="SetWeight", weight=25, stage=1),
        PlanStep(kind="Pause", weight=25, stage=1, duration=60.0),
        PlanStep(kind="Pause", weight=25, stage=1),
        PlanStep(kind="Analysis", weight=25, stage=1),
        PlanStep(kind="SetWeight", weight=50, stage=2),
        PlanStep(kind="SetWeight", weight=75, stage=3),
        PlanStep(kind="Promote", weight=100, stage=4),
    ]
)
TO_PAUSE, PAUSE, FOR_A_PERSON, ANALYSIS, TO_WEIGHT, TO_PROMOTION, PROMOTE = range(7)
WAITING = Verdict(Outcome.CONTINUE, Reason.COLLECTING, "not enough to tell")
PROVEN = Verdict(Outcome.ADVANCE, Reason.PROVEN, "proven")
UNSURE = Verdict(Outcome.INCONCLUSIVE, Reason.NOT_PROVEN, "not proven")
HELD = Verdict(Outcome.INCONCLUSIVE, Reason.VETO, "wrong predictions")
BLIND = Verdict(Outcome.INCONCLUSIVE, Reason.NO_DATA, "no data", measurable=False)


def over(step: int, verdict: Verdict, elapsed: float = 0.0) -> bool:
    return leaves(PLAN, step, elapsed, verdict.outcome, verdict.reason, measurable=verdict.measurable)


@pytest.mark.parametrize(
    ("step", "elapsed", "want"),
    [
        (TO_PAUSE, 0, {WAITING, PROVEN, UNSURE, HELD, BLIND}),
        (PAUSE, 59, set()),
        (PAUSE, 60, {WAITING, PROVEN, UNSURE}),
        (FOR_A_PERSON, 1e9, set()),
        (ANALYSIS, 0, {PROVEN}),
        (ANALYSIS, 1e9, {PROVEN}),
        (TO_WEIGHT, 0, {WAITING, PROVEN, UNSURE}),
        (TO_PROMOTION, 0, {WAITING, PROVEN, UNSURE}),
        (PROMOTE, 1e9, set()),
    ],
)
def test_which_verdicts_end_a_step(step: int, elapsed: float, want: set[Verdict]) -> None:
    assert {verdict for verdict in (WAITING, PROVEN, UNSURE, HELD, BLIND) if over(step, verdict, elapsed)} == want


@pytest.mark.parametrize("reason", sorted(Reason.HOLDS))
def test_what_holds_a_rollout_holds_it_in_a_pause_too(reason: str) -> None:
    held = Verdict(Outcome.INCONCLUSIVE, reason, "held")
    assert not any(over(step, held, 1e9) for step in (PAUSE, ANALYSIS, TO_WEIGHT, TO_PROMOTION))


@pytest.mark.parametrize(
    ("step", "verdict", "elapsed"),
    list(itertools.product(range(len(PLAN.steps)), (WAITING, PROVEN, UNSURE, HELD, BLIND), (0.0, 59.0, 60.0, 600.0))),
)
def test_the_operator_leaves_a_step_when_a_replay_does(step: int, verdict: Verdict, elapsed: float) -> None:
    now, canary = 10_000.0, Revision("bbb", "2")
    seen = Observation(
        now=now,
        target=canary,
        replicas=3,
        stable=Revision("aaa", "1"),
        attempt=Attempt("m-bbb-1", canary, step, now - 900, now - elapsed, now - 800),
        plan=PLAN,
        verdict=verdict,
        fleets={"aaa": Fleet(3, 3, 3), "bbb": Fleet(9, 9, 9)},
    )
    assert isinstance(decide(seen), Advance) == over(step, verdict, elapsed)
