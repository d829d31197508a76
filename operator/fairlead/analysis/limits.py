"""What users' thresholds make of a verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from fairlead.analysis import thresholds
from fairlead.analysis.thresholds import Kind, Tally
from fairlead.api.plan import AnalysisPlan, PlanMetric, PlanQuery
from fairlead.api.verdict import Outcome, Reading, Reason, Verdict


@dataclass(frozen=True, slots=True)
class Clock:
    """Epoch seconds: the rollout's start, the stage's (None: its share is not reached yet) and the verdict's."""

    started_at: float
    stage_started_at: float | None
    t: float


Listed = tuple[PlanMetric, PlanQuery, Tally]


def consider(
    verdict: Verdict,
    plan: AnalysisPlan,
    stored: Mapping[str, list[float]],
    clock: Clock,
    said: Mapping[str, str] | None = None,
) -> Verdict:
    """The verdict on the evidence with users' thresholds taken in; `said` has the newest sentence about each.

    Beyond its limits a threshold rolls back or holds, whatever the evidence says, short of a proven regression.
    Nothing advances before each has answered with a number in the stage.
    """
    listed = list(_listed(plan, stored))
    if not listed:
        return verdict
    said = said or {}
    if all(metric.query for metric in plan.metrics):
        verdict = _without_evidence(verdict, plan, clock)
    verdict = replace(verdict, readings=(*_others(verdict, listed), *(_reading(*item, said) for item in listed)))
    if verdict.outcome is Outcome.ROLLBACK:
        return verdict
    binding = [item for item in listed if not item[0].dry_run]
    return _failed(verdict, plan, binding, said) or _held(verdict, binding, said) or _waiting(verdict, binding, clock)


def _listed(plan: AnalysisPlan, stored: Mapping[str, list[float]]) -> Iterator[Listed]:
    for metric in plan.metrics:
        if metric.query is not None:
            yield metric, metric.query, thresholds.tally(stored.get(metric.name))


def _failed(verdict: Verdict, plan: AnalysisPlan, listed: list[Listed], said: Mapping[str, str]) -> Verdict | None:
    for metric, query, known in listed:
        if thresholds.too_many_failed(query, known):
            sentence = said.get(metric.name) or thresholds.again(metric, query, known)
            counts = f"{known.failed:.0f} of {known.numbers:.0f} answers failed, {query.failure_limit} tolerated"
            text = f"{sentence}: {counts}"
            return _because(verdict, Outcome.ROLLBACK, Reason.THRESHOLD, text, metric.name)
        if known.errors > query.consecutive_error_limit and plan.on_provider_error == "Fail":
            text = f"{_why(metric, query, known, said)}; onProviderError is Fail"
            return _because(verdict, Outcome.ROLLBACK, Reason.PROVIDER_ERROR, text, metric.name)
    return None


def _held(verdict: Verdict, listed: list[Listed], said: Mapping[str, str]) -> Verdict | None:
    if verdict.outcome is Outcome.INCONCLUSIVE:
        return None
    for metric, query, known in listed:
        if thresholds.cannot_be_told(query, known):
            reasons = {Kind.REFUSED: Reason.BAD_QUERY, Kind.UNREACHABLE: Reason.PROVIDER_ERROR}
            reason = reasons.get(Kind(int(known.kind)), Reason.NO_DATA)
            text = f"{_why(metric, query, known, said)}; the rollout waits"
            return replace(_because(verdict, Outcome.INCONCLUSIVE, reason, text), measurable=False)
    return None


def _waiting(verdict: Verdict, listed: list[Listed], clock: Clock) -> Verdict:
    """Going on without any answer would be blind."""
    if verdict.outcome is not Outcome.ADVANCE:
        return verdict
    silent = [metric.name for metric, query, known in listed if not _answered(query, known, clock)]
    if not silent:
        return verdict
    text = f"{verdict.message}; waiting for a first answer of {', '.join(silent)} in this step"
    return _because(verdict, Outcome.CONTINUE, Reason.COLLECTING, text)


def _answered(query: PlanQuery, known: Tally, clock: Clock) -> bool:
    if clock.stage_started_at is None:
        return False
    return known.answered >= thresholds.first_due(query, clock.started_at, clock.stage_started_at)


def _without_evidence(verdict: Verdict, plan: AnalysisPlan, clock: Clock) -> Verdict:
    """Where thresholds are all there is, the shortest time of a step decides when they have held."""
    verdict = replace(verdict, measurable=True)
    if clock.stage_started_at is None or clock.t - clock.stage_started_at < plan.min_step:
        text = "there is no metric judged on evidence: no threshold has failed so far"
        return _because(verdict, Outcome.CONTINUE, Reason.COLLECTING, text)
    text = "no threshold failed; there is no metric judged on evidence"
    return _because(verdict, Outcome.ADVANCE, Reason.NO_HARM_SEEN, text)


def _because(verdict: Verdict, outcome: Outcome, reason: str, message: str, culprit: str | None = None) -> Verdict:
    return replace(verdict, outcome=outcome, reason=reason, message=message, culprit=culprit)


def _why(metric: PlanMetric, query: PlanQuery, known: Tally, said: Mapping[str, str]) -> str:
    told = said.get(metric.name) or f"{metric.name} cannot be told"
    return f"{told} ({thresholds.cannot_be_told(query, known)})"


def _others(verdict: Verdict, listed: list[Listed]) -> list[Reading]:
    ours = {metric.name for metric, _, _ in listed}
    return [reading for reading in verdict.readings if reading.name not in ours]


def _reading(metric: PlanMetric, query: PlanQuery, known: Tally, said: Mapping[str, str]) -> Reading:
    """The answers, and how many of them failed, in the place of requests and bad ones."""
    compared = query.compare_to_stable and known.stable != 0
    return Reading(
        name=metric.name,
        canary_n=known.numbers,
        canary_k=known.failed,
        stable_n=0,
        stable_k=0,
        evidence=1.0,
        evidence_ok=1.0,
        weight=0.0,
        detail=said.get(metric.name) or thresholds.again(metric, query, known),
        kind="query",
        action="Rollback",
        ratio=known.canary / known.stable if compared else None,
        acted=("dry-run",) if metric.dry_run else (),
    )
