"""The arithmetic of evidence: the papers' formula, the mixture over onsets, and Ville's bound by chance.

That E[e] ≤ 1 wherever the null holds is enumerated in test_null.py.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.analysis import evidence
from fairlead.analysis.evidence import BETTER, NOTHING_YET, ONES, WORSE, Counts, Margin

MARGIN = Margin(1.1, 0.0005)
counts = st.integers(0, 500).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
margins = st.builds(Margin, st.sampled_from([1.0, 1.1, 3.0]), st.sampled_from([0.0, 0.0005, 0.1]))
grids = st.sampled_from([WORSE, BETTER, (1.3, 7.0)])


@settings(max_examples=60, deadline=None)
@given(canary=counts, stable=counts, margin=margins, grid=grids)
def test_log_e_is_the_papers_formula(
    canary: tuple[int, int], stable: tuple[int, int], margin: Margin, grid: tuple[float, ...]
) -> None:
    got = evidence.log_e(Counts(*canary), Counts(*stable), margin, grid)
    (n_c, k_c), (n_s, k_s), m = canary, stable, margin.ratio * canary[0]
    for r, value in zip(grid, got, strict=True):
        if not n_c or not n_s:
            assert value == 0
            continue
        x, y = r * (m + n_s) / (r * m + n_s), (m + n_s) / (r * m + n_s)
        want = k_c * math.log(x) + k_s * math.log(y) - n_c * margin.absolute * (x - 1)
        assert value == pytest.approx(want, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(canary=counts, stable=counts, worse=margins, better=margins, mass=st.floats(0.0, 0.5))
def test_both_at_once_are_what_they_are_one_after_the_other(
    canary: tuple[int, int], stable: tuple[int, int], worse: Margin, better: Margin, mass: float
) -> None:
    if not canary[0] or not stable[0]:
        return
    bad, ok = [0.1 * i for i in range(evidence.POINTS)], [0.2 * i - 1 for i in range(evidence.POINTS)]
    one, other = Counts(*canary), Counts(*stable)
    try:
        got = evidence.both(bad, ok, one, other, (worse, better), mass)
    except OverflowError:
        return
    assert got[0] == pytest.approx(evidence.against(bad, evidence.log_e(one, other, worse, WORSE), mass), rel=1e-6)
    assert got[1] == pytest.approx(evidence.product(ok, evidence.log_e(one, other, better, BETTER)), rel=1e-5, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(canary=counts, stable=counts)
def test_one_more_canary_error_never_weakens_the_case_against_it(
    canary: tuple[int, int], stable: tuple[int, int]
) -> None:
    n, k = canary
    if k == n:
        return
    for grid, sign in ((WORSE, 1), (BETTER, -1)):
        fewer = evidence.log_e(Counts(n, k), Counts(*stable), MARGIN, grid)
        more = evidence.log_e(Counts(n, k + 1), Counts(*stable), MARGIN, grid)
        assert all(sign * (b - a) >= -1e-9 for a, b in zip(fewer, more, strict=True))


def test_prior_masses_sum_to_at_most_one() -> None:
    onsets = sum(evidence.onset(t) for t in range(1, 200_000))
    stages = sum(evidence.stage_onset(s) for s in range(1, 60))
    assert 0.88 < onsets < 0.9
    assert stages == pytest.approx(0.1)
    assert evidence.onset(1) + evidence.stage_onset(1) == pytest.approx(0.5, abs=0.05)


def test_late_onset_costs_little_after_a_week_of_short_ticks() -> None:
    assert -math.log(evidence.onset(7 * 24 * 720)) < 20


def test_evidence_without_information_stays_at_one() -> None:
    mixture, spent = list(NOTHING_YET), 0.0
    for t in range(1, 50):
        mass = evidence.onset(t)
        mixture, spent = evidence.against(mixture, ONES, mass), spent + mass
        assert evidence.evidence_against(mixture, 1 - spent) == pytest.approx(1.0, rel=1e-5)
    assert evidence.evidence_for(ONES) == 1


def test_the_mixture_is_the_sum_over_all_onsets() -> None:
    steps, masses = (0.7, -0.4, 1.1), (0.5, 0.2, 0.1)
    mixture = list(NOTHING_YET)
    for step, mass in zip(steps, masses, strict=True):
        mixture = evidence.against(mixture, (step,) * evidence.POINTS, mass)
    want = sum(mass * math.exp(sum(steps[onset:])) for onset, mass in enumerate(masses))
    assert evidence.evidence_against(mixture, 0.2) == pytest.approx(want + 0.2)


@pytest.mark.parametrize("step", [60.0, 700.0, 1e5, 1e9])
def test_huge_evidence_stays_finite_and_storable(step: float) -> None:
    mixture, logs = list(NOTHING_YET), list(ONES)
    for t in range(1, 100):
        mixture = evidence.against(mixture, (step,) * evidence.POINTS, evidence.onset(t))
        logs = evidence.product(logs, (step,) * evidence.POINTS)
    assert evidence.rounded(mixture) == mixture
    assert max(mixture) <= 1.01 * evidence.CEILING
    assert evidence.evidence_against(mixture, 0.0) == evidence.evidence_for(logs) == evidence.LIMIT


def test_evidence_that_was_lost_is_gone_but_finite() -> None:
    mixture = [1.0] * evidence.POINTS
    assert evidence.against(mixture, (-1e9,) * evidence.POINTS, 0.1) == list(NOTHING_YET)
    assert evidence.evidence_for(evidence.product(ONES, (-1e9,) * evidence.POINTS)) == 0


def test_evidence_ends_far_above_any_bar_and_comes_down_again() -> None:
    """A ceiling that could never be left would make one wild interval final."""
    top = evidence.against(NOTHING_YET, (1e9,) * evidence.POINTS, 0.5)
    down = evidence.against(top, (-100.0,) * evidence.POINTS, 0.1)
    assert evidence.evidence_against(down, 0.0) < 1


@pytest.mark.parametrize(("rate", "shares"), [(0.02, (0.05, 0.1, 0.2, 0.5)), (0.3, (0.5, 0.2, 0.1, 0.05))])
def test_false_alarms_stay_below_alpha_for_equal_arms_under_a_ramp_and_drift(
    rate: float, shares: tuple[float, ...]
) -> None:
    """Ville: over all looks together. The margin is strict, so the bound is the test's own; α is 5 % here."""
    random = np.random.default_rng(5)
    alarms = 0
    for _ in range(150):
        mixture, spent = list(NOTHING_YET), 0.0
        for t in range(1, 41):
            share, p = shares[(t - 1) // 10], rate * (1 + math.sin(t / 6) / 2)
            n_c, n_s = int(400 * share), int(400 * (1 - share))
            k_c, k_s = random.binomial(n_c, p), random.binomial(n_s, p)
            mass = evidence.onset(t)
            step = evidence.log_e(Counts(n_c, k_c), Counts(n_s, k_s), Margin(1.0, 0.0), WORSE)
            mixture, spent = evidence.against(mixture, step, mass), spent + mass
            if evidence.evidence_against(mixture, 1 - spent) >= 20:
                alarms += 1
                break
    assert alarms <= 150 * 0.05
