"""From evidence to one of the four verdicts."""

from __future__ import annotations

from collections.abc import Callable

from fairlead.analysis import readings, sentences, unmeasured
from fairlead.analysis.dispersion import ENOUGH_PODS
from fairlead.analysis.evidence import LIMIT
from fairlead.analysis.finding import LATELY, Assessment, Context, Finding, enough_connections, measurable
from fairlead.analysis.state import State
from fairlead.api.duration import render
from fairlead.api.plan import PlanMetric
from fairlead.api.verdict import Outcome, Reading, Reason, Verdict

INPUTS = "input-distribution"


def decide(state: State, where: Context) -> Verdict:
    """The verdict on all evidence so far, in words."""
    finding, found, total = assess(state, where)
    canary = max((reading.canary_n for reading in found), default=0.0)
    stable = max((reading.stable_n for reading in found), default=0.0)
    return Verdict(
        outcome=finding.outcome,
        reason=finding.reason,
        message=finding.say(),
        measurable=finding.measurable,
        culprit=finding.culprit,
        evidence=total,
        bar=1 / where.plan.alpha,
        achieved_weight=round(100 * canary / (canary + stable), 1) if canary else None,
        # A guard that has nothing to look at (no feedback, no classes) is not worth a line.
        readings=tuple(reading for reading in found if reading.action == "Rollback" or reading.stable_n > 0),
        acted=(*state.acted, *finding.acted),
    )


def assess(state: State, where: Context, *, intervals: bool = True) -> Assessment:
    """The verdict on all evidence so far, in numbers."""
    alpha = where.plan.alpha
    found = tuple([readings.read(state, metric, alpha, intervals=intervals) for metric in where.judged])
    total = 0.0
    for place in where.required:
        reading = found[place]
        total += reading.weight * reading.evidence
    total = min(LIMIT, total)
    return Assessment(_finding(state, where, found, total), found, total)


def _finding(state: State, where: Context, found: tuple[Reading, ...], total: float) -> Finding:
    plan = where.plan
    if biased := _biased(state, where, found):
        return biased
    if total >= 1 / plan.alpha and enough_connections(state, plan):
        return _regression(state, where, found, total)
    return _undecided(state, where, found)


def _biased(state: State, where: Context, found: tuple[Reading, ...]) -> Finding | None:
    """Whether routing is not what the comparison takes it for: then nothing that is seen can be laid to the model."""
    plan = where.plan
    if plan.routing == "connection" and plan.max_connection_age <= 0:
        return Finding(Outcome.INCONCLUSIVE, Reason.UNKNOWN_CONNECTION_AGE, unmeasured.unknown_age, measurable=False)
    split = state.split
    if split.total > 0 and split.evidence(1 - state.spent) >= 1 / plan.alpha:
        return Finding(
            Outcome.INCONCLUSIVE, Reason.SPLIT, lambda: sentences.split(state.split, where.canary, plan.routing),
            acted=("split",),
        )  # fmt: skip
    for place in where.guards:
        metric, reading = where.judged[place], found[place]
        if metric.name == INPUTS and metric.action == "Hold" and reading.evidence >= 1 / plan.alpha:
            say = _apart(reading, where, metric.tolerance, "the arms do not get the same requests")
            return Finding(Outcome.INCONCLUSIVE, Reason.INPUTS_DIFFER, say, culprit=metric.name, acted=("inputs",))
    return None


def _fired(where: Context, found: tuple[Reading, ...], action: str) -> tuple[PlanMetric, Reading] | None:
    """The first metric whose proof against the canary holds it, or bars its promotion."""
    for place in where.guards:
        metric, reading = where.judged[place], found[place]
        if metric.action == action and reading.evidence >= 1 / where.plan.alpha:
            return metric, reading
    return None


def _regression(state: State, where: Context, found: tuple[Reading, ...], total: float) -> Finding:
    place = max(where.required, key=lambda place: found[place].weight * found[place].evidence)
    metric, culprit = where.judged[place], found[place]
    if readings.placebo(state, where.plan, metric):
        return Finding(
            Outcome.INCONCLUSIVE,
            Reason.PLACEBO,
            lambda: (
                f"{sentences.compared(culprit, where.stable)}, but the pods of {where.stable} differ as much from "
                "each other: find out what makes them unlike"
            ),
            culprit=metric.name,
            acted=("placebo",),
        )

    def say() -> str:
        numbers = f"evidence {sentences.evidence(total)}, the bar is {1 / where.plan.alpha:g}"
        return f"{sentences.compared(culprit, where.stable)}: {numbers}"

    return Finding(Outcome.ROLLBACK, Reason.REGRESSION, say, culprit=culprit.name)


def _undecided(state: State, where: Context, found: tuple[Reading, ...]) -> Finding:
    """No regression is proven: may the stage end, must it wait, or can it not be told?"""
    plan = where.plan
    if not where.required:
        return Finding(
            Outcome.INCONCLUSIVE, Reason.BAD_QUERY, lambda: "there is no metric to judge by", measurable=False
        )
    if not measurable(state):
        return unmeasured.without_data(state, where)
    if not enough_connections(state, plan):
        return unmeasured.few_connections(state, where)
    if where.guards:
        if held := _fired(where, found, "Hold"):
            say = _held(*held, where)
            return Finding(Outcome.INCONCLUSIVE, Reason.PREDICTIONS_DIFFER, say, culprit=held[0].name)
        if barred := _fired(where, found, "Veto"):
            say = _worse(barred[1], where, "which bars the promotion")
            return Finding(Outcome.INCONCLUSIVE, Reason.VETO, say, culprit=barred[0].name, acted=("veto",))
    return _within_noise(state, where, found) or _vanished(state, where, found) or _passage(state, where, found)


