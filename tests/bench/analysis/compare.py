"""What other rules make of a chunk of simulated rollouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.bench.analysis.cells import Cell
from tests.bench.analysis.generate import CLASSIC, NATIVE, Traffic, traffic
from tests.bench.analysis.rules import kayenta, limits, peeking
from tests.bench.analysis.rules.limits import Bools, Floats, Ints

Result = dict[str, Any]

LOOKS = (5, 10, 15, 20)
"""Minutes after which Kayenta judges all intervals so far."""
ONE_IN = 5
"""Kayenta takes a millisecond a look, so it judges every fifth rollout."""
SUCCESS, P99 = 0.99, 0.5
RELATIVE_ERRORS, RELATIVE_P99, PSI = 1.5, 1.2, 0.2


def others(cell: Cell, runs: int, seed: int) -> Result:
    """The verdicts of the other rules on the same rollouts."""
    drawn = traffic(cell, runs, seed)
    fired, null = RULES[cell.kind](cell, drawn)
    out: Result = {name: _counted(intervals) for name, intervals in fired.items()}
    if cell.tick == 60.0:
        out["kayenta"] = _counted(np.array([_kayenta(cell, drawn, run) for run in range(0, runs, ONE_IN)]))
    if cell.goal == "quiet":
        out["null"] = [round(float(score), 4) for score in null]
    else:
        out["scores"] = [[round(float(v), 4) for v in row] for row in np.maximum.accumulate(_scores(cell, drawn), 1)]
    return out


def _counted(intervals: Ints) -> Result:
    return {"runs": len(intervals), "rolled": [int(i) for i in intervals if i]}


def _ratio(cell: Cell, drawn: Traffic) -> tuple[dict[str, Ints], Floats]:
    canary, stable = drawn.judged
    bad, reference = limits.share(canary[..., 1], canary[..., 0]), limits.share(stable[..., 1], stable[..., 0])
    fixed = limits.not_within(bad, 1 - SUCCESS)
    scores = peeking.z_scores(canary, stable)
    out = {
        "flagger": limits.flagger(fixed),
        "argo": limits.argo(fixed),
        "argo relative": limits.argo(limits.not_within(bad, RELATIVE_ERRORS * reference)),
        "peeking .05": peeking.peek(scores, peeking.z_limit(0.05)),
        "peeking .01": peeking.peek(scores, peeking.z_limit(0.01)),
    }
    if cell.limit:
        out["flagger oracle"] = limits.flagger(limits.not_within(bad, cell.limit))
    return out, scores.max(axis=1)


def _latency(cell: Cell, drawn: Traffic) -> tuple[dict[str, Ints], Floats]:
    canary, stable = drawn.judged
    slow, reference = _p99(cell, canary), _p99(cell, stable)
    fixed = limits.not_within(slow, P99)
    scores = peeking.ks_scores(canary, stable)
    out = {
        "flagger": limits.flagger(fixed),
        "argo": limits.argo(fixed),
        "argo relative": limits.argo(limits.not_within(slow, RELATIVE_P99 * reference)),
        "peeking .05": peeking.peek(scores, -float(np.log(0.05))),
        "peeking .01": peeking.peek(scores, -float(np.log(0.01))),
    }
    return out, scores.max(axis=1)


def _classes(_cell: Cell, drawn: Traffic) -> tuple[dict[str, Ints], Floats]:
    canary, stable = drawn.judged
    unlike: Bools = limits.not_within(limits.stability_index(canary, stable), PSI)
    scores = peeking.chi_square(canary, stable)
    out = {
        "flagger": limits.flagger(unlike),
        "argo": limits.argo(unlike),
        "peeking .05": peeking.peek(scores, peeking.CHI2_9[0.05]),
        "peeking .01": peeking.peek(scores, peeking.CHI2_9[0.01]),
    }
    return out, scores.max(axis=1)


RULES: dict[str, Callable[[Cell, Traffic], tuple[dict[str, Ints], Floats]]] = {
    "ratio": _ratio,
    "histogram": _latency,
    "native": _latency,
    "categorical": _classes,
}


def _scores(cell: Cell, drawn: Traffic) -> Floats:
    """The score that peeking looks at, after each interval."""
    if cell.kind == "ratio":
        return peeking.z_scores(*drawn.judged)
    return (peeking.chi_square if cell.kind == "categorical" else peeking.ks_scores)(*drawn.judged)


def _p99(cell: Cell, counts: Ints) -> Floats:
    native = cell.kind == "native"
    return limits.histogram_quantile(0.99, counts, NATIVE if native else CLASSIC, exponential=native)


def _kayenta(cell: Cell, drawn: Traffic, run: int) -> int:
    """The minute in which Kayenta's score fails one metric, 0 for never."""
    canary, stable = (_series(cell, arm[run]) for arm in drawn.judged)
    either = cell.kind == "categorical"
    for look in LOOKS:
        x, y = ([float(v) for v in arm[:look] if not np.isnan(v)] for arm in (canary, stable))
        try:
            judged = kayenta.Classifier().classify(y, x, "either" if either else "increase")
        except kayenta.TiedError:
            continue
        if kayenta.score([(judged, "all")], {}) < 100:
            return look
    return 0


def _series(cell: Cell, counts: Ints) -> Floats:
    """The one number a minute that Kayenta is given: errors in per cent, p99 in milliseconds, or the mean class."""
    if cell.kind == "ratio":
        return 100 * limits.share(counts[:, 1], counts[:, 0])
    if cell.kind == "categorical":
        mean: Floats = (counts @ np.arange(counts.shape[1])) / counts.sum(axis=1)
        return mean
    return 1000 * _p99(cell, counts)
