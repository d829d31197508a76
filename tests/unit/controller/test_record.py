"""The record of a rollout: what is written down, and that it stays small."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from fairlead.analysis.request import Judgement, Point
from fairlead.api.modelrollout import Decision, EvidencePoint, ModelRolloutStatus
from fairlead.api.plan import AnalysisPlan, Plan, PlanStep
from fairlead.api.verdict import Outcome, Reading, Reason, Verdict
from fairlead.controller import record, thinning, times
from fairlead.rollout.state import Advance, Attempt, Hold, Promote, Revision, Rollback, Start

EPOCH = 1767225600.0
WEEK = 7 * 86400
TICK = 15.0
PLAN = Plan(
    steps=[
        PlanStep(kind="SetWeight", weight=25, stage=1),
        PlanStep(kind="Analysis", weight=25, stage=1),
        PlanStep(kind="Promote", weight=100, stage=2),
    ],
    analysis=AnalysisPlan(interval=TICK),
)
ATTEMPT = Attempt("fraud-bbb-1", Revision("bbb", "2"), 1, EPOCH, EPOCH)
HOLD = Hold(ATTEMPT, "CollectingEvidence", "not enough to tell")
READING = Reading("error-rate", 100, 3, 300, 4, 1.5, 0.25, 0.5)


def verdict(*readings: Reading, **changes: Any) -> Verdict:
    found = Verdict(Outcome.CONTINUE, Reason.COLLECTING, "so far so good", readings=readings, achieved_weight=24.96)
    return replace(found, **changes)


def judgement(t: float, said: Verdict, state: str = "s") -> Judgement:
    return Judgement(said, state, (Point(t, said),), EPOCH + 10, t + TICK)


def seen(*readings: Reading, **changes: Any) -> EvidencePoint:
    said = verdict(*readings, **changes)
    after = record.after(ModelRolloutStatus(), PLAN, ATTEMPT, HOLD, judgement(EPOCH + TICK, said), EPOCH + TICK)
    return after.history[-1]


def test_a_point_holds_what_was_measured_and_what_followed_from_it() -> None:
    reading = replace(
        READING, ratio=2.2503456789, interval=(0.81, math.inf), phi=2.125, acted=("alignment",), detail="errors"
    )
    assert seen(reading, acted=("settling",)).to_record() == {
        "at": "2026-01-01T00:00:15Z",
        "window": 15.0,
        "step": 1,
        "weight": 25,
        "achievedWeight": 25.0,
        "outcome": "Continue",
        "reason": "CollectingEvidence",
        "evidence": 0.0,
        "acted": ["settling"],
        "metrics": [
            {
                "name": "error-rate",
                "canary": {"total": 100.0, "bad": 3.0},
                "stable": {"total": 300.0, "bad": 4.0},
                "evidence": 1.5,
                "evidenceOk": 0.25,
                "ratio": 2.25035,
                "intervalLow": 0.81,
                "phi": 2.125,
                "acted": ["alignment"],
                "detail": "errors",
            }
        ],
    }


@pytest.mark.parametrize(
    ("given", "kept"),
    [(1 / 3, 0.333333), (123456789.0, 123457000.0), (1e300, 1e9), (math.inf, 1e9), (0.0, 0.0), (1e-12, 1e-12)],
)
def test_an_e_value_is_kept_with_six_figures_and_never_infinite(given: float, kept: float) -> None:
    found = seen(replace(READING, evidence=given), evidence=given)
    assert (found.evidence, found.metrics[0].evidence) == (kept, kept)


@pytest.mark.parametrize(("given", "kept"), [(None, None), (math.nan, None), (math.inf, None), (1.25, 1.25)])
def test_a_ratio_without_a_value_is_left_out(given: float | None, kept: float | None) -> None:
    assert seen(replace(READING, ratio=given)).metrics[0].ratio == kept


def test_the_newest_numbers_say_what_the_metric_is_and_the_queries_stand_once() -> None:
    said = verdict(replace(READING, kind="histogram", action="Hold"))
    answer = Judgement(said, "s", (), None, EPOCH, {"error-rate": "q" * 3000})
    after = record.after(ModelRolloutStatus(), PLAN, ATTEMPT, HOLD, answer, EPOCH)
    assert [(m.name, m.kind, m.action, m.weight) for m in after.metrics] == [("error-rate", "histogram", "Hold", 0.5)]
    assert len(after.queries["error-rate"]) == record.LONGEST_QUERY
    assert after.history == []


@pytest.mark.parametrize(
    ("evidence", "shown"), [(0.0, "0/100"), (0.034567, "0.035/100"), (14.4, "14/100"), (1e6 + 1, ">1e6/100")]
)
def test_evidence_fits_into_a_column(evidence: float, shown: str) -> None:
    said = verdict(READING, evidence=evidence)
    after = record.after(ModelRolloutStatus(), PLAN, ATTEMPT, HOLD, judgement(EPOCH, said), EPOCH)
    assert after.evidence == shown


def test_the_same_input_twice_changes_nothing() -> None:
    start = record.after(ModelRolloutStatus(), PLAN, ATTEMPT, Start(), None, EPOCH)
    once = record.after(start, PLAN, ATTEMPT, HOLD, None, EPOCH + 1)
    assert record.after(once, PLAN, ATTEMPT, HOLD, None, EPOCH + 9) == once


@pytest.mark.parametrize(
    ("action", "phase"),
    [
        (Rollback("Regression", "worse", "latency"), "RolledBack"),
        (Rollback("Aborted", "by a person"), "Aborted"),
        (Promote("Promoted", "serves all"), "Promoted"),
        (replace(HOLD, paused=True), "Paused"),
        (HOLD, "Progressing"),
    ],
)
def test_each_action_leads_to_its_phase(action: Any, phase: str) -> None:
    assert record.after(ModelRolloutStatus(), PLAN, ATTEMPT, action, None, EPOCH).phase == phase


def week(metrics: int) -> Iterator[Judgement]:
    """Judgements of a week at every 15 s, with long numbers throughout.

    Most of the points are thinned out long before its end: only every 80th is there before the last hour.
    """
    rules = ("alignment", "dispersion", "pod-noise")
    last = int(WEEK / TICK) + 1
    for tick in (1, *range(80, last - 240, 80), *range(last - 240, last)):
        readings = tuple(
            Reading(
                f"a-metric-of-some-name-{number}",
                *(17.0 * tick, tick / 3, 51.0 * tick, tick / 7, 1 / (tick + 2), 1 / (tick + 5), 1 / metrics),
                detail="requests slower than 0.25 ms",
                kind="histogram",
                ratio=1 + 1 / (tick + 9),
                interval=(1 / 3, 5 / 3),
                phi=2.123456789,
                acted=rules[: tick % 4],
            )
            for number in range(metrics)
        )
        said = verdict(*readings, evidence=1 / (tick + 1))
        yield judgement(EPOCH + tick * TICK, said, "x" * 8192)


@pytest.mark.parametrize(("metrics", "whole"), [(6, 1200), (16, 480)])
def test_a_week_at_every_15_seconds_stays_under_512_kib(metrics: int, whole: float) -> None:
    status = ModelRolloutStatus(queries={str(number): "q" * 2000 for number in range(metrics)})
    for number, answer in enumerate(week(metrics)):
        reason = ("CollectingEvidence", "NoData", "SplitMismatch")[number % 3]
        action = Hold(ATTEMPT, reason, "a sentence with numbers. " * 40)
        status = record.after(status, PLAN, ATTEMPT, action, answer, answer.next_at)
    size = len(json.dumps(status.to_record(), separators=(",", ":")))
    assert size < 448 * 1024  # the rest is for the frozen plan in spec
    when = [times.from_wire(point.at) for point in status.history]
    ages = [when[-1] - at for at in when]
    assert ages[0] == WEEK - TICK
    assert [age for age in ages if age <= whole] == [TICK * k for k in range(int(whole / TICK), -1, -1)]
    assert sum(point.window or 0 for point in status.history) == WEEK


def test_decisions_outlive_what_was_waited_for() -> None:
    status = record.after(ModelRolloutStatus(), PLAN, ATTEMPT, Start(), None, EPOCH)
    for tick in range(1, 1000):
        reason = "NoData" if tick % 2 else "CollectingEvidence"
        action: Any = Hold(ATTEMPT, reason, f"number {tick}")
        if tick in {20, 500}:
            action = Advance(replace(ATTEMPT, step=2), "ProvenNonInferior", f"number {tick}")
        status = record.after(status, PLAN, ATTEMPT, action, None, EPOCH + tick * 60)
    kept = status.decisions
    assert len(kept) == thinning.MOST_DECISIONS
    assert [d.message for d in kept if d.action != "Held"] == ["the rollout starts", "number 20", "number 500"]
    assert kept[-1].message == "number 999"
    assert any(d.message == f"number {tick}" for tick in range(21, 120) for d in kept)


def test_long_messages_are_cut() -> None:
    after = record.after(ModelRolloutStatus(), PLAN, ATTEMPT, Rollback("Regression", "é" * 900), None, EPOCH)
    decision: Decision = after.decisions[-1]
    assert len(decision.message) == record.LONGEST_MESSAGE
    assert decision.message.endswith("…")


def test_the_last_point_of_a_step_is_kept_longest() -> None:
    points = [
        EvidencePoint(
            at=times.to_wire(EPOCH + tick * TICK), step=tick // 400, weight=25, outcome="Continue", evidence=1
        )
        for tick in range(1200)
    ]
    kept: list[EvidencePoint] = []
    for point in points:
        kept = thinning.thinned([*kept, point])
    lasts = [one for one, other in itertools.pairwise(kept) if one.step != other.step]
    assert [one.at for one in lasts] == [points[399].at, points[799].at]
