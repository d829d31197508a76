"""From evidence to one of the four verdicts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fairlead.analysis import engine, evidence, sentences
from fairlead.analysis.engine import LATENCY
from fairlead.analysis.state import Process, State
from fairlead.api.duration import render
from fairlead.api.plan import AnalysisPlan, PlanMetric
from fairlead.api.verdict import Outcome, Reading, Reason, Verdict

CONNECTIONS = 10
"""Nothing is decided before the canary has had this many connections."""
LATELY = 3
"""Ticks without judged canary requests after which there is no data."""
LIMIT = 1e9
"""E-values are reported up to here."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where the rollout stands at the instant `t` (epoch seconds), and the versions as people call them."""

    plan: AnalysisPlan
    t: float
    stage_started: float | None
    canary: str = "the canary"
    stable: str = "stable"

    @property
    def age(self) -> float:
        """Seconds since the stage's share was reached."""
        return 0.0 if self.stage_started is None else self.t - self.stage_started

    @property
    def first_data_due(self) -> float:
        """The stage age at which judged requests must have been seen; the rest is lag and a tick of patience."""
        wait = max(self.plan.warm_up, engine.settle_time(self.plan))
        return wait + (LATELY + 1) * self.plan.interval


def decide(state: State, where: Context) -> Verdict:
    """The verdict on all evidence so far."""
    readings = tuple(read(state, metric) for metric in where.plan.metrics)
    total = min(LIMIT, sum(reading.weight * reading.evidence for reading in readings))
    regressed = total >= 1 / where.plan.alpha and enough_connections(state)
    verdict = _regression(readings, total, where) if regressed else _undecided(state, readings, where)
    canary = max((reading.canary_n for reading in readings), default=0.0)
    stable = max((reading.stable_n for reading in readings), default=0.0)
    return replace(
        verdict,
        evidence=total,
        bar=1 / where.plan.alpha,
        achieved_weight=round(100 * canary / (canary + stable), 1) if canary else None,
        readings=readings,
    )


def read(state: State, metric: PlanMetric) -> Reading:
    """One metric's numbers. Of a latency's edges the one is shown that speaks loudest against the canary."""
    names = [name for name in engine.keys(metric, state) if name in state.processes]
    processes = [state.processes[name] for name in names]
    if not processes:
        return Reading(metric.name, 0, 0, 0, 0, 1.0, 1.0, metric.weight, _kind(metric))
    against = [min(LIMIT, evidence.mixture(p.bad) + 1 - state.spent) for p in processes]
    place = max(range(len(against)), key=against.__getitem__)
    shown = processes[place]
    detail = sentences.slower(state.edges[place]) if metric.name == LATENCY else ""
    return Reading(
        name=metric.name,
        canary_n=shown.canary.n,
        canary_k=shown.canary.k,
        stable_n=shown.stable.n,
        stable_k=shown.stable.k,
        evidence=sum(against) / len(against),
        evidence_ok=min(min(LIMIT, evidence.mixture(p.ok)) for p in processes),
        weight=metric.weight,
        detail=detail,
    )


def enough_connections(state: State) -> bool:
    """Enough connections for a verdict: requests of one connection are not independent."""
    return (state.connections or 0.0) >= CONNECTIONS


def measurable(state: State) -> bool:
    """Canary requests of this stage were judged lately."""
    return state.last_data is not None and state.tick - state.last_data <= LATELY


def _regression(readings: tuple[Reading, ...], total: float, where: Context) -> Verdict:
    culprit = max(readings, key=lambda reading: reading.weight * reading.evidence)
    numbers = f"evidence {sentences.evidence(total)}, the bar is {1 / where.plan.alpha:g}"
    message = f"{sentences.compared(culprit, where.stable)}: {numbers}"
    return Verdict(Outcome.ROLLBACK, Reason.REGRESSION, message, culprit=culprit.name)


def _undecided(state: State, readings: tuple[Reading, ...], where: Context) -> Verdict:
    """No regression is proven: may the stage end, must it wait, or can it not be told?"""
    plan = where.plan
    if plan.max_connection_age <= 0:
        return _unknown_age()
    if not readings:
        return Verdict(Outcome.INCONCLUSIVE, Reason.BAD_QUERY, "there is no metric to judge by", measurable=False)
    if not measurable(state):
        return _without_data(state, where)
    if not enough_connections(state):
        return _few_connections(state, where)
    if all(reading.evidence_ok >= 1 / plan.beta for reading in readings):
        return _proven(readings, where)
    if where.age >= plan.max_step:
        return _out_of_time(state, readings, where)
    waited_for = min(readings, key=lambda reading: reading.evidence_ok)
    return Verdict(Outcome.CONTINUE, Reason.COLLECTING, sentences.not_yet(waited_for, where.stable))


def _proven(readings: tuple[Reading, ...], where: Context) -> Verdict:
    least = min(readings, key=lambda reading: reading.evidence_ok)
    proof = f"{where.canary} is not worse than its margins on every metric; {sentences.compared(least, where.stable)}"
    if where.age < where.plan.min_step:
        rest = render(where.plan.min_step - where.age)
        return Verdict(Outcome.CONTINUE, Reason.COLLECTING, f"{proof}; the step lasts {rest} more")
    return Verdict(Outcome.ADVANCE, Reason.PROVEN, proof)


