"""The rules that Fairlead is compared with do what their sources say.

Kayenta's numbers are those of its own tests (spinnaker/kayenta at a69573b: MannWhitneySuite, ClassifierSuite,
ScorerSuite).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.bench.analysis.rules import kayenta, limits, peeking
from tests.bench.analysis.rules.kayenta import Classifier, Direction, Judged, Label

MILD = Classifier(0.10, 0.95)
STEEP, LOW = (20.0, 22.0, 21.0, 25.0, 30.0), (1.0, 2.2, 1.1, 2.5, 3.0)
ONES, ZEROS, TENS = (1.0,) * 5, (0.0,) * 5, (10.0,) * 5
FIFTIES = (54.9, 54.5, 55.1, 55.6, 57.4)


def test_mann_whitney_interval_and_estimate() -> None:
    x, y = np.array([10.0, 20.0, 30.0, 40.0]), np.array([1.0, 2.0, 3.0, 4.0])
    shift = kayenta.mann_whitney(x, y, 0.95)
    assert (shift.low, shift.high, shift.estimate) == pytest.approx((6.0, 39.0, 22.5), abs=1e-6)


@pytest.mark.parametrize(
    ("canary", "baseline", "how", "direction", "want"),
    [
        (STEEP, LOW, Classifier(0.10, 0.95, critical_effect=(1.0, 1.2)), "either", Judged("High", critical=True)),
        ((2.0, 2.0, 2.0, 2.0, 3.0), (10.0, 20.2, 10.1, 20.5, 30.0), MILD, "either", Judged("Low", critical=True)),
        (STEEP, LOW, Classifier(0.10, 0.95, (1.0, 5.0), (1.0, 13.0)), "either", Judged("High")),
        (STEEP, LOW, Classifier(0.10, 0.95, (1.0, 13.0), (1.0, 15.0)), "either", Judged("Pass")),
        (STEEP, LOW, MILD, "decrease", Judged("Pass")),
        ((10.0, 12.2, 10.1, 12.5, 23.0), STEEP, Classifier(0.10, 0.95, (0.5, 1.0)), "either", Judged("Pass")),
        ((1.0,) * 3, (1.0,) * 2, MILD, "decrease", Judged("Pass")),
        ((1.0, 2.0, 3.0, 4.0, 5.0), (5.0, 4.0, 3.0, 2.0, 1.0), MILD, "decrease", Judged("Pass")),
        ((0.0, 1.0, 1.0, 1.0, 1.0), ONES, MILD, "decrease", Judged("Pass")),
        ((1.0, 1.0, 1.0, 1.0, 10.0), ONES, MILD, "either", Judged("Pass")),
        (TENS, ONES, MILD, "either", Judged("High", critical=True)),
        (TENS, ZEROS, MILD, "either", Judged("High", critical=True)),
        (FIFTIES, ZEROS, Classifier(0.10, 0.95, (0.8, 1.2)), "either", Judged("High", critical=True)),
        (ZEROS, FIFTIES, Classifier(0.10, 0.95, (0.8, 1.2)), "either", Judged("Low", critical=True)),
        ((), (1.0, 2.0), MILD, "either", Judged("Nodata", critical=True)),
    ],
)
def test_classifier(
    canary: tuple[float, ...], baseline: tuple[float, ...], how: Classifier, direction: Direction, want: Judged
) -> None:
    assert how.classify(baseline, canary, direction, critical=True) == want


@pytest.mark.parametrize(
    ("how", "want"),
    [({"required": True}, "NodataFailMetric"), ({"replace_nan": True}, "Pass"), ({}, "Nodata")],
)
def test_classifier_without_data(how: dict[str, Any], want: Label) -> None:
    assert MILD.classify((1.0, 2.0), (), **how) == Judged(want)


@pytest.mark.parametrize(
    ("results", "weights", "want"),
    [
        ([("Pass", "a")], {}, 100.0),
        ([("High", "a")], {}, 0.0),
        ([("Nodata", "a")], {}, 0.0),
        ([("Pass", "a"), ("Pass", "a"), ("Nodata", "b")], {}, 100.0),
        ([("Pass", "a"), ("High", "a")], {}, 50.0),
        ([("Pass", "a"), ("High", "a"), ("Low", "a")], {}, 33.33),
        ([("Pass", "a"), ("Pass", "a"), ("High", "b")], {"a": 75.0, "b": 25.0}, 75.0),
        ([("Pass", "a"), ("High", "a"), ("High", "b")], {"a": 50.0, "b": 50.0}, 25.0),
        ([("Pass", "a"), ("Nodata", "a"), ("High", "b")], {"a": 50.0, "b": 50.0}, 50.0),
        ([("High", "a"), ("Low", "a"), ("Pass", "a"), ("High", "b")], {"a": 15.0, "b": 85.0}, 5.0),
    ],
)
def test_score(results: list[tuple[Label, str]], weights: dict[str, float], want: float) -> None:
    assert kayenta.score([(Judged(label), group) for label, group in results], weights) == want


@pytest.mark.parametrize("label", ["High", "Nodata"])
def test_a_critical_metric_that_does_not_pass_fails_all(label: Label) -> None:
    assert kayenta.score([(Judged("Pass"), "a"), (Judged(label, critical=True), "a")], {}) == 0.0


def test_any_full_separation_fires_when_the_quantile_cannot_be_reached() -> None:
    """With three intervals an arm the bound falls back to the least difference."""
    assert Classifier().classify((1.0, 1.1, 1.2), (1.3, 1.4, 1.5)).label == "High"
    assert kayenta.mann_whitney(np.array([1.3, 1.4, 1.5]), np.array([1.0, 1.1, 1.2]), 0.98).low == pytest.approx(0.1)


FAILED = np.array([[True, False, True, True, True, True], [True, True, False, False, False, True]])


def test_flagger_counts_failed_checks_for_good_and_stops_at_the_threshold() -> None:
    assert limits.flagger(FAILED).tolist() == [6, 0]
    assert limits.flagger(FAILED, threshold=1).tolist() == [1, 1]


def test_argo_stops_beyond_the_failure_limit() -> None:
    assert limits.argo(FAILED).tolist() == [5, 0]
    assert limits.argo(FAILED, failure_limit=0).tolist() == [1, 1]


def test_no_traffic_is_a_failed_check() -> None:
    bad = limits.share(np.array([0, 0, 5]), np.array([0, 100, 100]))
    assert math.isnan(bad[0])
    assert limits.not_within(bad, 0.01).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("counts", "q", "want"),
    [
        ([10, 0, 0], 0.5, 0.5),
        ([5, 5, 0], 0.9, 2.6),
        ([0, 10, 0], 0.25, 1.5),
        ([1, 0, 9], 0.99, 3.0),
        ([0, 0, 0], 0.5, math.nan),
    ],
)
def test_histogram_quantile(counts: list[int], q: float, want: float) -> None:
    got = limits.histogram_quantile(q, np.array(counts), np.array([1.0, 3.0]))
    assert float(got) == pytest.approx(want, nan_ok=True)


def test_histogram_quantile_of_native_buckets_is_even_in_the_logarithm() -> None:
    got = limits.histogram_quantile(0.5, np.array([0, 10, 0]), np.array([1.0, 4.0]), exponential=True)
    assert float(got) == pytest.approx(2.0)


def test_z_score_is_the_textbooks() -> None:
    canary, stable = np.array([[[100, 10], [100, 10]]]), np.array([[[100, 5], [100, 5]]])
    pooled = 30 / 400
    want = (0.1 - 0.05) / math.sqrt(pooled * (1 - pooled) * (1 / 200 + 1 / 200))
    assert peeking.z_scores(canary, stable)[0, 1] == pytest.approx(want)


def test_chi_square_and_ks_see_all_counts_so_far() -> None:
    canary, stable = np.array([[[10, 0], [0, 30]]]), np.array([[[10, 0], [30, 0]]])
    assert peeking.chi_square(canary, stable)[0].tolist() == pytest.approx([0.0, 48.0])
    assert peeking.ks_scores(canary, stable)[0].tolist() == pytest.approx([0.0, 2 * 0.75**2 * 20])


def test_recalibrated_limit_is_exceeded_by_the_share_asked_for() -> None:
    null = np.arange(1000.0)
    assert (null > peeking.recalibrated(null, 0.01)).mean() == pytest.approx(0.01)


def test_stability_index() -> None:
    same, other = np.array([100, 100]), np.array([150, 50])
    assert limits.stability_index(same, same) == 0
    assert limits.stability_index(other, same) == pytest.approx(0.25 * math.log(1.5) - 0.25 * math.log(0.5), rel=0.02)
