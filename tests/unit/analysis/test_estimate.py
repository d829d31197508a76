"""The estimate of the ratio and its interval: right in the mean, and around the truth at all times at once."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fairlead.analysis.estimate import STAGES, Curve, Estimate


def taken(rows: list[tuple[tuple[float, float], tuple[float, float]]], phi: float = 1.0) -> Estimate:
    found = Estimate(curves=[Curve()])
    for canary, stable in rows:
        found.add(canary, stable)
        found.curves[0].add(canary, stable, phi)
    return found


def test_the_ratio_is_mantel_and_haenszels() -> None:
    rows = [((100.0, 10.0), (300.0, 15.0)), ((200.0, 4.0), (200.0, 2.0))]
    above = 10 * 300 / 400 + 4 * 200 / 400
    below = 15 * 100 / 400 + 2 * 200 / 400
    assert taken(rows).ratio == pytest.approx(above / below)


def test_a_ramp_during_an_outage_does_not_mislead_the_ratio() -> None:
    """Pooled counts would say 4.6 times: the canary has most of its traffic when all fail (Simpson)."""
    rows = [((100.0, 1.0), (900.0, 9.0)), ((900.0, 450.0), (100.0, 50.0))]
    assert taken(rows).ratio == pytest.approx(1.0)


def test_nothing_known_is_no_ratio_and_no_bound() -> None:
    assert Estimate().ratio is None
    assert Estimate().interval(0.01) == (0.0, math.inf)
    assert taken([((100.0, 0.0), (100.0, 0.0))]).interval(0.01) == (0.0, math.inf)


@pytest.mark.parametrize(("canary", "stable"), [(30.0, 0.0), (0.0, 30.0)])
def test_one_arm_without_bad_requests_bounds_one_side(canary: float, stable: float) -> None:
    low, high = taken([((1000.0, canary), (1000.0, stable))] * 10).interval(0.01)
    if canary:
        assert low > 20
        assert math.isinf(high)
    else:
        assert low == 0
        assert high < 0.05


def test_the_log_likelihood_is_the_binomials() -> None:
    curve = taken([((100.0, 8.0), (300.0, 12.0))] * 3).curves[0]
    for ratio in (0.3, 1.0, 2.5, 10.0):
        want = 24 * math.log(ratio) - 60 * math.log(1 + 0.25 * (ratio - 1))
        assert curve.log(math.log(ratio)) == pytest.approx(want, rel=1e-5)


def test_shares_that_differ_a_little_are_kept_as_their_mean_and_variance() -> None:
    rows = [((90.0, 8.0), (310.0, 12.0)), ((110.0, 9.0), (290.0, 14.0)), ((100.0, 5.0), (300.0, 11.0))]
    curve = taken(rows).curves[0]
    for ratio in (0.5, 1.5, 3.0):
        want = 22 * math.log(ratio) - sum((c[1] + s[1]) * math.log(1 + c[0] / 400 * (ratio - 1)) for c, s in rows)
        assert curve.log(math.log(ratio)) == pytest.approx(want, abs=0.01)


def test_the_ends_are_where_the_e_value_reaches_the_bar() -> None:
    found = taken([((100.0, 6.0), (300.0, 9.0))] * 10)
    low, high = found.interval(0.05)
    assert low < 2.0 < high
    tighter, wider = found.interval(0.2), found.interval(0.001)
    assert wider[0] < low < tighter[0]
    assert tighter[1] < high < wider[1]


@pytest.mark.parametrize("arms", [((1e15, 5.0), (3.0, 0.0)), ((1e15, 0.0), (3.0, 1.0)), ((1.0, 1.0), (1e15, 1e6))])
def test_arms_as_unlike_in_size_as_can_be_have_an_interval(
    arms: tuple[tuple[float, float], tuple[float, float]],
) -> None:
    low, high = taken([arms] * 20).interval(0.01)
    assert 0 <= low < high


def test_more_data_narrows_and_dispersion_widens() -> None:
    row = ((100.0, 6.0), (300.0, 9.0))
    widths = [
        math.log(high / low)
        for low, high in (taken([row] * n, phi).interval(0.05) for n, phi in ((10, 1), (100, 1), (100, 4)))
    ]
    assert widths[1] < widths[2] < widths[0]


def test_the_interval_covers_every_alignment() -> None:
    found = Estimate(curves=[Curve(), Curve()])
    for _ in range(10):
        found.add((100.0, 6.0), (300.0, 9.0))
        found.curves[0].add((100.0, 6.0), (300.0, 9.0), 1.0)
        found.curves[1].add((100.0, 6.0), (300.0, 18.0), 1.0)
    alone = [Estimate(found.above, found.below, [curve]).interval(0.05) for curve in found.curves]
    assert found.interval(0.05) == (min(low for low, _ in alone), max(high for _, high in alone))


def test_stages_are_kept_apart_until_there_are_too_many() -> None:
    curve = Curve()
    for share in (5.0, 6.0, 20.0, 50.0):
        curve.begin_stage()
        curve.begin_stage()
        curve.add((share, 1.0), (100.0 - share, 1.0), 1.0)
    assert len(curve.stages) == STAGES
    assert [round(stage[1], 3) for stage in curve.stages] == [0.055, 0.2, 0.5]
    assert curve.bad == 8


@pytest.mark.parametrize("ratio", [1.0, 2.0])
def test_the_true_ratio_is_inside_at_all_times_at_once(ratio: float) -> None:
    """α is 10 % here; shares and error rates change on the way."""
    random = np.random.default_rng(11)
    missed = 0
    for _ in range(60):
        found = Estimate(curves=[Curve()])
        for t in range(24):
            if t % 8 == 0:
                found.curves[0].begin_stage()
            share, p = (0.05, 0.2, 0.5)[t // 8], 0.02 * (1 + math.sin(t))
            n_c, n_s = int(1000 * share), int(1000 * (1 - share))
            canary = (float(n_c), float(random.binomial(n_c, ratio * p)))
            stable = (float(n_s), float(random.binomial(n_s, p)))
            found.add(canary, stable)
            found.curves[0].add(canary, stable, 1.0)
            low, high = found.interval(0.1)
            if not low <= ratio <= high:
                missed += 1
                break
    assert missed <= 6
