"""Recordings judged as a whole: the verdicts, the steps, and what each interval was compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from fairlead.analysis.recording import RecordError
from fairlead.analysis.replay import RolloutError, replay
from tests.unit.analysis.recordings import (
    ANALYSIS,
    POD,
    ROUTER,
    alike,
    classes,
    equal,
    failing,
    lines,
    pause,
    ratio,
    rollout,
    run,
    shares,
    verdicts,
    weight,
)

Line = Mapping[str, Any]


def test_a_good_canary_is_promoted_and_the_rest_is_not_read() -> None:
    rest = iter(lines(100, *alike(0)))
    found = list(replay([ROUTER], rollout()))
    assert found == []
    found = list(replay((line for part in ([ROUTER], rest) for line in part), rollout()))
    assert [one["verdict"] for one in found] == ["Continue"] * 7 + ["Promote"]
    assert next(rest)["t"] == 15 * 10, "one line more was needed to know that the instant was complete"


def test_a_bad_canary_is_rolled_back_for_what_is_wrong_with_it() -> None:
    (found,) = run([ROUTER, *lines(100, *failing)], rollout())
    assert (found["t"], found["verdict"], found["step"], found["culprit"]) == (15, "Rollback", 1, "error-rate")
    assert found["metrics"]["error-rate"]["evidence"] > 100
    assert found["metrics"]["error-rate"]["ratio"] == pytest.approx(13.33, rel=0.01)


def test_one_that_cannot_be_told_is_inconclusive() -> None:
    found = run([ROUTER, *lines(10, *alike(1))], rollout(policy="ProvenNonInferior", maxStep="1m", minStep="1m"))
    assert [one["verdict"] for one in found] == ["Continue"] * 3 + ["Inconclusive"] * 7
    assert found[-1]["acted"] == ["max-step"]


@pytest.mark.parametrize(
    ("how", "stable", "canary", "want"),
    [
        ({}, (1200, 12), (300, 3), ("Promote", ["max-step"])),
        ({"minSamples": 1201}, (1200, 12), (300, 3), ("Inconclusive", ["max-step"])),
        ({"minSamples": 1200}, (1200, 12), (300, 3), ("Promote", ["max-step"])),
        ({}, (1200, 12), (300, 6), ("Inconclusive", ["max-step"])),
        ({"policy": "ProvenNonInferior"}, (1200, 12), (300, 3), ("Inconclusive", ["max-step"])),
        ({"policy": "ProvenNonInferior"}, (12000, 0), (3000, 0), ("Promote", [])),
        ({"beta": 1e-6}, (1200, 0), (300, 0), ("Promote", ["max-step"])),
    ],
    ids=[
        "no harm seen",
        "too few",
        "just enough",
        "beyond the margin",
        "not proven",
        "proven",
        "proof is never enough",
    ],
)
def test_the_end_of_a_step(
    how: Line, stable: Sequence[float], canary: Sequence[float], want: tuple[str, list[str]]
) -> None:
    found = run([ROUTER, *lines(4, canary, stable)], rollout(maxStep="1m", **how))
    assert (found[-1]["t"], found[-1]["verdict"], found[-1]["acted"]) == (60, *want)


def test_what_is_proven_early_waits_for_the_shortest_step() -> None:
    found = run([ROUTER, *lines(9, *equal(30_000))], rollout(minStep="75s"))
    assert [(one["verdict"], one["acted"]) for one in found] == [("Continue", ["min-step"])] * 4 + [("Promote", [])]


@pytest.mark.parametrize(
    ("steps", "want"),
    [
        ([], [(15, "Promote", 0)]),
        ([weight(20)], [(15, "Promote", 0)]),
        (
            [weight(20), pause("1m")],
            [(15, "Continue", 1), (30, "Continue", 1), (45, "Continue", 1), (60, "Promote", 1)],
        ),
        ([weight(20), pause("10s"), pause("20s")], [(15, "Advance", 1), (30, "Continue", 2), (45, "Promote", 2)]),
        ([weight(20), {"pause": {}}], [(15, "Promote", 1)]),
        (
            [weight(20), pause("30s"), ANALYSIS],
            [(15, "Continue", 1), (30, "Advance", 1), (45, "Continue", 2), (60, "Promote", 2)],
        ),
        (
            [weight(20), ANALYSIS, pause("15s")],
            [(15, "Continue", 1), (30, "Continue", 1), (45, "Continue", 1), (60, "Advance", 1), (75, "Promote", 2)],
        ),
    ],
    ids=["none", "a share", "a pause", "two pauses", "for a person", "then proof", "proof, then a pause"],
)
def test_steps(steps: list[Line], want: list[tuple[float, str, int]]) -> None:
    how = rollout(steps, minStep="1m")
    records = [ROUTER, *lines(9, *equal(30_000))]
    assert [(one["t"], one["verdict"], one["step"]) for one in run(records, how)] == want


@pytest.mark.parametrize("told", [True, False], ids=["shares in the lines", "shares of the steps"])
def test_evidence_for_the_canary_begins_anew_with_each_share_and_that_against_it_is_kept(*, told: bool) -> None:
    records = shares((4, 20), (9, 50), total=15_000, told=told, rate=0.003)
    found = run([ROUTER, *records], rollout([weight(20), ANALYSIS, weight(50), ANALYSIS], minStep="1m"))
    assert verdicts(found) == ["Continue"] * 3 + ["Advance"] + ["Continue"] * 3 + ["Promote"]
    assert [one["step"] for one in found] == [1] * 4 + [3] * 4
    evidence = [one["metrics"]["error-rate"] for one in found]
    assert evidence[4]["evidenceOk"] < evidence[3]["evidenceOk"]
    assert evidence[4]["evidence"] < evidence[3]["evidence"] < 1


def test_a_regression_that_begins_in_a_pause_rolls_back_in_its_middle() -> None:
    records = [ROUTER, *lines(8, *alike(2)), *lines(8, *failing, start=9)]
    found = run(records, rollout([weight(20), pause("10m")]))
    assert (found[-1]["t"], found[-1]["verdict"]) == (135, "Rollback")


def test_a_pause_is_not_left_blindly() -> None:
    nothing = [ratio(15.0 * i, None, (1200, 12)) for i in range(1, 20)]
    found = run([ROUTER, *nothing], rollout([weight(20), pause("30s")], warmUp="0s"))
    assert verdicts(found)[-1] == "Inconclusive"


def test_judging_may_be_switched_off() -> None:
    found = run([ROUTER, *lines(5, *failing)], rollout([weight(20), pause("30s"), weight(50), ANALYSIS], disabled=True))
    assert verdicts(found) == ["Continue", "Advance", "Promote"]


@pytest.mark.parametrize(
    ("policy", "want"),
    [("Hold", "Inconclusive"), ("Fail", "Rollback"), ("Pass", "Promote")],
)
def test_no_data(policy: str, want: str) -> None:
    """First data are due after the warm-up (30 s) and four intervals."""
    nothing = [ratio(15.0 * i, None, (1200, 12)) for i in range(1, 8)]
    found = run([ROUTER, *nothing], rollout(warmUp="30s", onNoData=policy, minStep="1m"))
    first = next(one for one in found if "no-data" in one["acted"])
    assert (first["t"], first["verdict"], first["culprit"]) == (90, want, None)
    assert verdicts(found)[:5] == ["Continue"] * 5


def test_data_that_stop_are_missed_after_three_intervals() -> None:
    stopped = [ratio(15.0 * i, None, (1200, 12)) for i in range(6, 12)]
    found = run([ROUTER, *lines(5, *alike(2)), *stopped], rollout())
    assert [one["t"] for one in found if "no-data" in one["acted"]] == [135, 150, 165]
    assert verdicts(found)[-3:] == ["Inconclusive"] * 3


@pytest.mark.parametrize(("policy", "want"), [("Hold", "Inconclusive"), ("Fail", "Rollback")])
def test_metrics_that_cannot_be_asked_for(policy: str, want: str) -> None:
    broken = [{"t": 15.0 * i, "metric": "error-rate", "error": "timeout"} for i in (4, 5, 7, 8, 9, 10)]
    records = sorted([*lines(3, *alike(2)), *lines(1, *alike(2), start=6), *broken], key=lambda line: float(line["t"]))
    found = run([ROUTER, *records], rollout(onProviderError=policy))
    failing_at = [one["t"] for one in found if "provider-error" in one["acted"]]
    assert failing_at[:5] == [60, 75, 105, 120, 135]
    assert verdicts(found)[:9] == ["Continue"] * 8 + [want]


def test_proof_of_a_regression_outlives_a_metric_that_cannot_be_asked_for() -> None:
    worse = {**ratio(15.0, (300, 90), (1200, 12)), "metric": "client-error-rate"}
    error = {"t": 15.0, "metric": "error-rate", "error": "timeout"}
    found = run([ROUTER, worse, error], rollout(metrics=[{"name": "error-rate"}, {"name": "client-error-rate"}]))
    assert (found[0]["verdict"], found[0]["culprit"]) == ("Rollback", "client-error-rate")


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.0])
def test_intervals_contain_the_true_ratio(truth: float) -> None:
    random = np.random.default_rng(4)
    records = [
        ratio(15.0 * i, (500, int(random.binomial(500, 0.02 * truth))), (2000, int(random.binomial(2000, 0.02))))
        for i in range(1, 40)
    ]
    found = run([ROUTER, *records], rollout([weight(20), pause("9m")], alpha=0.001))
    bounds = [one["metrics"]["error-rate"]["interval"] for one in found]
    assert len(bounds) == 36 or found[-1]["verdict"] == "Rollback"
    assert all(low <= truth <= (math.inf if high is None else high) for low, high in bounds)
    low, high = bounds[-1]
    assert high is not None
    assert high / max(low, 1e-9) < 40


def test_without_intervals_all_else_is_the_same() -> None:
    records = [POD, *shares((10, 20), (10, 50), rate=0.02)]
    full = run(records, rollout([weight(20), pause("2m"), weight(50), ANALYSIS]))
    short = list(replay(records, rollout([weight(20), pause("2m"), weight(50), ANALYSIS]), intervals=False))
    assert len(full) > 10
    for one in full:
        for shown in one["metrics"].values():
            del shown["interval"]
    assert short == full


def test_metrics_show_their_numbers() -> None:
    (one,) = run([ROUTER, ratio(15.0, *alike(3))], rollout())
    assert set(one) == {"t", "verdict", "step", "culprit", "acted", "metrics"}
    assert set(one["metrics"]["error-rate"]) == {"evidence", "evidenceOk", "ratio", "interval", "phi"}


def test_a_metric_of_no_rollout_is_told_once_and_not_judged() -> None:
    told: list[str] = []
    records = [
        line
        for i in range(1, 4)
        for line in (ratio(15.0 * i, *alike(3)), {**ratio(15.0 * i, (9, 9), (9, 0)), "metric": "mine"})
    ]
    found = list(replay([ROUTER, *records], rollout(), warn=told.append))
    assert set(found[-1]["metrics"]) == {"error-rate"}
    assert told == ["line 3: mine is not one of the rollout's metrics, so it is not judged"]


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        (
            [ROUTER, classes(15.0, {"a": 1}, {"a": 1}, "error-rate")],
            "line 2: error-rate is recorded as categorical; it is a ratio",
        ),
        ([ROUTER, {"t": 15}], "line 2: metric is missing"),
        ([{"v": 3}], "line 1: the header's v is 3"),
        ([ratio(15.0, *alike(2)), ROUTER], "line 2: the header must be the first line"),
    ],
)
def test_a_wrong_line_ends_the_replay(records: list[Line], reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        run(records, rollout())


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "the file holds no spec.rollout, as a ModelDeployment does"),
        ({"spec": {"rollout": 7}}, "the file holds no spec.rollout"),
        ({"spec": {"rollout": {"canary": {"stepz": []}}}}, "spec.rollout.canary.stepz: no such field"),
        ({"spec": {"rollout": {"analysis": {"alpha": "high"}}}}, "spec.rollout.analysis.alpha: "),
        (rollout(alpha=0), "spec.rollout.analysis.alpha: must be above 0 and at most 0.5"),
        (rollout(beta=0.6), "spec.rollout.analysis.beta: must be above 0 and at most 0.5"),
        (rollout(minStep="5m", maxStep="4m"), "spec.rollout.analysis.minStep: minStep must not be longer than maxStep"),
        (
            rollout(metrics=[{"name": "latency"}] * 2),
            "spec.rollout.analysis.metrics: two metrics have the name latency",
        ),
        (rollout([weight(20), {}]), "spec.rollout.canary.steps.1: a step holds exactly one of"),
        (rollout([weight(20), {**weight(30), **ANALYSIS}]), "spec.rollout.canary.steps.1: a step holds exactly one of"),
        (rollout([ANALYSIS]), "spec.rollout.canary.steps.0: the first step must be a setWeight"),
        (rollout([weight(20), weight(20)]), "spec.rollout.canary.steps: the weights of the steps must ascend"),
        (rollout([weight(50), weight(20)]), "spec.rollout.canary.steps: the weights of the steps must ascend"),
        ({"spec": {"rollout": {"analysis": {"minStep": "soon"}}}}, "spec.rollout: 'soon' is not a duration"),
    ],
)
def test_wrong_settings_say_where(document: Line, reason: str) -> None:
    with pytest.raises(RolloutError, match=reason):
        run([ROUTER], document)


def test_a_document_without_a_rollout_has_all_defaults() -> None:
    found = run([ROUTER, *lines(3, *alike(2))], {"spec": {}})
    assert verdicts(found) == ["Continue"] * 3
    assert set(found[0]["metrics"]) >= {"error-rate", "latency", "client-error-rate"}