def _out_of_time(state: State, readings: tuple[Reading, ...], where: Context) -> Verdict:
    plan, age = where.plan, render(where.plan.max_step)
    least = min(readings, key=lambda reading: reading.evidence_ok)
    fewest = min(readings, key=lambda reading: reading.canary_n)
    seen = fewest.canary_n
    if seen == 0:
        message = f"{sentences.subject(fewest)} cannot be judged: no such counts of both revisions in {age}"
    elif plan.policy == "ProvenNonInferior":
        message = f"not proven within {age}: {sentences.compared(least, where.stable)}"
    elif seen < plan.min_samples:
        message = f"only {sentences.count(seen)} of the {sentences.count(plan.min_samples)} requests needed in {age}"
    elif outside := next((m for m in plan.metrics if beyond_margin(state, m)), None):
        reading = next(r for r in readings if r.name == outside.name)
        message = (
            f"no regression is proven, but the estimate is beyond the margin: {_worst(state, outside, reading, where)}"
        )
    else:
        message = f"no evidence of harm in {sentences.count(seen)} requests; {sentences.compared(least, where.stable)}"
        return Verdict(Outcome.ADVANCE, Reason.NO_HARM_SEEN, message)
    return Verdict(Outcome.INCONCLUSIVE, Reason.NOT_PROVEN, message)


def beyond_margin(state: State, metric: PlanMetric) -> list[str]:
    """The metric's processes with an estimate beyond the promotion margin, or with no stable to compare with."""
    names = engine.keys(metric, state)
    return [name for name in names if _outside(state.processes[name], metric)] if names else [metric.name]


def _outside(p: Process, metric: PlanMetric) -> bool:
    if p.stable.n <= 0:
        return True
    allowed = metric.promotion.ratio * p.stable.k / p.stable.n + metric.promotion.absolute
    # One bad request is an accident, whatever share it makes of few requests.
    return p.canary.k > max(1.0, allowed * p.canary.n)


def _worst(state: State, metric: PlanMetric, reading: Reading, where: Context) -> str:
    """The sentence about the edge that is beyond the margin, which need not be the loudest one."""
    name = beyond_margin(state, metric)[0]
    p = state.processes.get(name)
    if p is None:
        return f"{sentences.subject(reading)} could not be compared, stable had too few requests"
    detail = sentences.slower(float(name.partition(">")[2])) if ">" in name else ""
    shown = Reading(metric.name, *p.canary, *p.stable, 1.0, 1.0, metric.weight, detail)
    return sentences.compared(shown, where.stable)


def _few_connections(state: State, where: Context) -> Verdict:
    if state.connections is None:
        message = "the canary's pods export no fairlead_connections_opened_total, so how clients are spread is unknown"
        return Verdict(Outcome.INCONCLUSIVE, Reason.UNKNOWN_CONNECTION_AGE, message)
    message = f"{state.connections:g} connections to {where.canary} so far, {CONNECTIONS} are needed before a verdict"
    late = where.age >= where.plan.max_step
    outcome = Outcome.INCONCLUSIVE if late else Outcome.CONTINUE
    return Verdict(outcome, Reason.NOT_PROVEN if late else Reason.COLLECTING, message)


def _unknown_age() -> Verdict:
    message = (
        "connections to the pods may live for ever, so the share of the traffic cannot be relied on; "
        "give them a maximum age"
    )
    return Verdict(Outcome.INCONCLUSIVE, Reason.UNKNOWN_CONNECTION_AGE, message, measurable=False)


def _without_data(state: State, where: Context) -> Verdict:
    if where.stage_started is None:
        return _collecting("the share of the step is not reached yet; judging begins then")
    if state.last_data is None and where.age < where.first_data_due:
        return _collecting("the share is in force; judging begins when pods have warmed up and connections have moved")
    if not state.canary_seen:
        message = (
            f"Prometheus has no series of {where.canary}: are its pods scraped, with their namespace and pod labels?"
        )
    else:
        message = f"{where.canary} has had no requests that can be judged for {render(LATELY * where.plan.interval)}"
    return no_data(where, message)


def no_data(where: Context, message: str) -> Verdict:
    """What the user asked for when the canary has no data."""
    plan = where.plan
    if plan.on_no_data == "Fail":
        return Verdict(Outcome.ROLLBACK, Reason.NO_DATA, f"{message}; onNoData is Fail", measurable=False)
    if plan.on_no_data == "Pass" and where.age >= plan.min_step:
        return Verdict(Outcome.ADVANCE, Reason.NO_DATA, f"{message}; onNoData is Pass")
    ways = "send it requests, or set analysis.disabled to roll out on readiness alone"
    return Verdict(Outcome.INCONCLUSIVE, Reason.NO_DATA, f"{message}; {ways}", measurable=False)


def provider_error(so_far: Verdict, message: str, plan: AnalysisPlan, *, lasted: bool) -> Verdict:
    """The verdict while the metrics cannot be asked for; `lasted`: patience is over."""
    outcome = Outcome.CONTINUE
    if lasted:
        outcome = Outcome.ROLLBACK if plan.on_provider_error == "Fail" else Outcome.INCONCLUSIVE
        message += "; onProviderError is Fail" if plan.on_provider_error == "Fail" else "; the rollout waits"
    return replace(
        so_far, outcome=outcome, reason=Reason.PROVIDER_ERROR, message=message, measurable=False, culprit=None
    )


def bad_query(so_far: Verdict, message: str) -> Verdict:
    """The verdict when the question is refused or its answer contradicts itself: a person has to mend it."""
    return replace(
        so_far,
        outcome=Outcome.INCONCLUSIVE,
        reason=Reason.BAD_QUERY,
        message=message,
        measurable=False,
        culprit=None,
    )


def _collecting(message: str) -> Verdict:
    return Verdict(Outcome.CONTINUE, Reason.COLLECTING, message, measurable=False)


def _kind(metric: PlanMetric) -> str:
    return "latency (no edges chosen yet)" if metric.name == LATENCY else ""
