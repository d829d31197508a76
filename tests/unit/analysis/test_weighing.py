"""An interval into evidence: alignments, and what each kind of metric compares."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from fairlead.analysis import dispersion, evidence
from fairlead.analysis.evidence import BETTER, WORSE, Counts, Margin
from fairlead.analysis.intervals import WHOLE, MetricCounts
from fairlead.analysis.state import State
from fairlead.rollout.metrics import NATIVE_PROMOTION, NATIVE_ROLLBACK
from tests.unit.analysis.support import against, by_router, in_favour, interval, judged, metric, plan

BAD_CANARY = (100.0, 10.0)


def test_one_interval_that_is_proof_beyond_all_bounds_is_judged_like_any_other() -> None:
    how = plan(counted_at="router")
    state = judged((by_router(t, (1e6, 9e5), (1e6, 0)) for t in range(3)), how)
    assert against(state) == evidence.LIMIT
    assert state.judged == 3


def test_evidence_is_the_least_of_three_alignments_over_phi() -> None:
    pods = [((100.0, float(k)),) for k in (9, 1, 4)]
    state = judged(interval(t, (100.0, 20.0) if t == 1 else None, pods[t]) for t in range(2))
    process = copy.deepcopy(state.metrics["error-rate"].processes[0])
    judged([interval(2, None, pods[2])], state=state)
    mass = evidence.onset(1) + evidence.stage_onset(1)
    assert process.phi > 1
    for grid, margin in ((WORSE, Margin(1.1, 0.0005)), (BETTER, Margin(1.5, 0.01))):
        logs = [evidence.log_e(Counts(100, 20), Counts(*pod[0]), margin, grid) for pod in pods]
        step = [min(three) / process.phi for three in zip(*logs, strict=True)]
        after = state.metrics["error-rate"].processes[0]
        if grid is WORSE:
            assert after.bad == pytest.approx(evidence.against(process.bad, step, mass))
        else:
            assert after.ok == pytest.approx(evidence.product(process.ok, step))


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_a_shared_outage_seen_a_tick_apart_is_no_evidence(shift: int) -> None:
    """Both arms fail alike, but their pods are scraped at different instants."""
    out = (100.0, 60.0)
    state = judged(
        interval(t, out if t == 10 else (100.0, 0.0), [out if t == 10 + shift else (100.0, 0.0)] * 3) for t in range(20)
    )
    assert against(state) < 3


def test_the_same_outage_in_the_canary_alone_is_evidence() -> None:
    state = judged(interval(t, (100.0, 60.0) if t == 10 else (100.0, 0.0)) for t in range(20))
    assert against(state) > 1000


def test_native_histograms_are_judged_by_how_much_slower_the_canary_is() -> None:
    """A tail two buckets up is one of 2^(2/8) times the latency: within the margin; four buckets are beyond it."""
    how = plan(
        "latency", metrics=[metric("latency", native_rollback=NATIVE_ROLLBACK, native_promotion=NATIVE_PROMOTION)]
    )
    shape = dict.fromkeys(range(-30, -5), 40.0)

    def slower(by: int) -> State:
        canary = {index + by: count for index, count in shape.items()}
        counts = MetricCounts({"c": canary}, {f"s{i}": shape for i in range(2)}, "native", schema=3)
        return judged((interval(t, metrics={"latency": counts}) for t in range(40)), how)

    worst = [max(against(slower(by), "latency", place) for place in range(3)) for by in (0, 2, 6)]
    assert worst[0] <= worst[1] < 2
    assert worst[2] > 100
    assert in_favour(slower(0), "latency") > 20 > in_favour(slower(6), "latency")


def test_predictions_that_differ_are_found_however_many_classes_there_are() -> None:
    how = plan("error-rate", "prediction-distribution")

    def predicting(shifted: float) -> State:
        stable = {f"c{i}": 20.0 for i in range(40)}
        canary = {name: count * (1 + shifted * (-1) ** i) for i, (name, count) in enumerate(stable.items())}
        counts = MetricCounts({"c": canary}, {"s0": stable, "s1": stable}, "categorical")
        errors = MetricCounts({"c": (800, 0)}, {"s0": (800, 0), "s1": (800, 0)})
        both = {"prediction-distribution": counts, "error-rate": errors}
        return judged((interval(t, metrics=both) for t in range(30)), how)

    assert against(predicting(0.0), "prediction-distribution") <= 1.01
    assert against(predicting(0.5), "prediction-distribution") > 1000


def test_a_distribution_that_only_the_canary_has_is_not_kept_for_ever() -> None:
    how = plan("error-rate", "prediction-distribution")
    counts = MetricCounts({"c": {"a": 5.0, "b": 9.0}}, {}, "categorical")
    errors = MetricCounts({"c": (800, 0)}, {"s0": (800, 0), "s1": (800, 0)})
    both = {"prediction-distribution": counts, "error-rate": errors}
    state = judged((interval(t, metrics=both) for t in range(30)), how)
    assert state.metrics["prediction-distribution"].witness.waiting == []
    assert against(state, "prediction-distribution") == pytest.approx(1)


def test_pods_that_are_unlike_for_good_widen_the_margin() -> None:
    def worse(rates: tuple[float, ...]) -> float:
        pods = [(2000.0, 2000 * rate) for rate in rates]
        return against(judged(interval(t, (2000.0, 56.0), pods) for t in range(15)))

    assert worse((0.02, 0.02, 0.02)) > 100
    assert worse((0.01, 0.02, 0.03)) < 1


def test_the_margin_is_widened_on_the_odds_at_the_share_that_stable_had_before() -> None:
    how = plan(counted_at="router")
    pods = [(2000.0, k) for k in (200.0, 400.0, 600.0)]
    state = judged((interval(t, (2000.0, 1500.0), pods) for t in range(5)), how)
    before = copy.deepcopy(state.metrics["error-rate"].processes[0])
    judged([interval(5, (2000.0, 1900.0), [(n, k / 2) for n, k in pods])], how, state)
    after = state.metrics["error-rate"].processes[0]
    margin = dispersion.widened(Margin(1.1, 0.0005), after.floor, 0.2)
    logs = evidence.log_e(Counts(2000, 1900), Counts(6000, 600), margin, WORSE)
    assert after.floor > 2
    assert after.bad == pytest.approx(
        evidence.against(before.bad, [log / after.phi for log in logs], evidence.onset(6)), rel=1e-5
    )


def test_what_is_seen_at_once_and_what_is_seen_pod_by_pod_is_the_same_evidence() -> None:
    rows = [((100.0, float(t % 4)), (300.0, 3.0)) for t in range(20)]
    at_once = judged((by_router(t, *row) for t, row in enumerate(rows)), plan(counted_at="router"))
    counts = [MetricCounts({"a": (60.0, c[1]), "b": (40.0, 0.0)}, {WHOLE: s}) for c, s in rows]
    summed = judged(
        (interval(t, metrics={"error-rate": one}) for t, one in enumerate(counts)), plan(counted_at="router")
    )
    assert against(summed) == against(at_once)
    assert in_favour(summed) == in_favour(at_once)


def test_what_is_two_ticks_away_is_no_neighbour() -> None:
    """Stable's outage lies before an interval without data: it says nothing of the canary's after it."""
    out = [(100.0, 60.0)] * 3
    rows = [interval(0, None, out), interval(1, metrics={}), interval(2, (100.0, 60.0)), interval(3, None)]
    assert against(judged(rows)) > 100
    assert against(judged([rows[0], replace(rows[2], tick=1), replace(rows[3], tick=2)])) < 1
