"""The test of the canary's share: silent within a tenth of it, loud beyond, and an e-value."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from fairlead.analysis import evidence
from fairlead.analysis.split import Split


def after(rows: Sequence[tuple[float, float, float]]) -> float:
    """The evidence after these counts of the canary, of both, and the due share."""
    split, spent = Split(), 0.0
    for number, row in enumerate(rows, start=1):
        mass = evidence.onset(number)
        split.add(*row, mass)
        spent += mass
    return split.evidence(1 - spent)


@pytest.mark.parametrize(
    ("seen", "due", "fires"),
    [
        (0.20, 0.2, False),
        (0.218, 0.2, False),
        (0.182, 0.2, False),
        (0.25, 0.2, True),
        (0.15, 0.2, True),
        (0.0, 0.2, True),
        (1.0, 0.2, True),
        (0.05, 0.05, False),
        (0.5, 0.05, True),
        (0.95, 0.95, False),
        (0.5, 0.95, True),
    ],
)
def test_a_share_within_a_tenth_of_the_due_one_passes(seen: float, due: float, *, fires: bool) -> None:
    assert (after([(1000 * seen, 1000, due)] * 40) >= 100) == fires


def test_counts_are_kept_for_the_sentence() -> None:
    split = Split()
    split.add(10, 100, 0.2, 0.1)
    split.add(50, 100, 0.5, 0.1)
    assert (split.canary, split.total, split.expected) == (60, 200, 70)


@pytest.mark.parametrize("row", [(0, 0, 0.2), (5, 10, 0.0), (5, 10, 1.0)])
def test_nothing_is_learnt_without_requests_or_a_share(row: tuple[float, float, float]) -> None:
    split = Split()
    split.add(*row, 0.5)
    assert split == Split()


def test_a_change_of_the_share_is_no_mismatch() -> None:
    assert after([(50, 1000, 0.05)] * 20 + [(500, 1000, 0.5)] * 20) < 2


def test_a_fault_that_begins_late_is_found() -> None:
    assert after([(200, 1000, 0.2)] * 100 + [(100, 1000, 0.2)] * 4) > 100


def test_few_connections_tell_of_an_absent_canary_only_in_time() -> None:
    assert after([(0, 10, 0.25)]) < 100 < after([(0, 10, 0.25)] * 12)


@pytest.mark.parametrize("edge", [0.22, 0.2, 0.18])
def test_expected_e_value_is_at_most_one_within_the_tolerance(edge: float) -> None:
    """Exactly, outcome by outcome, on both edges of what is still alike."""
    n = 30
    chances = [math.comb(n, k) * edge**k * (1 - edge) ** (n - k) for k in range(n + 1)]
    expected = 0.0
    for k, chance in enumerate(chances):
        split = Split()
        split.add(k, n, 0.2, 1.0)
        expected += chance * split.evidence(0.0)
    assert expected <= 1 + 1e-6


def test_false_alarms_stay_below_alpha() -> None:
    random = np.random.default_rng(2)
    alarms = 0
    for _ in range(200):
        canary = random.binomial(100, 0.22, 40)
        alarms += any(after([(float(k), 100.0, 0.2) for k in canary[:t]]) >= 20 for t in (5, 10, 20, 40))
    assert alarms <= 10
