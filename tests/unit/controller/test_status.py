"""What people read, for each kind of moment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fairlead.api.plan import Plan, PlanStep
from fairlead.api.status import ModelDeploymentStatus, Rejected
from fairlead.api.verdict import Outcome, Reason, Verdict
from fairlead.controller import status
from fairlead.controller.journal import Memory
from fairlead.controller.status import Picture
from fairlead.controller.throttle import StatusThrottle
from fairlead.rollout.state import (
    Attempt,
    Bootstrap,
    Fleet,
    Hold,
    Observation,
    Revision,
    Settle,
    Trouble,
)

EPOCH = 1767225600.0
AT = "2026-01-01T00:00:00Z"
V1, V2 = Revision("aaa", "1"), Revision("bbb", "2")
OWNER = {"metadata": {"name": "fraud", "namespace": "n", "uid": "u", "generation": 4}}
PLAN = Plan(steps=[PlanStep(kind="SetWeight", weight=25, stage=1), PlanStep(kind="Promote", weight=100, stage=2)])
ATTEMPT = Attempt("fraud-bbb-1", V2, 0, EPOCH, EPOCH)
BAD = Rejected(revision="bbb", version="2", reason="Regression", message="errors 10 % against 0 %", at=AT)


def picture(action: Any, memory: Memory, target: Revision = V1, **changes: Any) -> Picture:
    fleets = changes.pop("fleets", {"aaa": Fleet(2, 2, 2), "bbb": Fleet(1, 1, 1)})
    verdict = changes.pop("verdict", None)
    seen = Observation(EPOCH, target, 2, memory.stable, memory.attempt, PLAN, verdict, fleets)
    base = Picture(OWNER, ModelDeploymentStatus(), seen, action, memory, {"aaa": "sha256:1"}, deadline=600)
    return replace(base, **changes)


def conditions(drawn: ModelDeploymentStatus) -> dict[str, str]:
    return {item.type: item.status for item in drawn.conditions}


HELD = Hold(ATTEMPT, "NoData", "no data", paused=True)
MOVING = Hold(ATTEMPT, "CollectingEvidence", "not enough to tell")


@pytest.mark.parametrize(
    ("pictured", "phase", "ready", "progressing", "promoted", "part"),
    [
        (
            picture(Bootstrap(done=False), Memory(), fleets={"aaa": Fleet(2, 2, 1, trouble=Trouble("X", "why"))}),
            *("Pending", "False", "True", "Unknown", "1 of 2 pods of version 1 are Ready: X: why"),
        ),
        (
            picture(Bootstrap(done=False), Memory(), fleets={"aaa": Fleet(2, 2, 0, created=EPOCH - 600)}),
            *("Degraded", "False", "False", "Unknown", "0 of 2 pods"),
        ),
        (picture(Settle(), Memory(V1)), "Healthy", "True", "False", "True", "version 1 serves with 2 pods"),
        (
            picture(MOVING, Memory(V1, ATTEMPT), V2),
            *("Progressing", "True", "True", "False", "step 1/2: 33 % on version 2; not enough to tell"),
        ),
        (picture(HELD, Memory(V1, ATTEMPT), V2), "Paused", "True", "True", "False", "no data"),
        (
            picture(Settle(), Memory(V1, None, (BAD,)), V2),
            *(
                "Degraded",
                "True",
                "False",
                "False",
                "errors 10 % against 0 %. version 1 serves; change spec.rollout.retryToken",
            ),
        ),
        (
            picture(Settle(), Memory(V1), fleets={"aaa": Fleet(2, 2, 0, trouble=Trouble("X", "why"))}),
            *("Degraded", "False", "False", "True", "no pod of version 1 is Ready: X: why"),
        ),
        (
            picture(Settle(), Memory(V1), fleets={"aaa": Fleet(2, 2, 1)}),
            *("Healthy", "True", "False", "True", "1 of 2 pods"),
        ),
        (
            picture(Settle(), Memory(V1), fleets={"aaa": Fleet(2, 2, 1, trouble=Trouble("X", "why"))}),
            *("Degraded", "True", "False", "True", "X: why"),
        ),
        (
            picture(Settle(), Memory(V1), problem=Trouble("NotOurs", "Service n/fraud exists")),
            *("Degraded", "True", "False", "True", "Service n/fraud exists"),
        ),
    ],
)
def test_each_moment(  # the columns of the table
    pictured: Picture, phase: str, ready: str, progressing: str, promoted: str, part: str
) -> None:
    drawn = status.draw(pictured)

    found = conditions(drawn)
    assert drawn.phase == phase
    assert (found["Ready"], found["Progressing"], found["Promoted"]) == (ready, progressing, promoted)
    assert found["Reconciling"] == progressing
    assert found["Stalled"] == ("True" if phase == "Degraded" else "False")
    assert part in drawn.message


@pytest.mark.parametrize(
    ("verdict", "healthy"),
    [
        (None, "Unknown"),
        (Verdict(Outcome.CONTINUE, Reason.COLLECTING, "", measurable=False), "Unknown"),
        (Verdict(Outcome.CONTINUE, Reason.COLLECTING, ""), "True"),
        (Verdict(Outcome.INCONCLUSIVE, Reason.PROVIDER_ERROR, "unreachable", measurable=False), "False"),
        (Verdict(Outcome.INCONCLUSIVE, Reason.NOT_PROVEN, ""), "True"),
    ],
)
def test_analysis_healthy_says_whether_we_can_measure(verdict: Verdict | None, healthy: str) -> None:
    drawn = status.draw(picture(MOVING, Memory(V1, ATTEMPT), V2, verdict=verdict))

    assert conditions(drawn)["AnalysisHealthy"] == healthy


def test_a_transition_time_changes_only_with_the_condition() -> None:
    first = status.draw(picture(Settle(), Memory(V1)))
    later = picture(MOVING, Memory(V1, ATTEMPT), V2, old=first)
    second = status.draw(replace(later, seen=replace(later.seen, now=EPOCH + 60)))

    times = {item.type: item.last_transition_time for item in second.conditions}
    assert times["Ready"] == AT
    assert times["Promoted"] == "2026-01-01T00:01:00Z"


def test_the_digest_is_kept_once_known() -> None:
    first = status.draw(picture(Settle(), Memory(V1)))
    second = status.draw(picture(Settle(), Memory(V1), old=first, digests={}))

    assert first.stable is not None
    assert second.stable is not None
    assert second.stable.digest == first.stable.digest == "sha256:1"


def test_numbers_alone_are_written_seldom_and_transitions_at_once() -> None:
    throttle = StatusThrottle(15)
    key = ("n", "fraud")
    old = status.draw(picture(MOVING, Memory(V1, ATTEMPT), V2)).to_record()
    newer = status.draw(picture(replace(MOVING, message="more numbers"), Memory(V1, ATTEMPT), V2)).to_record()
    paused = status.draw(picture(HELD, Memory(V1, ATTEMPT), V2)).to_record()

    throttle.wrote(key, 100)

    assert not throttle.due(key, old, old, 1000)
    assert not throttle.due(key, old, newer, 114)
    assert throttle.due(key, old, newer, 115)
    assert throttle.due(key, old, paused, 101)
