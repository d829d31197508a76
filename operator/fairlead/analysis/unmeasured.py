"""Verdicts where the canary cannot be measured: too early, too little, or nobody to ask."""

from __future__ import annotations

from dataclasses import replace

from fairlead.analysis.finding import CONNECTIONS, LATELY, Context, Finding
from fairlead.analysis.state import State
from fairlead.api.duration import render
from fairlead.api.plan import AnalysisPlan
from fairlead.api.verdict import Outcome, Reason, Verdict


def without_data(state: State, where: Context) -> Finding:
    """The verdict while no canary request was judged lately."""
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


def no_data(where: Context, message: str) -> Finding:
    """What the user asked for when the canary has no data."""
    plan, acted = where.plan, ("no-data",)
    if plan.on_no_data == "Fail":
        say = lambda: f"{message}; onNoData is Fail"  # noqa: E731
        return Finding(Outcome.ROLLBACK, Reason.NO_DATA, say, measurable=False, acted=acted)
    if plan.on_no_data == "Pass" and where.age >= plan.min_step:
        return Finding(Outcome.ADVANCE, Reason.NO_DATA, lambda: f"{message}; onNoData is Pass", acted=acted)
    ways = "send it requests, or set analysis.disabled to roll out on readiness alone"
    return Finding(Outcome.INCONCLUSIVE, Reason.NO_DATA, lambda: f"{message}; {ways}", measurable=False, acted=acted)


def few_connections(state: State, where: Context) -> Finding:
    """The verdict before the canary has had enough connections."""
    if state.connections is None:
        return Finding(
            Outcome.INCONCLUSIVE,
            Reason.UNKNOWN_CONNECTION_AGE,
            lambda: (
                "the canary's pods export no fairlead_connections_opened_total, so how clients are spread is unknown"
            ),
        )
    seen = state.connections
    late = where.age >= where.plan.max_step
    outcome = Outcome.INCONCLUSIVE if late else Outcome.CONTINUE
    say = lambda: f"{seen:g} connections to {where.canary} so far, {CONNECTIONS} are needed before a verdict"  # noqa: E731
    return Finding(outcome, Reason.NOT_PROVEN if late else Reason.COLLECTING, say, acted=("connections",))


def unknown_age() -> str:
    """Why nothing can be compared where connections have no maximum age."""
    return (
        "connections to the pods may live for ever, so the share of the traffic cannot be relied on; "
        "give them a maximum age"
    )


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


def _collecting(message: str) -> Finding:
    return Finding(Outcome.CONTINUE, Reason.COLLECTING, lambda: message, measurable=False)
