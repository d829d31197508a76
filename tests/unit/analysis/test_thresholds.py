"""Users' thresholds: what answers mean, when they are asked for, and what they make of a verdict."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fairlead.analysis import limits, thresholds
from fairlead.analysis.limits import Clock
from fairlead.analysis.native import Histogram
from fairlead.analysis.source import MetricError, ProviderError, QueryError, Sample
from fairlead.analysis.thresholds import Answer, Kind, Tally
from fairlead.api.plan import PlanMetric, PlanQuery
from fairlead.api.verdict import Outcome, Reason, Verdict
from tests.unit.analysis.support import START, plan

PASSED, FAILED = Answer(Kind.PASSED, "fine", 1.0), Answer(Kind.FAILED, "bad", 9.0)
EMPTY, WRONG = Answer(Kind.INCONCLUSIVE, "empty"), Answer(Kind.REFUSED, "cost: parse error")
GONE = Answer(Kind.UNREACHABLE, "cost: nobody answers")


def query(**changes: Any) -> PlanQuery:
    return PlanQuery.model_validate({"query": "cost", "maximum": 2.0, **changes})


def one(value: float) -> list[Sample]:
    return [Sample({"job": "a"}, value)]


@pytest.mark.parametrize(
    ("value", "bounds", "kind", "sentence"),
    [
        (1.5, {}, Kind.PASSED, "cost is 1.5 (at most 2 is asked for)"),
        (2.0, {}, Kind.PASSED, "cost is 2 (at most 2 is asked for)"),
        (2.5, {}, Kind.FAILED, "cost is 2.5, above the maximum of 2"),
        (0.5, {"minimum": 1.0}, Kind.FAILED, "cost is 0.5, below the minimum of 1"),
        (1.0, {"minimum": 1.0}, Kind.PASSED, "cost is 1 (at least 1 and at most 2 is asked for)"),
        (math.nan, {}, Kind.INCONCLUSIVE, "cost is NaN, which is no number to judge by"),
        (-math.inf, {}, Kind.INCONCLUSIVE, "cost is infinite, which is no number to judge by"),
    ],
)
def test_one_number_against_its_range(value: float, bounds: dict[str, float], kind: Kind, sentence: str) -> None:
    answer = thresholds.assess("cost", query(**bounds), one(value))
    assert (answer.kind, answer.sentence) == (kind, sentence)


@pytest.mark.parametrize(
    ("found", "kind", "text"),
    [
        ([], Kind.INCONCLUSIVE, "the answer is empty"),
        ([*one(1), *one(2)], Kind.REFUSED, "cost has 2 series, and one number is needed"),
        ([Sample({}, 3.0, Histogram(3, 0.0, {1: 3.0}))], Kind.REFUSED, "native histogram"),
        (QueryError("refused: parse error"), Kind.REFUSED, "cost: refused: parse error"),
        (ProviderError("no answer within 5 s"), Kind.UNREACHABLE, "cost: no answer within 5 s"),
    ],
)
def test_what_is_not_one_number(found: list[Sample] | MetricError, kind: Kind, text: str) -> None:
    answer = thresholds.assess("cost", query(), found)
    assert answer.kind == kind
    assert text in answer.sentence
    assert answer.canary is None


COMPARED = {"maximum": None, "compareToStable": True}


@pytest.mark.parametrize(
    ("canary", "stable", "limit", "kind", "sentence"),
    [
        (
            5.2,
            4.0,
            {"maxIncrease": 0.1},
            Kind.FAILED,
            "5.2 against 4 on stable, 30 % more: at most 10 % more is allowed",
        ),
        (4.2, 4.0, {"maxIncrease": 0.1}, Kind.PASSED, "4.2 against 4 on stable, 5 % more"),
        (2.0, 4.0, {"maxIncrease": 0.1}, Kind.PASSED, "2 against 4 on stable, 50 % less"),
        (2.0, 4.0, {"maxDecrease": 0.2}, Kind.FAILED, "2 against 4 on stable, 50 % less: at most 20 % less is allowed"),
        (
            -5.0,
            -4.0,
            {"maxDecrease": 0.2},
            Kind.FAILED,
            "-5 against -4 on stable, 25 % less: at most 20 % less is allowed",
        ),
        (4.0, 4.0, {"maxIncrease": 0}, Kind.PASSED, "4 against 4 on stable, 0 % more"),
        (4.0, 0.0, {"maxIncrease": 0.1}, Kind.INCONCLUSIVE, "4 against 0 on stable: no share can be told"),
        (4.0, 4.0, {"maxIncrease": 0.1, "maximum": 3.0}, Kind.FAILED, "0 % more, above the maximum of 3"),
    ],
)
def test_compared_with_stable(canary: float, stable: float, limit: Any, kind: Kind, sentence: str) -> None:
    answer = thresholds.assess("cost", query(**COMPARED | limit), one(canary), one(stable))
    assert answer.kind == kind
    assert sentence in answer.sentence


@pytest.mark.parametrize("missing", [[], one(math.nan)])
def test_without_stable_nothing_is_compared(missing: list[Sample]) -> None:
    answer = thresholds.assess("cost", query(**COMPARED, maxIncrease=0.1), one(4), missing)
    assert answer.kind is Kind.INCONCLUSIVE
    assert answer.sentence.startswith("cost of stable")


@pytest.mark.parametrize(
    ("asked", "delay", "stage", "elapsed", "want"),
    [
        (-1, 0.0, 30.0, 29.0, []),
        (-1, 0.0, 30.0, 59.9, []),
        (-1, 0.0, 30.0, 60.0, [1]),
        (-1, 90.0, 30.0, 119.0, []),
        (-1, 90.0, 30.0, 120.0, [2]),
        (1, 0.0, 30.0, 200.0, [2, 3]),
        (3, 0.0, 30.0, 200.0, []),
        (3, 0.0, 30.0, 100.0, []),
        (0, 0.0, 0.0, 6000.0, [96, 97, 98, 99, 100]),
    ],
    ids=[
        "early",
        "before the instant",
        "at it",
        "delayed",
        "after the delay",
        "missed",
        "asked",
        "clock back",
        "long ago",
    ],
)
def test_instants_lie_on_a_grid(asked: float, delay: float, stage: float, elapsed: float, want: list[int]) -> None:
    asking = query(interval=60.0, initialDelay=delay)
    first = thresholds.first_due(asking, START, START + stage)
    assert list(thresholds.due(asking, Tally(asked=asked), first, elapsed)) == want


def after(*answers: Answer) -> list[float]:
    known = Tally()
    for instant, answer in enumerate(answers):
        known = thresholds.counted(known, instant, answer)
    return known.to_list()


def test_what_is_stored_is_read_again() -> None:
    stored = after(PASSED, FAILED, EMPTY, WRONG)
    assert thresholds.tally(stored) == Tally(3, 1, 2, 1, 1, 1, Kind.REFUSED, 9.0, 0)
    assert thresholds.tally([1.0, 2.0]) == thresholds.tally(None) == Tally()


def test_an_instant_counts_once() -> None:
    known = thresholds.tally(after(FAILED))
    assert thresholds.counted(known, 0, FAILED) == known


def metric(name: str = "cost", *, dry_run: bool = False, **changes: Any) -> PlanMetric:
    return PlanMetric.model_validate(
        {
            "name": name,
            "kind": "query",
            "weight": 0,
            "rollback": {"ratio": 1, "absolute": 0},
            "promotion": {"ratio": 1, "absolute": 0},
            "query": query(interval=10.0, failureLimit=1, inconclusiveLimit=2, consecutiveErrorLimit=2, **changes),
            "dryRun": dry_run,
        }
    )


CLOCK = Clock(START, START, START + 100)
COLLECTING = Verdict(Outcome.CONTINUE, Reason.COLLECTING, "not enough yet")
PROVEN = Verdict(Outcome.ADVANCE, Reason.PROVEN, "proven")


def considered(verdict: Verdict, stored: list[float], how: PlanMetric | None = None, **changes: Any) -> Verdict:
    judged = plan()
    judged = judged.model_copy(update={"metrics": [*judged.metrics, how or metric()], **changes})
    return limits.consider(verdict, judged, {"cost": stored}, CLOCK)


@pytest.mark.parametrize(
    ("answers", "outcome", "reason", "text"),
    [
        ([PASSED], Outcome.ADVANCE, Reason.PROVEN, "proven"),
        ([FAILED], Outcome.ADVANCE, Reason.PROVEN, "proven"),
        ([FAILED, PASSED, FAILED], Outcome.ROLLBACK, Reason.THRESHOLD, "above the maximum of 2: 2 of 3 answers failed"),
        ([], Outcome.CONTINUE, Reason.COLLECTING, "proven; waiting for a first answer of cost in this step"),
        ([EMPTY] * 2, Outcome.CONTINUE, Reason.COLLECTING, "waiting for a first answer"),
        ([EMPTY] * 3, Outcome.INCONCLUSIVE, Reason.NO_DATA, "3 times no number in a row, 2 tolerated"),
        ([EMPTY, EMPTY, PASSED, EMPTY], Outcome.ADVANCE, Reason.PROVEN, "proven"),
        ([PASSED, WRONG, WRONG], Outcome.ADVANCE, Reason.PROVEN, "proven"),
        (
            [PASSED, WRONG, WRONG, WRONG],
            Outcome.INCONCLUSIVE,
            Reason.BAD_QUERY,
            "3 times an error in a row, 2 tolerated",
        ),
        ([GONE] * 3, Outcome.INCONCLUSIVE, Reason.PROVIDER_ERROR, "the rollout waits"),
        ([WRONG, WRONG, EMPTY, WRONG, PASSED], Outcome.ADVANCE, Reason.PROVEN, "proven"),
    ],
    ids=lambda value: f"{len(value)} answers" if isinstance(value, list) else "",
)
def test_what_answers_make_of_a_proof(answers: list[Answer], outcome: Outcome, reason: str, text: str) -> None:
    verdict = considered(PROVEN, after(*answers))
    assert (verdict.outcome, verdict.reason) == (outcome, reason)
    assert text in verdict.message
    assert verdict.culprit == ("cost" if outcome is Outcome.ROLLBACK else None)
    assert verdict.measurable is (outcome is not Outcome.INCONCLUSIVE)


@pytest.mark.parametrize("answers", [[FAILED] * 9, [WRONG] * 9, [EMPTY] * 9, []])
def test_a_dry_run_is_only_recorded(answers: list[Answer]) -> None:
    verdict = considered(PROVEN, after(*answers), metric(dry_run=True))
    assert (verdict.outcome, verdict.message) == (Outcome.ADVANCE, "proven")
    (reading,) = verdict.readings
    assert (reading.name, reading.kind, reading.acted) == ("cost", "query", ("dry-run",))
    assert reading.canary_k == answers.count(FAILED)


@pytest.mark.parametrize("error", [GONE, WRONG])
def test_errors_roll_back_only_where_the_user_wrote_fail(error: Answer) -> None:
    verdict = considered(PROVEN, after(*[error] * 3), on_provider_error="Fail")
    assert (verdict.outcome, verdict.culprit) == (Outcome.ROLLBACK, "cost")
    assert "onProviderError is Fail" in verdict.message


def test_a_failed_threshold_goes_before_missing_evidence() -> None:
    blind = Verdict(Outcome.INCONCLUSIVE, Reason.NO_DATA, "no data", measurable=False)
    assert considered(blind, after(FAILED, FAILED)).reason == Reason.THRESHOLD
    assert considered(blind, after(*[WRONG] * 9)).message == "no data"


def test_a_proven_regression_stands() -> None:
    worse = Verdict(Outcome.ROLLBACK, Reason.REGRESSION, "worse", culprit="latency")
    assert considered(worse, after(FAILED, FAILED)).culprit == "latency"


def test_each_step_waits_for_an_answer_of_its_own() -> None:
    judged = plan().model_copy(update={"metrics": [*plan().metrics, metric()]})
    stored = {"cost": after(PASSED)}
    assert limits.consider(PROVEN, judged, stored, Clock(START, START, START + 5)).outcome is Outcome.ADVANCE
    second = Clock(START, START + 5, START + 9)
    assert limits.consider(PROVEN, judged, stored, second).outcome is Outcome.CONTINUE


@pytest.mark.parametrize(
    ("stage", "answers", "outcome"),
    [
        (None, [], Outcome.CONTINUE),
        (START + 90, [PASSED] * 11, Outcome.CONTINUE),
        (START, [PASSED], Outcome.ADVANCE),
        (START, [], Outcome.CONTINUE),
        (START, [FAILED] * 2, Outcome.ROLLBACK),
    ],
)
def test_thresholds_alone_judge_by_the_shortest_step(
    stage: float | None, answers: list[Answer], outcome: Outcome
) -> None:
    blind = Verdict(Outcome.INCONCLUSIVE, Reason.BAD_QUERY, "there is no metric to judge by", measurable=False)
    judged = plan().model_copy(update={"metrics": [metric()]})
    verdict = limits.consider(blind, judged, {"cost": after(*answers)}, Clock(START, stage, START + 100))
    assert verdict.outcome is outcome
    assert verdict.measurable
