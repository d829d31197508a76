"""The numbers of each metric as they stand: what decisions, records and people read of the state."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.analysis import dispersion, evidence, sentences
from fairlead.analysis.counting import boundary, column
from fairlead.analysis.evidence import WORSE, Counts, Margin
from fairlead.analysis.state import Metric, State
from fairlead.api.plan import AnalysisPlan, PlanMetric
from fairlead.api.verdict import Reading

_LEAST = 1e-9
"""Shares nearer to 0 or 1 are taken for this, so that odds are finite."""


def read(state: State, known: PlanMetric, alpha: float, *, intervals: bool = True) -> Reading:
    """One metric's numbers. Of a latency's edges the one is shown that speaks loudest against the canary."""
    metric = state.metrics.get(known.name)
    if metric is None or not metric.processes:
        words = "latency (no edges chosen yet)" if known.kind == "histogram" else ""
        return Reading(known.name, 0, 0, 0, 0, 1.0, 1.0, known.weight, words, known.kind, known.action)
    unspent = 1 - (state.late_spent if metric.late else state.spent)
    processes = metric.processes
    shown, place = processes[0], 0
    mean = evidence.evidence_against(shown.bad, unspent)
    least, phi = evidence.evidence_for(shown.ok), shown.phi
    if len(processes) > 1:
        against = [evidence.evidence_against(p.bad, unspent) for p in processes]
        mean, place = sum(against) / len(against), against.index(max(against))
        shown, phi = processes[place], max(p.phi for p in processes)
        least = min(evidence.evidence_for(p.ok) for p in processes)
    categorical = metric.kind == "categorical"
    estimate = shown.estimate
    interval = estimate.interval(alpha) if intervals and state.intervals and not categorical else None
    return Reading(
        known.name,
        metric.canary,
        shown.canary,
        metric.stable,
        shown.stable,
        mean,
        least,
        known.weight,
        detail(metric, place),
        known.kind,
        known.action,
        None if categorical else estimate.ratio,
        interval,
        phi,
    )


def beyond(metric: Metric | None, known: PlanMetric, *, promotion: bool) -> int | None:
    """The first of the metric's tests whose estimate is beyond the margin; 0 where there is nothing to compare with."""
    if metric is None or not metric.processes or metric.stable <= 0:
        return 0
    margins = (known.native_promotion, known.promotion) if promotion else (known.native_rollback, known.rollback)
    margin = margins[0] if metric.kind == "native" and margins[0] else margins[1]
    for place, process in enumerate(metric.processes):
        allowed = margin.ratio * process.stable / metric.stable + margin.absolute
        # One bad request is an accident, whatever share it makes of few requests.
        if process.canary > max(1.0, allowed * metric.canary):
            return place
    return None


def reading_at(metric: Metric, known: PlanMetric, place: int) -> Reading:
    """The counts of one of a metric's tests, for a sentence."""
    process = metric.processes[place]
    counts = (metric.canary, process.canary, metric.stable, process.stable)
    return Reading(known.name, *counts, 1.0, 1.0, known.weight, detail(metric, place))


def placebo(state: State, plan: AnalysisPlan, known: PlanMetric) -> bool:
    """Whether the test fires for a stable pod against the other stable pods, and as strongly as for the canary.

    Then what the canary shows is what the pods of one and the same version show among themselves.
    """
    metric = state.metrics.get(known.name)
    if metric is None or metric.kind == "categorical" or len(metric.whole) < 2:  # noqa: PLR2004  a pod and another
        return False
    unspent = 1 - state.spent
    place = max(range(len(metric.processes)), key=lambda i: evidence.evidence_against(metric.processes[i].bad, unspent))
    process = metric.processes[place]
    pods = column(metric.whole, place)
    sigma = dispersion.unlikeness(pods, process.spread.phi()).sigma
    floor = dispersion.noise_floor(sigma, 1, len(pods) - 1)
    bar = 1 / (plan.alpha * known.weight)
    ratio = process.estimate.ratio
    # These are sums that are looked at once, so the share of the others may come from them too.
    seen = _share(pods)
    odds = None if ratio is None else _odds(ratio * seen) / _odds(seen)
    return any(
        _single(pod, rest, dispersion.widened(known.rollback, floor, _share([rest])), process.phi) >= bar
        and (odds is None or _odds(_share([pod])) / _odds(_share([rest])) >= odds)
        for pod, rest in _splits(pods)
    )


def within_noise(state: State, plan: AnalysisPlan, known: PlanMetric) -> bool:
    """Whether only the noise floor keeps the metric from being a regression."""
    metric = state.metrics.get(known.name)
    if metric is None or metric.kind == "categorical" or metric.stable <= 0:
        return False
    rollback = (known.native_rollback if metric.kind == "native" else None) or known.rollback
    margin = Margin(rollback.ratio, rollback.absolute)
    bar = 1 / (plan.alpha * known.weight)
    found = [
        _single(Counts(metric.canary, p.canary), Counts(metric.stable, p.stable), margin, p.phi)
        for p in metric.processes
        if p.floor > 1.0
    ]
    return max(found, default=0.0) >= bar


def _single(canary: Counts, stable: Counts, margin: Margin, phi: float) -> float:
    return evidence.evidence_for([value / phi for value in evidence.log_e(canary, stable, margin, WORSE)])


def _splits(pods: Sequence[Counts]) -> list[tuple[Counts, Counts]]:
    n, k = sum(pod.n for pod in pods), sum(pod.k for pod in pods)
    return [(pod, Counts(n - pod.n, k - pod.k)) for pod in pods]


def _share(pods: Sequence[Counts]) -> float:
    return sum(pod.k for pod in pods) / max(1e-9, sum(pod.n for pod in pods))


def _odds(share: float) -> float:
    held = min(1.0 - _LEAST, max(_LEAST, share))
    return held / (1.0 - held)


def detail(metric: Metric, place: int) -> str:
    """What a test of the metric counts, in words; empty where its name says it."""
    match metric.kind:
        case "histogram":
            return sentences.slower(metric.cuts[place])
        case "native":
            return sentences.slower(boundary(metric.cuts[place], metric.schema))
        case "categorical":
            return sentences.distance(metric.witness.distance())
    return ""
