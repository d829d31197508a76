"""The numbers of a metric as decisions and people read them: the loudest edge, the margins, noise and placebo."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fairlead.analysis import evidence, readings
from fairlead.analysis.estimate import Curve, Estimate
from fairlead.analysis.state import Metric, Process, State
from fairlead.analysis.witness import Witness
from fairlead.api.plan import PlanMargin
from tests.unit.analysis.support import judged, latency, metric, plan

Arm = tuple[float, float]


def holding(one: Metric, name: str = "error-rate", **changes: Any) -> State:
    return State(metrics={name: one}, **changes)


def counted(canary: Arm, stable: Arm, kind: str = "ratio", **changes: Any) -> Metric:
    process = Process(canary=canary[1], stable=stable[1], **changes)
    return Metric(kind=kind, processes=[process], canary=canary[0], stable=stable[0])


def test_a_metric_without_counts_speaks_neither_way() -> None:
    for state in (State(), holding(Metric())):
        got = readings.read(state, metric(), 0.01)
        assert (got.canary_n, got.evidence, got.evidence_ok, got.ratio, got.interval) == (0, 1, 1, None, None)
    assert "no edges chosen yet" in readings.read(State(), metric("latency"), 0.01).detail


def test_the_edge_that_speaks_loudest_is_shown_and_the_least_proven_one_counts() -> None:
    how = plan("latency")
    state = judged((latency(t, (500, 200, 45, 0), (1500, 600, 15, 0)) for t in range(20)), how)
    got = readings.read(state, how.metrics[0], how.alpha)
    processes = state.metrics["latency"].processes
    against = [evidence.evidence_against(process.bad, 1 - state.spent) for process in processes]
    assert got.detail == "requests slower than 100 ms"
    assert got.evidence == pytest.approx(sum(against) / 3)
    assert got.evidence_ok == min(evidence.evidence_for(process.ok) for process in processes)
    assert (got.canary_n, got.canary_k, got.stable_k) == (19 * 500, 19 * 45, 19 * 15)
    assert got.ratio == pytest.approx(9)
    low, high = got.interval or (0, 0)
    assert 5 < low < 9 < high < 16
    assert got.phi == max(process.phi for process in processes)


def test_intervals_are_left_out_when_nobody_wants_them() -> None:
    one = counted((10, 1), (10, 1), estimate=Estimate(1.0, 1.0, [Curve(1.0, [(2.0, 0.5, 0.0)])]))
    assert readings.read(holding(one), metric(), 0.01).interval is not None
    assert readings.read(holding(one), metric(), 0.01, intervals=False).interval is None
    assert readings.read(holding(one, intervals=False), metric(), 0.01).interval is None


def test_distributions_have_a_distance_and_no_ratio() -> None:
    one = counted((100, 50), (100, 20), "categorical")
    one.witness = Witness({1: 80.0, 2: 20.0}, {1: 50.0, 2: 50.0})
    got = readings.read(holding(one, "prediction-distribution"), metric("prediction-distribution"), 0.01)
    assert got.detail == "total variation 0.3"
    assert (got.ratio, got.interval) == (None, None)


@pytest.mark.parametrize(
    ("canary", "stable", "promotion", "want"),
    [
        ((1000, 10), (3000, 30), True, None),
        ((1000, 25), (3000, 30), True, None),
        ((1000, 26), (3000, 30), True, 0),
        ((1000, 12), (3000, 30), False, 0),
        ((1000, 11), (3000, 30), False, None),
        ((100, 1), (3000, 0), True, None),
        ((10, 1), (3000, 0), False, None),
        ((100, 5), (0, 0), True, 0),
        ((0, 0), (3000, 30), True, None),
    ],
)
def test_beyond_the_margin(canary: Arm, stable: Arm, *, promotion: bool, want: int | None) -> None:
    """1.5 times and 1 % more is proven alike, 1.1 times and .05 % more is a regression; one bad request is chance."""
    assert readings.beyond(counted(canary, stable), metric(), promotion=promotion) == want


def test_native_histograms_have_margins_of_their_own() -> None:
    native = PlanMargin(ratio=1.0, absolute=0.002)
    known = metric("latency", native_promotion=native)
    one = counted((1000, 14), (3000, 30), "native")
    assert readings.beyond(one, known, promotion=True) == 0
    assert readings.beyond(one, known, promotion=False) == 0
    assert readings.beyond(counted((1000, 14), (3000, 30), "histogram"), known, promotion=True) is None


def test_nothing_to_compare_with_is_beyond_any_margin() -> None:
    assert readings.beyond(None, metric(), promotion=True) == 0
    assert readings.beyond(Metric(), metric(), promotion=True) == 0


@pytest.mark.parametrize(
    ("pods", "ratio", "fires"),
    [
        ([(5000, 400), (5000, 5), (5000, 5)], 10.0, True),
        ([(5000, 400), (5000, 5), (5000, 5)], 100.0, False),
        ([(5000, 400), (5000, 5), (5000, 5)], 36.0, False),
        ([(5000, 400), (5000, 5), (5000, 5)], None, True),
        ([(5000, 50), (5000, 40), (5000, 60)], 1.1, False),
        ([(100, 3), (100, 0), (100, 0)], 1.1, False),
        ([(5000, 400)], 1.1, False),
        ([], 1.1, False),
    ],
    ids=["one pod fails", "worse still", "nearly all fail", "no ratio", "alike", "too few", "one pod", "none"],
)
def test_placebo_fires_when_a_stable_pod_is_as_much_worse_than_its_sisters(
    pods: list[Arm], ratio: float | None, *, fires: bool
) -> None:
    one = counted((5000, 400), (15000, 410), estimate=Estimate(ratio or 0.0, 1.0 if ratio else 0.0))
    one.whole = {f"s{i}": list(pod) for i, pod in enumerate(pods)}
    assert readings.placebo(holding(one), plan(), metric()) == fires


def test_placebo_needs_a_metric_that_pods_can_differ_in() -> None:
    one = counted((10, 1), (10, 1), "categorical")
    one.whole = {"a": [5000, 400], "b": [5000, 5], "c": [5000, 5]}
    assert not readings.placebo(holding(one), plan(), metric())
    assert not readings.placebo(State(), plan(), metric())


@pytest.mark.parametrize(
    ("canary", "floor", "phi", "want"),
    [
        ((20_000, 400), 1.8, 1.0, True),
        ((20_000, 400), 1.0, 1.0, False),
        ((20_000, 400), 1.8, 20.0, False),
        ((20_000, 215), 1.8, 1.0, False),
    ],
    ids=["worse but for the floor", "no floor", "dispersed", "alike"],
)
def test_within_noise_is_what_only_the_noise_floor_holds_back(
    canary: Arm, floor: float, phi: float, *, want: bool
) -> None:
    one = counted(canary, (60_000, 600), floor=floor, phi=phi)
    assert readings.within_noise(holding(one), plan(), metric()) == want


def test_within_noise_has_the_bar_of_its_weight() -> None:
    one = counted((20_000, 322), (60_000, 600), floor=1.8)
    found = [readings.within_noise(holding(one), plan(), metric(weight=weight)) for weight in (1.0, 1e-3)]
    assert found == [True, False]


@pytest.mark.parametrize(
    "one", [None, Metric(), counted((10, 10), (0, 0), floor=2.0), counted((9, 9), (9, 0), "categorical", floor=2.0)]
)
def test_nothing_is_within_noise_without_counts(one: Metric | None) -> None:
    assert not readings.within_noise(holding(one) if one else State(), plan(), metric())


def test_a_reading_of_one_edge_names_it() -> None:
    how = plan("latency")
    state = judged((latency(t, (500, 200, 45, 0), (1500, 600, 15, 0)) for t in range(3)), how)
    got = readings.reading_at(state.metrics["latency"], how.metrics[0], 0)
    assert (got.detail, got.canary_k, got.stable_k) == ("requests slower than 10 ms", 400, 1200)
    native = Metric(kind="native", schema=3, cuts=(-24.0,), processes=[Process()])
    assert readings.reading_at(native, how.metrics[0], 0).detail == "requests slower than 125 ms"
    assert math.isclose(2.0**-3, 0.125)
