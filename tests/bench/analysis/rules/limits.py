"""Rules that hold each interval against a limit: Flagger's scheduler and Argo Rollouts' analysis runs.

Flagger (fluxcd/flagger at 15bd6ad): every tick a false check, and also an answer without a value, adds one to a count
that only a new revision resets; the canary is rolled back when the count reaches `threshold`. Argo Rollouts
(argoproj/argo-rollouts at 9f8d111): a measurement whose success condition is not true has failed, NaN included; the run
fails when more than `failureLimit` have. All arrays hold rollouts by intervals; rules answer with the number of the
interval (1, 2, …) in which they roll back, 0 for never.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

FLAGGER_THRESHOLD = 5
ARGO_FAILURE_LIMIT = 3


def flagger(failed: Bools, threshold: int = FLAGGER_THRESHOLD) -> Ints:
    """The interval in which the count of failed checks reaches the threshold."""
    return first(np.cumsum(failed, axis=1) >= threshold)


def argo(failed: Bools, failure_limit: int = ARGO_FAILURE_LIMIT) -> Ints:
    """The interval in which more measurements have failed than are allowed."""
    return first(np.cumsum(failed, axis=1) > failure_limit)


def first(reached: Bools) -> Ints:
    """The number of the first interval in which it is so, 0 for never."""
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, 0).astype(np.int64)


def not_within(value: Floats, limit: Floats | float) -> Bools:
    """Values above the limit, and those that are none."""
    return ~(value <= limit)


def share(bad: Ints, all_: Ints) -> Floats:
    """Bad of all, NaN where there were none, as Prometheus divides."""
    out = np.full(bad.shape, np.nan)
    np.divide(bad, all_, out=out, where=all_ > 0)
    return out


def histogram_quantile(q: float, counts: Ints, edges: Floats, *, exponential: bool = False) -> Floats:
    """Prometheus's estimate from bucket counts (last axis: one more than edges, the last is +Inf's).

    Values are taken as evenly spread within a bucket, or within its logarithm where buckets are native.
    """
    cumulative = np.cumsum(counts, axis=-1).astype(float)
    total = cumulative[..., -1:]
    rank = q * total
    place = (cumulative < rank).sum(axis=-1, keepdims=True).clip(0, len(edges))
    below = np.take_along_axis(np.concatenate((np.zeros_like(total), cumulative), axis=-1), place, axis=-1)
    inside = np.take_along_axis(counts.astype(float), place, axis=-1)
    part = np.divide(rank - below, inside, out=np.zeros_like(rank), where=inside > 0)
    upper = edges[np.minimum(place, len(edges) - 1)]
    lower = np.where(place > 0, edges[np.clip(place - 1, 0, len(edges) - 1)], 0.0)
    if exponential:
        grown = np.where(lower > 0, lower, upper) * (upper / np.where(lower > 0, lower, upper)) ** part
    else:
        grown = lower + (upper - lower) * part
    value = np.where(place >= len(edges), edges[-1], grown)
    result: Floats = np.where(total > 0, value, np.nan)[..., 0]
    return result


def stability_index(canary: Ints, stable: Ints) -> Floats:
    """The population stability index of two count vectors (last axis), with half a count added to each cell."""
    p = (canary + 0.5) / (canary + 0.5).sum(axis=-1, keepdims=True)
    q = (stable + 0.5) / (stable + 0.5).sum(axis=-1, keepdims=True)
    index: Floats = ((p - q) * np.log(p / q)).sum(axis=-1)
    return index
