"""The plan in words: what the rollout went by, frozen when it began."""

from __future__ import annotations

from fairlead.api.plan import Plan, PlanMargin, PlanMetric
from fairlead.report import words
from fairlead.report.story import Rollout

_THEN = {"Rollback": "rolls back", "Hold": "holds", "Veto": "vetoes promotion"}


def settings(plan: Plan) -> list[tuple[str, str]]:
    """Names and values of what is not about single metrics."""
    how = plan.analysis
    if not how.enabled:
        return [("analysis", "disabled: readiness alone decides"), ("maxOvershoot", f"{plan.max_overshoot} points")]
    found = [
        ("α", f"{words.figures(how.alpha)}: chance that a good version is rolled back, at most"),
        ("β", f"{words.figures(how.beta)}: chance per step that a bad one is called proven, at most"),
        ("policy", f"{how.policy} after maxStep, with at least {words.count(how.min_samples)} requests"),
        ("interval", words.span(how.interval)),
        ("warmUp", words.span(how.warm_up)),
        ("minStep, maxStep", f"{words.span(how.min_step)}, {words.span(how.max_step)}"),
        ("onNoData, onProviderError", f"{how.on_no_data}, {how.on_provider_error}"),
        ("connections' maximum age", words.span(how.max_connection_age)),
        ("maxOvershoot", f"{plan.max_overshoot} points"),
        ("progress deadline", words.span(plan.progress_deadline)),
    ]
    if plan.hold_timeout is not None:
        found.append(("holdTimeout", words.span(plan.hold_timeout)))
    return found


def margins(plan: Plan) -> list[dict[str, str]]:
    """Each metric's share of alpha, its margins, and what proof against the canary leads to."""
    return [
        {
            "name": metric.name,
            "weight": words.figures(metric.weight),
            "action": "nothing (dry run)" if metric.dry_run else _THEN.get(metric.action, metric.action),
            "worse": _worse(metric),
            "proven": "–" if metric.query or metric.kind == "categorical" else _allowed(metric.promotion),
        }
        for metric in (plan.analysis.metrics if plan.analysis.enabled else ())
    ]


def _worse(metric: PlanMetric) -> str:
    if metric.query is not None:
        ends = (("min", metric.query.minimum), ("max", metric.query.maximum))
        limits = [f"{name} {value:g}" for name, value in ends if value is not None]
        return f"its own threshold ({', '.join(limits) or 'compared with stable'})"
    if metric.kind == "categorical":
        return f"total variation above {words.figures(metric.tolerance)}"
    return _allowed(metric.rollback)


def _allowed(margin: PlanMargin) -> str:
    """The line `canary ≤ 1.1 × stable + 0.05 %`."""
    slower = f", at {words.figures(margin.slowdown)} times the latency" if margin.slowdown != 1 else ""
    absolute = f"{words.figures(100 * margin.absolute)}{words.SPACE}%"
    return f"canary ≤ {words.figures(margin.ratio)} × stable + {absolute}{slower}"


def queries(rollout: Rollout) -> list[tuple[str, str]]:
    """What was asked of Prometheus; templates of the plan where the record does not say."""
    found = dict(rollout.status.queries)
    for metric in rollout.plan.analysis.metrics:
        if metric.query is not None:
            found.setdefault(metric.name, metric.query.query)
        if metric.ratio is not None:
            found.setdefault(metric.name, f"bad: {metric.ratio.bad}\ntotal: {metric.ratio.total}")
    return list(found.items())
