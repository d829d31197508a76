"""E[e] ≤ 1 wherever the margin null holds: exactly, outcome by outcome, and on points that hypothesis chooses."""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fairlead.analysis.dispersion import widened
from fairlead.analysis.evidence import BETTER, WORSE, Counts, Margin, log_e

SIZES = (1, 2, 5, 16)
SHARES = (0.0, 0.0005, 0.01, 0.1, 0.5, 0.9, 1.0)
RATIOS = (1.0, 1.1, 1.5, 3.0)
ABSOLUTES = (0.0, 0.0005, 0.05)
BELOW = (0.0, 0.5, 1.0)
"""How far into the null: 1 is its edge."""
ROUNDING = 1e-9

Floats = NDArray[np.float64]


@functools.cache
def binomial(n: int, p: float) -> Floats:
    """The chances of 0, 1, … n bad requests."""
    return np.array([math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)])


def outcomes(n_c: int, n_s: int, margin: Margin, grid: tuple[float, ...]) -> Floats:
    """The e-values of every outcome: canary's bad requests, stable's, ratio."""
    table = [[log_e(Counts(n_c, i), Counts(n_s, j), margin, grid) for j in range(n_s + 1)] for i in range(n_c + 1)]
    e: Floats = np.exp(np.array(table))
    return e


def expectations(e: Floats, p_c: float, p_s: float) -> Floats:
    """E[e] for each ratio of the grid."""
    n_c, n_s = e.shape[0] - 1, e.shape[1] - 1
    expected: Floats = np.einsum("i,j,ijr->r", binomial(n_c, p_c), binomial(n_s, p_s), e)
    return expected


@pytest.mark.parametrize("margin", [Margin(*pair) for pair in itertools.product(RATIOS, ABSOLUTES)])
def test_no_worse_canary_has_an_expectation_above_one(margin: Margin) -> None:
    for n_c, n_s in itertools.product(SIZES, SIZES):
        e = outcomes(n_c, n_s, margin, WORSE)
        for p_s, part in itertools.product(SHARES, BELOW):
            edge = min(1.0, margin.ratio * p_s + margin.absolute)
            assert expectations(e, part * edge, p_s).max() <= 1 + ROUNDING, (n_c, n_s, p_s, part)


@pytest.mark.parametrize("margin", [Margin(*pair) for pair in itertools.product(RATIOS, ABSOLUTES)])
def test_no_harmful_canary_has_an_expectation_above_one(margin: Margin) -> None:
    for n_c, n_s in itertools.product(SIZES, SIZES):
        e = outcomes(n_c, n_s, margin, BETTER)
        for p_s, part in itertools.product(SHARES, BELOW):
            edge = margin.ratio * p_s + margin.absolute
            if edge <= 1:
                assert expectations(e, edge + (1 - part) * (1 - edge), p_s).max() <= 1 + ROUNDING, (n_c, n_s, p_s, part)


@pytest.mark.parametrize("floor", [1.5, 5.0, 20.0])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5])
def test_no_canary_whose_odds_are_within_the_noise_floor_has_an_expectation_above_one(
    floor: float, share: float
) -> None:
    """Wherever the tangent is taken, and whatever stable's share turns out to be."""
    margin = widened(Margin(1.1, 0.0005), floor, share)
    for n_c, n_s in itertools.product(SIZES, SIZES):
        e = outcomes(n_c, n_s, margin, WORSE)
        for p_s in SHARES:
            edge = floor * 1.1 * p_s / (1 + (floor - 1) * 1.1 * p_s) + 0.0005
            assert expectations(e, min(1.0, edge), p_s).max() <= 1 + ROUNDING, (n_c, n_s, p_s)


def test_the_bound_is_reached_at_the_edge() -> None:
    """E[e] is near 1 where both arms are alike, and above it just outside the null: the tables above can fail."""
    e = outcomes(16, 16, Margin(1.0, 0.0), WORSE)
    assert expectations(e, 0.01, 0.01)[0] > 0.999
    assert expectations(e, 0.05, 0.01).max() > 1


size = st.integers(1, 24)
chance = st.floats(0.0, 1.0)
margins = st.builds(Margin, st.floats(1.0, 10.0), st.floats(0.0, 0.3))


@settings(max_examples=60, deadline=None)
@given(n_c=size, n_s=size, p_s=chance, part=chance, margin=margins, ratio=st.floats(1.0001, 1000.0))
def test_the_null_holds_off_the_grid_too(
    n_c: int, n_s: int, p_s: float, part: float, margin: Margin, ratio: float
) -> None:
    edge = margin.ratio * p_s + margin.absolute
    worse = outcomes(n_c, n_s, margin, (ratio,))
    assert expectations(worse, part * min(1.0, edge), p_s)[0] <= 1 + ROUNDING
    if edge <= 1:
        better = outcomes(n_c, n_s, margin, (1 / ratio,))
        assert expectations(better, edge + part * (1 - edge), p_s)[0] <= 1 + ROUNDING


@settings(max_examples=40, deadline=None)
@given(
    n_c=st.integers(1, 6),
    n_s=st.integers(1, 12),
    shares=st.lists(chance, min_size=18, max_size=18),
    ratio=st.floats(1.01, 50),
)
def test_requests_may_have_unlike_chances(n_c: int, n_s: int, shares: list[float], ratio: float) -> None:
    """Only the means matter: canary's requests each have a chance of their own, no higher in the mean than stable's."""
    own_s, own_c = shares[:n_s], shares[12 : 12 + n_c]
    mean_s, mean_c = sum(own_s) / n_s, sum(own_c) / n_c
    own_c = [p * min(1.0, mean_s / mean_c) if mean_c else p for p in own_c]
    canary, stable = np.ones(1), np.ones(1)
    for p in own_c:
        canary = np.convolve(canary, [1 - p, p])
    for p in own_s:
        stable = np.convolve(stable, [1 - p, p])
    e = outcomes(n_c, n_s, Margin(1.0, 0.0), (ratio,))[..., 0]
    assert canary @ e @ stable <= 1 + ROUNDING
