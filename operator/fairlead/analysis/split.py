"""Does the canary get the share of the traffic that it should? If not, routing is not what the rollout takes it for.

Of N requests (or connections, where those are balanced) the canary should get a share π, give or take TOLERANCE of
it. Both sides are tested: for p > π the likelihood ratio of an odds ratio against the null's edge is an e-value by
the monotone likelihood ratio of the binomial; likewise below. That is Lindon and Malek's test for a sample ratio
mismatch (arXiv:2011.03567) with a tolerance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

from fairlead.analysis import evidence

TOLERANCE = 0.1
ODDS = (1.15, 1.6, 3.0, 10.0)
POOL = 4
"""Intervals of one share that are judged together: a wrong share lasts, and most of the time there is none."""
NOTHING = (0.0, 0.0, 0.0, 0.0, 0)


@dataclass(slots=True)
class Split:
    """The change-point mixture over both sides' odds ratios, and what was counted."""

    mixture: list[float] = field(default_factory=lambda: [0.0] * (2 * len(ODDS)))
    canary: float = 0.0
    total: float = 0.0
    expected: float = 0.0
    pooled: tuple[float, float, float, float, int] = NOTHING
    """Canary's count, both arms' count, due share, onsets' mass and number of the newest intervals: not judged yet."""

    def add(self, canary: float, total: float, share: float, mass: float) -> None:
        """Take in one interval: the canary's count, both arms' count, its due share, and the onset's mass."""
        if total <= 0 or not 0 < share < 1:
            return
        self.canary, self.total, self.expected = self.canary + canary, self.total + total, self.expected + total * share
        if share != self.pooled[2]:
            self._judge()
        before, both, _, onsets, number = self.pooled
        self.pooled = before + canary, both + total, share, onsets + mass, number + 1
        if number + 1 >= POOL:
            self._judge()

    def _judge(self) -> None:
        """Turn the pooled intervals into evidence."""
        canary, total, share, mass, number = self.pooled
        if number:
            rest = total - canary
            steps = [canary * hit + rest * miss for hit, miss in _weights(share)]
            self.mixture = evidence.against(self.mixture, steps, mass)
        self.pooled = NOTHING

    def evidence(self, unspent: float) -> float:
        """The e-value against the share: the mean of both sides over the grid."""
        return evidence.evidence_against(self.mixture, unspent)


@lru_cache(maxsize=1024)
def _weights(share: float) -> tuple[tuple[float, float], ...]:
    """What one request of the canary's, and one that was not, adds to each logarithm."""
    out = []
    for edge, sign in ((min(0.999, share * (1 + TOLERANCE)), 1.0), (share * (1 - TOLERANCE), -1.0)):
        for odds in ODDS:
            factor = odds**sign
            other = edge * factor / (edge * factor + 1 - edge)
            out.append((math.log(other / edge), math.log((1 - other) / (1 - edge))))
    return tuple(out)
