"""How many times as often the canary's requests are bad: the estimate that people read, and its interval.

The estimate is Mantel and Haenszel's, over all judged intervals: shares and error rates may change from one to the
next without misleading it. The interval inverts the e-value of `evidence.py` with δ = 0 over ρ: it holds at all times
at once, so it may be looked at after every tick. Given an interval's total K of bad requests, and π the canary's share
of the requests, the log-likelihood of a ratio R is

    ℓ(R) = k_c·ln R − K·ln(1 + π(R−1))

and the e-value for R against ρ is e^(L(R) − L(ρ)) with L the sum over the intervals. Within a stage π hardly moves, so
K and the first two moments of π are all that has to be kept of it; few stages are kept apart.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field

STAGES = 3
"""Stages that are kept apart; of more the two with the most similar shares become one."""
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.6, 1.0, 1.5, 2.2, 3.0, 4.0)
"""ln R − ln ρ of the alternatives that the interval's mixture holds."""
_WIDEST = 7.0
"""Intervals end at e^±7 times the estimate: beyond that there is no bound."""
_ALL = 1.0 - 1e-6
"""The largest share of the requests that is told from all of them: at 1 the ratio could not be seen at all."""
_CLOSE = 0.005
_TRIES = 12


@dataclass(slots=True)
class Estimate:
    """Sums for the ratio of one test, for one alignment of the stable windows or several."""

    above: float = 0.0
    below: float = 0.0
    """Mantel–Haenszel's sums: Σ k_c·n_s/n and Σ k_s·n_c/n."""
    curves: list[Curve] = field(default_factory=list)
    """One for each alignment."""

    def add(self, canary: tuple[float, float], stable: tuple[float, float]) -> None:
        """Take in one interval: requests and bad requests of both arms."""
        n = canary[0] + stable[0]
        self.above += canary[1] * stable[0] / n
        self.below += stable[1] * canary[0] / n

    @property
    def ratio(self) -> float | None:
        """Canary's share over stable's; None while stable has had no bad request or nothing was seen."""
        return self.above / self.below if self.below > 0 else None

    def interval(self, alpha: float) -> tuple[float, float]:
        """The anytime-valid interval at level 1 − alpha; (0, inf) while nothing is known."""
        bounds = [curve.interval(alpha, self.ratio) for curve in self.curves if curve.bad > 0]
        if not bounds:
            return 0.0, math.inf
        return min(low for low, _ in bounds), max(high for _, high in bounds)


@dataclass(slots=True)
class Curve:
    """The log-likelihood L of the ratio: bad canary requests, and (K, mean π, variance of π) by stage."""

    canary_bad: float = 0.0
    stages: list[tuple[float, float, float]] = field(default_factory=list)

    @property
    def bad(self) -> float:
        """All bad requests that were taken in, weakened by the dispersion."""
        return sum(stage[0] for stage in self.stages)

    def begin_stage(self) -> None:
        """The share changes: keep what follows apart."""
        if self.stages and self.stages[-1][0] <= 0:
            return
        self.stages.append((0.0, 0.0, 0.0))
        if len(self.stages) > STAGES:
            self._merge_closest()

    def add(self, canary: tuple[float, float], stable: tuple[float, float], phi: float) -> None:
        """Take in one interval."""
        total = (canary[1] + stable[1]) / phi
        if total <= 0 or stable[0] <= 0:
            return
        if not self.stages:
            self.stages.append((0.0, 0.0, 0.0))
        self.canary_bad = _single(self.canary_bad + canary[1] / phi)
        share = min(_ALL, canary[0] / (canary[0] + stable[0]))
        self.stages[-1] = _joined(self.stages[-1], (total, share, 0.0))

    def log(self, theta: float) -> float:
        """L at the ratio e^theta."""
        u = math.exp(theta) - 1.0
        out = self.canary_bad * theta
        for total, share, variance in self.stages:
            if total > 0:
                base = 1.0 + share * u
                out -= total * (math.log(base) - 0.5 * variance * (u / base) ** 2)
        return out

    def interval(self, alpha: float, ratio: float | None) -> tuple[float, float]:
        """Where neither one-sided e-value reaches 2/alpha."""
        bar = math.log(2.0 * len(_STEPS) / alpha)
        if ratio is None or ratio <= 0:
            share = self.stages[-1][1] or 0.5
            ratio = max(0.5, self.canary_bad) / max(0.5, self.bad - self.canary_bad) * (1 - share) / share
        centre = math.log(ratio)
        low, high = self._end(centre, -1.0, bar), self._end(centre, 1.0, bar)
        return (0.0 if low is None else math.exp(low)), (math.inf if high is None else math.exp(high))

    def _end(self, centre: float, side: float, bar: float) -> float | None:
        """The first point on one side of the centre that is refuted; None where none is."""

        def refuted(theta: float) -> float:
            here = self.log(theta)
            logs = [self.log(theta - side * step) - here for step in _STEPS]
            top = max(logs)
            return top + math.log(sum([math.exp(value - top) for value in logs])) - bar

        inner, value_in = centre, refuted(centre)
        if value_in >= 0:
            return centre
        width = 0.5 / math.sqrt(max(1.0, self.canary_bad))
        while True:
            outer = centre + side * width
            value_out = refuted(outer)
            if value_out >= 0:
                break
            inner, value_in, width = outer, value_out, 2.0 * width
            if width > _WIDEST:
                return None
        for _ in range(_TRIES):
            if abs(outer - inner) < _CLOSE:
                break
            part = value_in / (value_in - value_out)
            middle = inner + min(0.9, max(0.1, part)) * (outer - inner)
            value = refuted(middle)
            if value >= 0:
                outer, value_out = middle, value
            else:
                inner, value_in = middle, value
        return outer

    def _merge_closest(self) -> None:
        shares = self.stages
        closest = min(range(len(shares) - 2), key=lambda i: abs(shares[i][1] - shares[i + 1][1]))
        shares[closest : closest + 2] = [_joined(shares[closest], shares[closest + 1])]


def _joined(a: tuple[float, float, float], b: tuple[float, float, float]) -> tuple[float, float, float]:
    """The moments of two stages together, rounded to float32."""
    total = a[0] + b[0]
    if total <= 0:
        return 0.0, 0.0, 0.0
    off = b[1] - a[1]
    mean = a[1] + off * b[0] / total
    variance = (a[0] * a[2] + b[0] * b[2] + off * off * a[0] * b[0] / total) / total
    first, second, third = array("f", (total, mean, variance)).tolist()
    return first, second, third


def _single(value: float) -> float:
    return float(array("f", (value,))[0])
