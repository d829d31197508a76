"""The dispersion: 1 for independent requests, large for clumps, cautious without data."""

from __future__ import annotations

import numpy as np
import pytest

from fairlead.analysis.dispersion import Spread, pearson
from fairlead.analysis.evidence import Counts


def cells(*pairs: tuple[float, float]) -> list[Counts]:
    return [Counts(*pair) for pair in pairs]


def test_pearson_is_the_textbooks_times_the_weight_of_its_pairs() -> None:
    chi, df = pearson(cells((100, 10), (100, 20), (100, 30)))
    weight = 59 / 60
    assert chi == pytest.approx(weight * (10**2 + 0 + 10**2) / (100 * 0.2 * 0.8))
    assert df == pytest.approx(2 * weight)


@pytest.mark.parametrize(
    "nothing",
    [
        cells(),
        cells((100, 5)),
        cells((100, 0), (100, 0)),
        cells((100, 100), (100, 100)),
        cells((100, 1), (100, 0), (100, 0)),
        cells((100, 100), (100, 99)),
    ],
    ids=["empty", "one pod", "no bad ones", "all bad", "one bad", "one good"],
)
def test_what_says_nothing_counts_for_nothing(nothing: list[Counts]) -> None:
    assert pearson(nothing) == (0.0, 0.0)


def test_without_data_the_bound_is_cautious_but_allows_a_verdict() -> None:
    assert 1.5 < Spread().phi() < 2.5


def simulate(seed: int, clump: int, ticks: int = 200) -> tuple[Spread, list[Counts]]:
    """Three pods and their sums; bad requests come in clumps of this size, which fall on one pod each."""
    random = np.random.default_rng(seed)
    spread, whole = Spread(), np.zeros(3)
    for _ in range(ticks // 10):
        bad = clump * random.poisson(12 / clump, (10, 3))
        for row in bad:
            spread.add_tick(cells(*((1000, k) for k in row)))
        spread.add_block(cells(*((10_000, k) for k in bad.sum(axis=0))))
        whole += bad.sum(axis=0)
    return spread, cells(*((1000 * ticks, k) for k in whole))


@pytest.mark.parametrize("clump", [1, 4, 12])
def test_bound_follows_the_size_of_the_clumps(clump: int) -> None:
    bounds = [spread.phi(whole) for spread, whole in (simulate(seed, clump) for seed in range(20))]
    assert clump * 0.85 < np.quantile(bounds, 0.1)
    assert np.quantile(bounds, 0.9) < clump * 2.6


def test_blocks_count_when_they_are_worse_than_ticks() -> None:
    spread, _ = simulate(1, 1)
    before = spread.phi()
    for _ in range(10):
        spread.add_block(cells((10_000, 50), (10_000, 150), (10_000, 100)))
    assert spread.phi() > 4 * before


def test_blocks_begin_at_what_the_ticks_say() -> None:
    spread, _ = simulate(1, 12)
    spread.block_chi = spread.block_df = 0.0
    assert spread.phi() > 12


def test_pods_that_differ_for_good_never_add_up_to_evidence() -> None:
    """The bound over all intervals grows as the counts do; the one over blocks does not."""
    spread, _ = simulate(1, 1)
    bounds = [spread.phi(cells(*((n, share * n) for share in (0.10, 0.12, 0.09)))) for n in (1e3, 1e4, 1e5)]
    assert bounds[1] > 3 * bounds[0] - 3
    assert bounds[2] == pytest.approx(10 * bounds[1], rel=0.2)


def test_never_below_one() -> None:
    spread = Spread()
    for _ in range(1000):
        spread.add_tick(cells((100, 10), (100, 10), (100, 10)))
    assert spread.phi() >= 1
    assert spread.phi(cells((100, 10), (100, 10), (100, 10))) >= 1
