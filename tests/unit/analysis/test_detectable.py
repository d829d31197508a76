"""The least change that a step can show: what the published simulations find, and no more where traffic is short."""

from __future__ import annotations

import pytest

from fairlead.analysis.detectable import MOST, least_ratio
from fairlead.analysis.evidence import Counts, Margin

STRICT, USUAL = Margin(1.0, 0.0), Margin(1.1, 0.0005)


def found(
    requests: float, share: float, rate: float, margin: Margin = USUAL, phi: float = 1.0, bar: float = 100.0
) -> float | None:
    """At this many requests a step, of which the canary gets a share, where so many of stable's are bad."""
    stable = requests * (1 - share)
    return least_ratio(requests * share, Counts(stable, stable * rate), margin, bar, phi)


@pytest.mark.parametrize(
    ("requests", "rate", "least", "most"),
    [(1e4, 0.01, 1.8, 3.0), (1e5, 0.01, 1.2, 1.6), (1e6, 0.01, 1.05, 1.25), (1e5, 0.001, 1.9, 4.0)],
)
def test_the_ratio_that_a_step_shows(requests: float, rate: float, least: float, most: float) -> None:
    ratio = found(requests, 0.2, rate, STRICT)
    assert ratio is not None
    assert least < ratio < most


def test_more_traffic_shows_less_and_dispersion_margin_and_bar_cost() -> None:
    ladder = [
        found(1e6, 0.2, 0.01, STRICT),
        found(1e5, 0.2, 0.01, STRICT),
        found(1e5, 0.2, 0.01),
        found(1e5, 0.2, 0.01, phi=3.0),
        found(1e5, 0.2, 0.01, phi=3.0, bar=1e6),
    ]
    assert all(ratio is not None for ratio in ladder)
    assert ladder == sorted(ladder, key=float)  # type: ignore[arg-type]
    assert len(set(ladder)) == 5


@pytest.mark.parametrize(
    ("canary", "stable"),
    [(0.0, Counts(100, 1)), (10.0, Counts(0, 0)), (3.0, Counts(30, 0)), (1000.0, Counts(1000, 999))],
    ids=["no canary", "no stable", "too few", "stable is as bad as can be"],
)
def test_a_step_may_show_nothing(canary: float, stable: Counts) -> None:
    assert least_ratio(canary, stable, USUAL, 100.0, 1.0) is None


def test_stable_without_a_bad_request_counts_as_if_half_a_one_had_been() -> None:
    none, half = (least_ratio(2000.0, Counts(8000, k), USUAL, 100.0, 1.0) for k in (0.0, 0.5))
    assert none == half
    assert none is not None
    assert 1 < none <= MOST
