"""Do the arms differ in what they predict, or in what they are asked? Total variation, by a predictable witness.

The null is that the total variation between the arms' distributions is at most τ in every interval, however both
drift. The witness of an interval is the set of classes that the canary has had more often than stable *before* it. If
the null holds, the canary's share of that set exceeds stable's by at most τ, and that is a question about two
binomials: the e-value is

    e = Π_a (p*_a/q_a)^k_a · ((1−p*_a)/(1−q_a))^(n_a−k_a)      a ∈ {canary, stable}

with p* the shares guessed from before and q the point of the null nearest to them in Kullback–Leibler divergence
(Turner, Ly and Grünwald, arXiv:2106.02693). No sum over classes is taken, so their number costs nothing. Total
variation above √PSI₀/2 proves a population stability index above PSI₀.
"""

from __future__ import annotations

import math
import zlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fairlead.analysis.evidence import Counts

CLASSES = 32
"""Classes that are told apart; what comes after them counts as one more."""
OTHER = 0
_HALVINGS = 40
_TINY = 1e-12

Tally = Mapping[int, float]
"""Counts by the checksum of a class."""


@dataclass(slots=True)
class Witness:
    """What both arms have shown so far, class by class."""

    canary: dict[int, float] = field(default_factory=dict)
    stable: dict[int, float] = field(default_factory=dict)
    waiting: list[tuple[int, dict[int, float], dict[int, float]]] = field(default_factory=list)
    """Number of intervals and both arms' counts in them, for the newest ones, which choose no witness yet."""

    def tally(self, counts: Mapping[str, float]) -> dict[int, float]:
        """Counts by class, with the classes that are not told apart as one."""
        out: dict[int, float] = {}
        for name, count in counts.items():
            key = checksum(name)
            if key not in self.stable and len(self.stable) >= CLASSES:
                key = OTHER
            elif key not in self.stable:
                self.stable[key] = 0.0
            out[key] = out.get(key, 0.0) + count
        return out

    def classes(self) -> frozenset[int]:
        """The classes that the canary has had more often than stable; empty while an arm has shown nothing."""
        n_c, n_s = sum(self.canary.values()), sum(self.stable.values())
        if n_c <= 0 or n_s <= 0:
            return frozenset()
        return frozenset(key for key, count in self.canary.items() if count * n_s > self.stable.get(key, 0.0) * n_c)

    def guess(self, classes: frozenset[int]) -> tuple[float, float]:
        """Canary's and stable's share of the classes, drawn a little to the middle."""
        return _share(self.canary, classes), _share(self.stable, classes)

    def note(
        self, canary: Iterable[Mapping[str, float]], stable: Iterable[Mapping[str, float]], delay: int = 0
    ) -> None:
        """Keep an interval's counts, pod by pod, until it is judged; few sums hold however many have to wait."""
        together = max(1, math.ceil(delay / 2))
        joins = bool(self.waiting) and self.waiting[-1][0] < together
        number, *arms = self.waiting.pop() if joins else (0, {}, {})
        for sums, pods in zip(arms, (canary, stable), strict=True):
            _add(sums, self._sum(pods))
        self.waiting.append((number + 1, arms[0], arms[1]))

    def settle(self, delay: int) -> None:
        """The newest interval is judged: let all but the last `delay` choose the next witness.

        A connection that is open in two intervals asks much the same in both. So where connections are balanced, a
        witness is chosen by those that have ended by now.
        """
        while self.waiting and sum(number for number, _, _ in self.waiting[1:]) >= delay:
            _, canary, stable = self.waiting.pop(0)
            _add(self.canary, canary)
            _add(self.stable, stable)

    def _sum(self, pods: Iterable[Mapping[str, float]]) -> dict[int, float]:
        out: dict[int, float] = {}
        for counts in pods:
            for key, count in self.tally(counts).items():
                out[key] = out.get(key, 0.0) + count
        return out

    def distance(self) -> float:
        """The total variation between the arms as counted so far."""
        n_c, n_s = sum(self.canary.values()), sum(self.stable.values())
        if n_c <= 0 or n_s <= 0:
            return 0.0
        keys = self.canary.keys() | self.stable.keys()
        return 0.5 * sum(abs(self.canary.get(key, 0.0) / n_c - self.stable.get(key, 0.0) / n_s) for key in keys)


def _add(sums: dict[int, float], tally: Mapping[int, float]) -> None:
    """Add counts up, rounded to float32."""
    for key, count in tally.items():
        sums[key] = float(array("f", (sums.get(key, 0.0) + count,))[0])


def checksum(name: str) -> int:
    """A class's name in four bytes; never the one that stands for all others."""
    return zlib.crc32(name.encode()) or 1


def event(tally: Tally, classes: frozenset[int]) -> Counts:
    """All of an arm's counts, and those in the classes."""
    return Counts(sum(tally.values()), sum(count for key, count in tally.items() if key in classes))


def log_e(canary: Counts, stable: Counts, guess: tuple[float, float], tolerance: float) -> float:
    """The interval's log e-value; 0 while the guess itself lies within the null or an arm is empty."""
    p_c, p_s = guess
    if canary.n <= 0 or stable.n <= 0 or p_c <= p_s + tolerance:
        return 0.0
    q_s = _nearest(p_c, p_s, canary.n, stable.n, tolerance)
    q_c = q_s + tolerance
    return _log_ratio(canary, p_c, q_c) + _log_ratio(stable, p_s, q_s)


def _log_ratio(counts: Counts, p: float, q: float) -> float:
    q = min(1 - _TINY, max(_TINY, q))
    return counts.k * math.log(p / q) + (counts.n - counts.k) * math.log((1 - p) / (1 - q))


def _nearest(p_c: float, p_s: float, n_c: float, n_s: float, tolerance: float) -> float:
    """Stable's share at the point of the null's edge with the least divergence from the guess."""
    low, high = _TINY, 1.0 - tolerance - _TINY
    for _ in range(_HALVINGS):
        q = 0.5 * (low + high)
        other = q + tolerance
        slope = n_s * (q - p_s) / (q * (1 - q)) + n_c * (other - p_c) / (other * (1 - other))
        low, high = (low, q) if slope > 0 else (q, high)
    return 0.5 * (low + high)


def _share(sums: Tally, classes: frozenset[int]) -> float:
    n = sum(sums.values())
    return (sum(count for key, count in sums.items() if key in classes) + 0.5) / (n + 1.0)
