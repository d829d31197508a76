"""Dispersion and noise floor: nothing for independent requests on equal pods, large for clumps and unlike pods."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fairlead.analysis import dispersion
from fairlead.analysis.dispersion import ALIKE, ENOUGH_PODS, Spread, noise_floor, pearson, unlikeness, widened
from fairlead.analysis.evidence import Counts, Margin


def cells(*pairs: tuple[float, float]) -> list[Counts]:
    return [Counts(*pair) for pair in pairs]


def test_pearson_is_the_textbooks_times_the_weight_of_its_pairs() -> None:
    chi, df = pearson(cells((100, 10), (100, 20), (100, 30)))
    weight = 59 / 60
    assert chi == pytest.approx(weight * (10**2 + 0 + 10**2) / (100 * 0.2 * 0.8))
    assert df == pytest.approx(2 * weight)


def test_pearson_compares_each_pod_with_its_own_usual_rate() -> None:
    unlike = cells((100, 10), (100, 20), (100, 30))
    assert pearson(unlike, [0.5, 1.0, 1.5])[0] == pytest.approx(0)
    assert pearson(unlike, [1.5, 1.0, 0.5])[0] > pearson(unlike)[0]


@pytest.mark.parametrize(
    "nothing",
    [
        cells(),
        cells((100, 5)),
        cells((100, 5), (0, 0)),
        cells((100, 0), (100, 0)),
        cells((100, 100), (100, 100)),
        cells((100, 1), (100, 0), (100, 0)),
        cells((100, 100), (100, 99)),
    ],
    ids=["empty", "one pod", "one with requests", "no bad ones", "all bad", "one bad", "one good"],
)
def test_what_says_nothing_counts_for_nothing(nothing: list[Counts]) -> None:
    assert pearson(nothing) == (0.0, 0.0)


def test_without_data_the_bound_is_cautious_but_allows_a_verdict() -> None:
    assert 1.5 < Spread().phi() < 2.5


def simulate(seed: int, clump: int, ticks: int = 200) -> Spread:
    """Three pods; bad requests come in clumps of this size, which fall on one pod each."""
    random = np.random.default_rng(seed)
    spread = Spread()
    for _ in range(ticks // 10):
        bad = clump * random.poisson(12 / clump, (10, 3))
        for row in bad:
            spread.add_tick(cells(*((1000, k) for k in row)))
        spread.add_block(cells(*((10_000, k) for k in bad.sum(axis=0))))
    return spread


@pytest.mark.parametrize("clump", [1, 4, 12])
def test_bound_follows_the_size_of_the_clumps(clump: int) -> None:
    bounds = [simulate(seed, clump).phi() for seed in range(20)]
    assert clump * 0.85 < np.quantile(bounds, 0.1)
    assert np.quantile(bounds, 0.9) < clump * 2.6


def test_blocks_count_when_they_are_worse_than_ticks() -> None:
    spread = simulate(1, 1)
    before = spread.phi()
    for _ in range(10):
        spread.add_block(cells((10_000, 50), (10_000, 150), (10_000, 100)))
    assert spread.phi() > 4 * before


def test_blocks_begin_at_what_the_ticks_say() -> None:
    spread = simulate(1, 12)
    spread.block_chi = 0.0
    spread.block_df = 1e-9
    assert spread.phi() > 12


def test_never_below_one() -> None:
    spread = Spread()
    for _ in range(1000):
        spread.add_tick(cells((100, 10), (100, 10), (100, 10)))
    assert spread.phi() == 1


def test_what_is_plain_to_see_is_told_from_chance() -> None:
    assert not Spread().visible()
    assert sum(simulate(seed, 1).visible() for seed in range(40)) <= 4
    assert all(simulate(seed, 4).visible() for seed in range(10))


def pods(seed: int, number: int, sigma: float, n: int) -> list[Counts]:
    random = np.random.default_rng(seed)
    odds = 0.05 * np.exp(sigma * random.standard_normal(number))
    return cells(*((n, random.binomial(n, odd / (1 + odd))) for odd in odds))


def test_equal_pods_are_seldom_taken_for_unlike_ones() -> None:
    seen = sum(unlikeness(pods(seed, 8, 0.0, 20_000), 1.0).sigma > 0 for seed in range(200))
    assert seen <= 40, "chance alone shows a spread in one case of ten"


@pytest.mark.parametrize("number", [ENOUGH_PODS, 20])
@pytest.mark.parametrize("sigma", [0.1, 0.3])
def test_spread_of_many_pods_is_bounded_from_above(number: int, sigma: float) -> None:
    bounds = [unlikeness(pods(seed, number, sigma, 100_000), 1.0).sigma for seed in range(100)]
    assert np.mean(np.array(bounds) >= sigma * 0.95) > 0.75
    assert np.median(bounds) < 2.2 * sigma


def test_few_pods_get_the_wider_bound() -> None:
    two = unlikeness(cells((10_000, 400), (10_000, 600)), 1.0).sigma
    many = unlikeness(cells(*[(10_000, 400), (10_000, 600)] * 8), 1.0).sigma
    assert many < two / 2


def test_few_pods_are_bounded_by_what_pods_usually_are_where_they_show_little_of_themselves() -> None:
    n = 1_000_000
    sigmas = [
        unlikeness(cells(*((n, 0.04 * n * (1 + off)) for off in (-spread, 0, spread))), 1.0).sigma
        for spread in (0.02, 0.25, 0.75)
    ]
    assert sigmas[0] == pytest.approx(0.02 / 0.96 / math.sqrt(0.0626), rel=0.05), "their own: four times what they show"
    assert sigmas[1] == pytest.approx(1.649 * math.sqrt((4 * 0.5**2 + 2 * (0.25 / 0.96) ** 2) / 6), rel=0.01)
    assert sigmas[2] == pytest.approx(1.649 * math.sqrt((4 * 0.5**2 + 2 * (0.75 / 0.96) ** 2) / 6), rel=0.01)


@pytest.mark.parametrize("number", [3, 5, ENOUGH_PODS])
@pytest.mark.parametrize(("sigma", "most"), [(0.1, 0.01), (0.3, 0.01), (0.5, 0.01), (0.7, 0.012), (1.0, 0.025)])
def test_a_good_canary_beside_few_pods_seldom_exceeds_the_noise_floor(number: int, sigma: float, most: float) -> None:
    random, n, runs = np.random.default_rng(number), 1e7, 3000
    drawn = 0.05 * np.exp(sigma * random.standard_normal((runs, number + 1)))
    exceeded = 0
    for odds in drawn:
        shares = odds[:-1] / (1 + odds[:-1])
        floor = noise_floor(unlikeness(cells(*((n, n * share) for share in shares)), 1.0).sigma, 1, number)
        stable = shares.mean()
        exceeded += odds[-1] > floor * stable / (1 - stable)
    assert exceeded / runs <= most


@pytest.mark.parametrize("floor", [1.0, 1.5, 20.0])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.04, 0.5, 1.0])
def test_the_widened_margin_holds_every_canary_whose_odds_are_within_the_floor(floor: float, share: float) -> None:
    margin = Margin(1.1, 0.0005)
    got = widened(margin, floor, share)

    def allowed(stable: float) -> float:
        most = margin.ratio * stable
        return floor * most / (1 + (floor - 1) * most) + margin.absolute

    for stable in np.linspace(0, 1, 101):
        assert got.ratio * stable + got.absolute >= allowed(stable) - 1e-12
    assert got.ratio * share + got.absolute == pytest.approx(allowed(share))
    if floor == 1:
        assert got == pytest.approx(margin)


def test_dispersion_explains_a_spread_away() -> None:
    unlike = cells((10_000, 400), (10_000, 500), (10_000, 600))
    assert unlikeness(unlike, 1.0).sigma > 0
    assert unlikeness(unlike, 20.0) == ALIKE


def test_usual_rates_are_drawn_to_the_middle_as_far_as_chance_explains_them() -> None:
    few, many = (unlikeness(cells((n, 0.02 * n), (n, 0.10 * n)), 1.0).usual for n in (400, 400_000))
    assert few is not None
    assert many is not None
    assert 1 < few[1] < many[1] == pytest.approx(0.10 / 0.06, rel=0.01)
    assert many[0] == pytest.approx(0.02 / 0.06, rel=0.01)


@pytest.mark.parametrize(
    "nothing",
    [
        cells(),
        cells((100, 5)),
        cells((100, 0), (100, 0)),
        cells((100, 100), (100, 100)),
        cells((100, 5), (0, 0)),
    ],
    ids=["empty", "one pod", "no bad ones", "all bad", "a pod without requests"],
)
def test_what_shows_no_spread_is_alike(nothing: list[Counts]) -> None:
    assert unlikeness(nothing, 1.0) == ALIKE


def test_noise_floor_is_how_unlucky_a_good_canary_may_be() -> None:
    assert noise_floor(0.0, 1, 3) == 1
    assert noise_floor(0.1, 1, 10**9) == pytest.approx(math.exp(0.233), rel=1e-3)
    assert noise_floor(0.1, 4, 4) == pytest.approx(math.exp(0.233 * math.sqrt(0.5)), rel=1e-3)
    assert noise_floor(0.1, 0, 0) == noise_floor(0.1, 1, 1)
    assert noise_floor(50.0, 1, 1) == pytest.approx(math.exp(3)), "it ends where nothing could be judged any more"


@pytest.mark.parametrize(("chi", "df", "want"), [(10.0, 10.0, 2.056), (30.0, 30.0, 1.456), (100.0, 100.0, 1.214)])
def test_upper_bound_is_that_of_the_chi_square_table(chi: float, df: float, want: float) -> None:
    assert dispersion.upper(chi, df) == pytest.approx(want, rel=0.01)
