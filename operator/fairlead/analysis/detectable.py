"""What a step can show: the least change for the worse that its traffic would prove before it is over.

When the canary's share of bad requests is R times stable's, ln E is expected to grow by
n_c·R·p·ln x + n_s·p·ln y − n_c·δ(x−1) in an interval, at the best alternative of the grid. A step shows R if that,
over all its requests and divided by the dispersion φ, reaches ln(1/(α·w)) + PATIENCE. PATIENCE pays for the mixture
over ratios and onsets.
"""

from __future__ import annotations

import math

from fairlead.analysis.evidence import WORSE, Counts, Margin, log_e

PATIENCE = 3.0
MOST = 1000.0
_HALVINGS = 30


def least_ratio(canary: float, stable: Counts, margin: Margin, bar: float, phi: float) -> float | None:
    """The least detectable ratio canary/stable of the shares of bad requests; None where none is.

    Args:
        canary: canary requests within the step.
        stable: stable's requests within the step, and how many of them are expected to be bad.
        margin: what is still alike.
        bar: the e-value to reach, 1/(α·weight).
        phi: the dispersion.
    """
    if canary <= 0 or stable.n <= 0:
        return None
    share = max(stable.k, 0.5) / stable.n
    wanted = phi * (math.log(bar) + PATIENCE)

    def shown(ratio: float) -> bool:
        bad = canary * min(1.0, ratio * share)
        return max(log_e(Counts(canary, bad), Counts(stable.n, share * stable.n), margin, WORSE)) >= wanted

    top = min(MOST, 1.0 / share)
    if not shown(top):
        return None
    low, high = 0.0, math.log(top)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if shown(math.exp(middle)) else (middle, high)
    return math.exp(high)
