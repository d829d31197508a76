"""The e-values hold what they promise: E[e] ≤ 1 under the null, by enumeration and by chance."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.analysis import evidence
from fairlead.analysis.evidence import BETTER, NOTHING_YET, ONES, WORSE, Counts, Margin

SIZES = ((1, 1), (3, 9), (12, 4), (9, 27))
SHARES = (0.0, 0.001, 0.03, 0.2, 0.6, 0.9, 1.0)
MARGINS = (Margin(1.0, 0.0), Margin(1.1, 0.0005), Margin(1.5, 0.01), Margin(2.0, 0.1))


def binomial(n: int, p: float) -> np.ndarray:
    return np.array([math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)])


def expectation(n: tuple[int, int], p: tuple[float, float], margin: Margin, grid: tuple[float, ...]) -> float:
    """The largest E[e] over the grid, exactly: every outcome with its chance."""
    canary, stable = (binomial(size, share) for size, share in zip(n, p, strict=True))
    outcomes = itertools.product(range(n[0] + 1), range(n[1] + 1))
    e = np.array([evidence.log_e(Counts(n[0], i), Counts(n[1], j), margin, grid) for i, j in outcomes])
    return float(np.max(np.outer(canary, stable).ravel() @ np.exp(e)))


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("n", SIZES)
def test_expected_e_value_is_at_most_one_under_either_null(n: tuple[int, int], margin: Margin) -> None:
    for p_stable in SHARES:
        edge = min(1.0, margin.ratio * p_stable + margin.absolute)
        for below in (edge, edge / 2, 0.0):
            assert expectation(n, (below, p_stable), margin, WORSE) <= 1 + 1e-9
        if margin.ratio * p_stable + margin.absolute <= 1:
            for above in (edge, (1 + edge) / 2, 1.0):
                assert expectation(n, (above, p_stable), margin, BETTER) <= 1 + 1e-9


def test_e_value_is_sharp_at_the_margin() -> None:
    """A bound that is never nearly reached would only make the test slow."""
    assert expectation((9, 27), (0.03, 0.03), Margin(1.0, 0.0), WORSE[:1]) > 0.999


counts = st.integers(0, 500).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@settings(max_examples=30, deadline=None)
@given(canary=counts, stable=counts, grid=st.sampled_from([WORSE, BETTER]))
def test_log_e_is_the_papers_formula(canary: tuple[int, int], stable: tuple[int, int], grid: tuple[float, ...]) -> None:
    margin = Margin(1.1, 0.0005)
    got = evidence.log_e(Counts(*canary), Counts(*stable), margin, grid)
    (n_c, k_c), (n_s, k_s), m = canary, stable, margin.ratio * canary[0]
    for r, value in zip(grid, got, strict=True):
        if not n_c or not n_s:
            assert value == 0
            continue
        x, y = r * (m + n_s) / (r * m + n_s), (m + n_s) / (r * m + n_s)
        want = k_c * math.log(x) + k_s * math.log(y) - n_c * margin.absolute * (x - 1)
        assert value == pytest.approx(want, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(canary=counts, windows=st.tuples(counts, counts, counts), phi=st.floats(1, 20))
def test_alignment_takes_the_least_window_and_phi_weakens_it(
    canary: tuple[int, int], windows: tuple[tuple[int, int], ...], phi: float
) -> None:
    margin = Margin(1.1, 0.0005)
    got = evidence.aligned(Counts(*canary), [Counts(*w) for w in windows], margin, WORSE, phi)
    for window in windows:
        alone = evidence.log_e(Counts(*canary), Counts(*window), margin, WORSE)
        assert all(value * phi <= single + 1e-9 for value, single in zip(got, alone, strict=True))


@settings(max_examples=30, deadline=None)
@given(canary=counts, stable=counts)
def test_one_more_canary_error_never_weakens_the_case_against_it(
    canary: tuple[int, int], stable: tuple[int, int]
) -> None:
    margin, (n, k) = Margin(1.1, 0.0005), canary
    if k == n:
        return
    for grid, sign in ((WORSE, 1), (BETTER, -1)):
        fewer = evidence.log_e(Counts(n, k), Counts(*stable), margin, grid)
        more = evidence.log_e(Counts(n, k + 1), Counts(*stable), margin, grid)
        assert all(sign * (b - a) >= -1e-9 for a, b in zip(fewer, more, strict=True))


def test_prior_masses_sum_to_at_most_one() -> None:
    onsets = sum(evidence.onset(t) for t in range(1, 200_000))
    stages = sum(evidence.stage_onset(s) for s in range(1, 60))
    assert 0.45 < onsets < 0.5
    assert stages == pytest.approx(0.5)
    assert evidence.onset(1) + evidence.stage_onset(1) == pytest.approx(0.5, abs=0.01)


def test_late_onset_costs_little_after_a_week_of_short_ticks() -> None:
    assert -math.log(evidence.onset(7 * 24 * 720)) < 19


def test_evidence_without_information_stays_at_one() -> None:
    logs, spent = NOTHING_YET, 0.0
    for t in range(1, 50):
        mass = evidence.onset(t)
        logs, spent = evidence.against(logs, ONES, mass), spent + mass
        assert evidence.mixture(logs) + 1 - spent == pytest.approx(1.0, rel=1e-5)


def test_huge_evidence_stays_finite_and_storable() -> None:
    logs = NOTHING_YET
    for t in range(1, 100):
        logs = evidence.against(logs, (1e5,) * evidence.POINTS, evidence.onset(t))
    assert math.isfinite(evidence.mixture(logs))
    assert evidence.rounded(logs) == logs
    assert evidence.product(logs, (-1e9,) * evidence.POINTS)[0] < -1e8


def test_false_alarms_stay_below_alpha_for_equal_arms_under_a_ramp_and_drift() -> None:
    """Ville: over all looks together. The margin is strict, so the bound is the test's own."""
    random = np.random.default_rng(5)
    alarms = 0
    for _ in range(150):
        logs, spent = NOTHING_YET, 0.0
        for t in range(1, 41):
            share, p = (0.05, 0.1, 0.2, 0.5)[(t - 1) // 10], 0.02 * (1 + math.sin(t / 6) / 2)
            n_c, n_s = int(400 * share), int(400 * (1 - share))
            k_c, k_s = random.binomial(n_c, p), random.binomial(n_s, p)
            mass = evidence.onset(t)
            step = evidence.log_e(Counts(n_c, k_c), Counts(n_s, k_s), Margin(1.0, 0.0), WORSE)
            logs, spent = evidence.against(logs, step, mass), spent + mass
            if evidence.mixture(logs) + 1 - spent >= 20:
                alarms += 1
                break
    assert alarms <= 150 * 0.05