def _vanished(state: State, where: Context, found: tuple[Reading, ...]) -> Finding | None:
    """A metric that was there in this stage and is no more: its old counts say nothing of what happens now."""
    for place in where.required:
        metric = state.metrics.get(where.judged[place].name)
        seen = metric.last_data if metric is not None else None
        if seen is not None and state.tick - seen > LATELY:
            lately = render((state.tick - seen) * where.plan.interval)
            return unmeasured.no_data(where, f"{sentences.subject(found[place])} have not been counted for {lately}")
    return None


def _passage(state: State, where: Context, found: tuple[Reading, ...]) -> Finding:
    plan = where.plan
    least = min([found[place] for place in where.required], key=_evidence_ok)
    if least.evidence_ok >= 1 / plan.beta:
        return _proven(least, where)
    if where.age >= plan.max_step:
        return _out_of_time(state, where, found)
    return Finding(Outcome.CONTINUE, Reason.COLLECTING, lambda: sentences.not_yet(least, where.stable))


def _evidence_ok(reading: Reading) -> float:
    return reading.evidence_ok


def _within_noise(state: State, where: Context, found: tuple[Reading, ...]) -> Finding | None:
    """With few stable pods their spread is hardly known: what lies within it is nobody's fault and nobody's proof."""
    if not 0 < state.stable_pods < ENOUGH_PODS:
        return None
    for place in where.required:
        if readings.within_noise(state, where.plan, where.judged[place]):
            so = (
                f"which {state.stable_pods} pods as unlike each other as those of {where.stable} may show by chance; "
                f"{ENOUGH_PODS} of them would tell"
            )
            say = _worse(found[place], where, so)
            return Finding(Outcome.INCONCLUSIVE, Reason.POD_NOISE, say, culprit=found[place].name)
    return None


def _worse(reading: Reading, where: Context, so: str) -> Callable[[], str]:
    return lambda: f"{sentences.compared(reading, where.stable)}, {so}"


def _proven(least: Reading, where: Context) -> Finding:
    def proof() -> str:
        compared = sentences.compared(least, where.stable)
        return f"{where.canary} is not worse than its margins on every metric; {compared}"

    rest = where.plan.min_step - where.age
    if rest > 0:
        say = lambda: f"{proof()}; the step lasts {render(rest)} more"  # noqa: E731
        return Finding(Outcome.CONTINUE, Reason.COLLECTING, say, acted=("min-step",))
    return Finding(Outcome.ADVANCE, Reason.PROVEN, proof)


def _out_of_time(state: State, where: Context, found: tuple[Reading, ...]) -> Finding:
    """The stage has lasted `maxStep`: the policy decides."""
    plan, age = where.plan, render(where.plan.max_step)
    required = [found[place] for place in where.required]
    fewest = min(required, key=lambda reading: reading.canary_n)
    compared = sentences.compared(min(required, key=_evidence_ok), where.stable)
    seen = fewest.canary_n
    outside = next((metric for metric in _required(where) if _beyond(state, metric) is not None), None)
    if seen == 0:
        message = f"{sentences.subject(fewest)} cannot be judged: no such counts of both revisions in {age}"
    elif plan.policy == "ProvenNonInferior":
        message = f"not proven within {age}: {compared}"
    elif seen < plan.min_samples:
        message = f"only {sentences.count(seen)} of the {sentences.count(plan.min_samples)} requests needed in {age}"
    elif outside:
        message = f"no regression is proven, but the estimate is beyond the margin: {_worst(state, outside, where)}"
    else:
        message = f"no evidence of harm in {sentences.count(seen)} requests; {compared}"
        return Finding(Outcome.ADVANCE, Reason.NO_HARM_SEEN, lambda: message, acted=("max-step",))
    return Finding(Outcome.INCONCLUSIVE, Reason.NOT_PROVEN, lambda: message, acted=("max-step",))


def _required(where: Context) -> list[PlanMetric]:
    return [where.judged[place] for place in where.required]


def _beyond(state: State, known: PlanMetric) -> int | None:
    return readings.beyond(state.metrics.get(known.name), known, promotion=True)


def _worst(state: State, known: PlanMetric, where: Context) -> str:
    """The sentence about the edge that is beyond the margin, which need not be the loudest one."""
    metric = state.metrics.get(known.name)
    place = _beyond(state, known)
    if metric is None or place is None or not metric.processes:
        return f"{known.name} could not be compared, stable had too few requests"
    return sentences.compared(readings.reading_at(metric, known, place), where.stable)


def _held(metric: PlanMetric, reading: Reading, where: Context) -> Callable[[], str]:
    so = "a person has to say whether that is meant"
    if metric.kind == "categorical":
        return _apart(reading, where, metric.tolerance, so)
    return _worse(reading, where, so)


def _apart(reading: Reading, where: Context, tolerance: float, so: str) -> Callable[[], str]:
    return lambda: f"{sentences.apart(reading, where.stable, tolerance)}; {so}"
