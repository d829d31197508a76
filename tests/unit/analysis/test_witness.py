"""The test of two distributions: an e-value where they are near, evidence where they are not, however many classes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from fairlead.analysis import witness
from fairlead.analysis.evidence import Counts
from fairlead.analysis.witness import CLASSES, OTHER, Witness


def binomial(n: int, p: float) -> np.ndarray:
    return np.array([math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)])


@pytest.mark.parametrize("tolerance", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("guess", [(0.5, 0.2), (0.9, 0.05), (0.31, 0.3)])
@pytest.mark.parametrize("n", [(1, 1), (4, 12), (12, 4)])
def test_expected_e_value_is_at_most_one_within_the_tolerance(
    n: tuple[int, int], guess: tuple[float, float], tolerance: float
) -> None:
    outcomes = itertools.product(range(n[0] + 1), range(n[1] + 1))
    e = np.exp([witness.log_e(Counts(n[0], i), Counts(n[1], j), guess, tolerance) for i, j in outcomes])
    for p_stable in (0.0, 0.1, 0.3, 0.5, 0.69):
        for p_canary in (p_stable + tolerance, p_stable + tolerance / 2, p_stable, p_stable / 2):
            chances = np.outer(binomial(n[0], p_canary), binomial(n[1], p_stable)).ravel()
            assert chances @ e <= 1 + 1e-9


@pytest.mark.parametrize(
    ("canary", "stable", "guess"),
    [
        (Counts(0, 0), Counts(10, 5), (0.9, 0.1)),
        (Counts(10, 5), Counts(0, 0), (0.9, 0.1)),
        (Counts(10, 9), Counts(10, 1), (0.5, 0.5)),
        (Counts(10, 9), Counts(10, 1), (0.15, 0.1)),
    ],
    ids=["no canary", "no stable", "no guess", "guess within the tolerance"],
)
def test_what_cannot_be_told_is_no_evidence(canary: Counts, stable: Counts, guess: tuple[float, float]) -> None:
    assert witness.log_e(canary, stable, guess, 0.05) == 0


@pytest.mark.parametrize("guess", [(0.999, 0.0005), (0.9995, 0.9), (0.5, 1e-6)])
def test_extreme_shares_stay_finite(guess: tuple[float, float]) -> None:
    for k_c, k_s in ((0, 0), (0, 1000), (1000, 0), (1000, 1000)):
        assert math.isfinite(witness.log_e(Counts(1000, k_c), Counts(1000, k_s), guess, 0.05))


def learnt(*intervals: tuple[dict[str, float], dict[str, float]]) -> Witness:
    seen = Witness()
    for canary, stable in intervals:
        seen.note([canary], [stable])
        seen.settle(0)
    return seen


def test_the_witness_is_what_the_canary_has_had_more_often() -> None:
    seen = learnt(({"a": 60, "b": 30, "c": 10}, {"a": 120, "b": 100, "c": 40}))
    assert seen.classes() == {witness.checksum("a")}
    assert seen.guess(seen.classes()) == pytest.approx((60.5 / 101, 120.5 / 261))


def test_an_interval_chooses_no_witness_before_it_is_judged() -> None:
    seen = learnt(({"a": 10, "b": 20}, {"a": 10, "b": 10}))
    seen.note([{"a": 900, "b": 0}], [{"a": 1, "b": 900}])
    assert seen.classes() == {witness.checksum("b")}
    seen.settle(0)
    assert seen.classes() == {witness.checksum("a")}


def test_where_connections_last_the_newest_intervals_choose_no_witness() -> None:
    seen = Witness()
    for _ in range(3):
        seen.note([{"a": 10, "b": 20}], [{"a": 10, "b": 10}])
        seen.settle(2)
    assert (len(seen.waiting), sum(seen.canary.values())) == (2, 30)
    seen.settle(0)
    assert (seen.waiting, sum(seen.canary.values())) == ([], 90)


def test_an_arm_without_counts_gives_no_witness() -> None:
    assert learnt().classes() == frozenset()
    assert learnt(({"a": 5}, {})).classes() == frozenset()
    assert learnt(({}, {"a": 5})).distance() == 0


def test_pods_are_added_up() -> None:
    seen = Witness()
    seen.note([{"a": 1.0}, {"a": 2.0, "b": 4.0}], [{"a": 8.0}])
    seen.settle(0)
    assert seen.canary == {witness.checksum("a"): 3.0, witness.checksum("b"): 4.0}


def test_classes_beyond_the_number_that_is_told_apart_count_as_one() -> None:
    many = {f"c{i}": 1.0 for i in range(CLASSES + 10)}
    seen = learnt((many, many))
    assert len(seen.canary) == CLASSES + 1
    assert seen.canary[OTHER] == 10
    assert sum(seen.stable.values()) == CLASSES + 10


def test_no_class_is_taken_for_the_others() -> None:
    assert witness.checksum("") != OTHER


@pytest.mark.parametrize(
    ("canary", "stable", "want"),
    [({"a": 1}, {"a": 5}, 0.0), ({"a": 5}, {"b": 5}, 1.0), ({"a": 8, "b": 2}, {"a": 10, "b": 10}, 0.3)],
)
def test_distance_is_the_total_variation(canary: dict[str, float], stable: dict[str, float], want: float) -> None:
    assert learnt((canary, stable)).distance() == pytest.approx(want)


def test_event_counts_all_and_those_in_the_classes() -> None:
    assert witness.event({1: 5.0, 2: 7.0}, frozenset({2, 3})) == (12.0, 7.0)


def test_false_alarms_stay_below_alpha_for_equal_distributions() -> None:
    """Ville, with a witness that is chosen anew after each interval; α is 5 % here and there is no tolerance."""
    random = np.random.default_rng(3)
    shares = np.array([0.3, 0.2, 0.15, 0.1, 0.1, 0.08, 0.05, 0.02])
    alarms = 0
    for _ in range(100):
        seen, log = Witness(), 0.0
        for _ in range(20):
            canary, stable = (
                dict(zip("abcdefgh", map(float, random.multinomial(n, shares)), strict=True)) for n in (60, 200)
            )
            events = seen.classes()
            tallies = [seen.tally(counts) for counts in (canary, stable)]
            if events:
                first, second = (witness.event(tally, events) for tally in tallies)
                log += witness.log_e(first, second, seen.guess(events), 0.0)
            seen.note([canary], [stable])
            seen.settle(0)
            if log >= math.log(20):
                alarms += 1
                break
    assert alarms <= 5
