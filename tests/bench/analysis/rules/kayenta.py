"""Kayenta's judge (spinnaker/kayenta at a69573b), reimplemented: Mann–Whitney interval, classifier and score.

The samples are interval aggregates, one number a minute and arm. The interval's ends and the Hodges–Lehmann estimate
are roots of the standardised rank sum in the shift, found as R's wilcox.test finds them: by Brent's method with a
tolerance of 1e-4, which on step functions decides the last digits. Where a quantile cannot be reached, an end is the
extreme difference of the samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Label = Literal["Pass", "High", "Low", "Nodata", "NodataFailMetric", "Error"]
Direction = Literal["increase", "decrease", "either"]

TOLERANCE = 1e-4
NOISE = 1e-5
"""Relative size of the noise that two constant samples get."""


class TiedError(ValueError):
    """All observations are tied, so there is no interval."""


@dataclass(frozen=True)
class Shift:
    """By how much the canary's values lie above the baseline's: confidence interval and estimate."""

    low: float
    high: float
    estimate: float


@dataclass(frozen=True)
class Judged:
    """How one metric is classified, and whether that alone fails the canary."""

    label: Label
    critical: bool = False


@dataclass(frozen=True)
class Classifier:
    """The settings of one metric. The judge itself uses tolerance .25 and confidence .98."""

    tolerance: float = 0.25
    confidence: float = 0.98
    effect: tuple[float, float] = (1.0, 1.0)
    """Mean ratios at or beyond which a difference counts: allowed decrease, allowed increase."""
    critical_effect: tuple[float, float] = (1.0, 1.0)
    cles: bool = False
    """Measure the effect as the share of pairs in which the canary is higher, not as a ratio of means."""

    def classify(
        self,
        baseline: Sequence[float],
        canary: Sequence[float],
        direction: Direction = "either",
        *,
        critical: bool = False,
        required: bool = False,
        replace_nan: bool = False,
    ) -> Judged:
        """Compare the canary's interval values with the baseline's. Samples hold no NaN."""
        if not len(baseline) or not len(canary):
            return self._empty(critical=critical, required=required, replace_nan=replace_nan)
        if sorted(baseline) == sorted(canary) or len({*baseline, *canary}) == 1:
            return Judged("Pass")
        x, y = np.asarray(canary, float), np.asarray(baseline, float)
        if len(set(x)) == 1 and len(set(y)) == 1:
            random = np.random.default_rng(0)
            x, y = (v + random.normal(0.0, NOISE * abs(v[0]), len(v)) for v in (x, y))
        shift = mann_whitney(x, y, self.confidence)
        size = _cles(x, y) if self.cles else _mean_ratio(x, y)
        bound = self.tolerance * abs(shift.estimate)
        if direction != "decrease" and shift.low > bound and _at_least(size, self.effect[1]):
            return Judged("High", critical and _at_least(size, self.critical_effect[1]))
        if direction != "increase" and shift.high < -bound and _at_most(size, self.effect[0]):
            return Judged("Low", critical and _at_most(size, self.critical_effect[0]))
        return Judged("Pass")

    @staticmethod
    def _empty(*, critical: bool, required: bool, replace_nan: bool) -> Judged:
        if replace_nan:
            return Judged("Pass")
        return Judged("NodataFailMetric") if required and not critical else Judged("Nodata", critical)


def score(results: Sequence[tuple[Judged, str]], weights: Mapping[str, float]) -> float:
    """The summary score of (metric, group) results, 0 to 100; groups without a weight share what is left of 100."""
    labels = [judged.label for judged, _ in results]
    if any(judged.critical and judged.label != "Pass" for judged, _ in results):
        return 0.0
    if labels.count("Nodata") * 2 >= len(labels):
        return 0.0
    groups = {group for _, group in results}
    unweighted = groups - set(weights)
    rest = (100 - sum(weights.values())) / len(unweighted) if unweighted else 0.0
    total = sum(_group(results, group) * weights.get(group, rest) / 100 for group in groups)
    return round(total, 2)


def _group(results: Sequence[tuple[Judged, str]], group: str) -> float:
    counted = [judged.label for judged, own in results if own == group and judged.label not in ("Nodata", "Error")]
    return 100.0 * counted.count("Pass") / len(counted) if counted else 100.0


def mann_whitney(x: Floats, y: Floats, confidence: float) -> Shift:
    """Two-sided interval for the shift of x over y. Raises TiedError where there is none."""
    low, high = float(x.min() - y.max()), float(x.max() - y.min())
    z = NormalDist().inv_cdf((1 - confidence) / 2)

    def end(quantile: float) -> float:
        at_low, at_high = standardised(low, quantile, x, y), standardised(high, quantile, x, y)
        if at_low <= 0:
            return low
        if at_high >= 0:
            return high
        return root(lambda mu: standardised(mu, quantile, x, y), (low, high), (at_low, at_high))

    ends = standardised(low, 0.0, x, y), standardised(high, 0.0, x, y)
    return Shift(end(-z), end(z), root(lambda mu: standardised(mu, 0.0, x, y), (low, high), ends))


def standardised(mu: float, quantile: float, x: Floats, y: Floats) -> float:
    """The rank sum of x − mu against y, centred, corrected for continuity, over its spread; less the quantile."""
    moved, n, m = x - mu, len(x), len(y)
    above = moved[:, None] - y[None, :]
    centred = float(np.count_nonzero(above > 0) + 0.5 * np.count_nonzero(above == 0)) - n * m / 2
    ties = np.unique(np.concatenate((moved, y)), return_counts=True)[1].astype(float)
    clumped = float((ties**3 - ties).sum()) / ((n + m) * (n + m - 1))
    variance = n * m / 12 * (n + m + 1 - clumped)
    if variance <= 0:
        message = "all observations are tied"
        raise TiedError(message)
    return (centred - math.copysign(0.5, centred) * (centred != 0)) / math.sqrt(variance) - quantile


def root(function: Callable[[float], float], ends: tuple[float, float], values: tuple[float, float]) -> float:
    """Brent's method (Algorithms for Minimization without Derivatives, 1973, chapter 4), stopped at TOLERANCE."""
    (a, b), (fa, fb) = ends, values
    if fa == 0:
        return a
    if fb == 0:
        return b
    c, fc = a, fa
    while True:
        last = b - a
        if abs(fc) < abs(fb):
            a, b, c = b, c, b
            fa, fb, fc = fb, fc, fb
        enough = 2 * np.finfo(float).eps * abs(b) + TOLERANCE / 2
        step = (c - b) / 2
        if abs(step) <= enough or fb == 0:
            return b
        if abs(last) >= enough and abs(fa) > abs(fb):
            step = _interpolated((a, b, c), (fa, fb, fc), enough, last, step)
        if abs(step) < enough:
            step = math.copysign(enough, step)
        a, fa = b, fb
        b += step
        fb = function(b)
        if fb * fc > 0:
            c, fc = a, fa


def _interpolated(
    at: tuple[float, float, float], values: tuple[float, float, float], enough: float, last: float, half: float
) -> float:
    """The secant's or the inverse parabola's step where it stays well inside the bracket, else half of it."""
    (a, b, c), (fa, fb, fc) = at, values
    s = fb / fa
    if a == c:
        p, q = (c - b) * s, 1 - s
    else:
        r, t = fb / fc, fa / fc
        p = s * ((c - b) * t * (t - r) - (b - a) * (r - 1))
        q = (t - 1) * (r - 1) * (s - 1)
    p, q = (p, -q) if p > 0 else (-p, q)
    inside = p < 0.75 * (c - b) * q - abs(enough * q) / 2 and p < abs(last * q / 2)
    return p / q if inside else half


def _mean_ratio(x: Floats, y: Floats) -> float:
    canary, baseline = float(x.mean()), float(y.mean())
    return math.nan if 0 in (canary, baseline) else canary / baseline


def _cles(x: Floats, y: Floats) -> float:
    above = x[:, None] - y[None, :]
    return float(np.count_nonzero(above > 0) + 0.5 * np.count_nonzero(above == 0)) / above.size


def _at_least(size: float, limit: float) -> bool:
    """An effect that cannot be measured is taken as large enough."""
    return math.isnan(size) or size >= limit


def _at_most(size: float, limit: float) -> bool:
    return math.isnan(size) or size <= limit
