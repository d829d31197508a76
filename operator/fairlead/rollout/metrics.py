"""From the metrics as people write them to the frozen ones, with every default written out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from fairlead.api import duration
from fairlead.api.metricspec import Margin, Metric, QuerySpec, TemplateRef
from fairlead.api.metrictemplate import MetricTemplateSpec
from fairlead.api.plan import MetricAction, MetricKind, PlanMargin, PlanMetric, PlanQuery, PlanRatio

T = TypeVar("T")


class _BuiltIn(NamedTuple):
    kind: MetricKind
    action: MetricAction
    weight: float
    tolerance: float = 0.05


# Weights: docs/analysis.md; errors are the plainest harm.
BUILT_IN: Mapping[str, _BuiltIn] = {
    "error-rate": _BuiltIn("ratio", "Rollback", 0.5),
    "latency": _BuiltIn("histogram", "Rollback", 0.4),
    "client-error-rate": _BuiltIn("ratio", "Rollback", 0.1),
    "prediction-distribution": _BuiltIn("categorical", "Hold", 0.1),
    "score-distribution": _BuiltIn("categorical", "Hold", 0.1),
    "input-distribution": _BuiltIn("categorical", "Hold", 0.1, 0.02),
    "accuracy": _BuiltIn("ratio", "Veto", 0.1),
}
DEFAULTS = tuple(name for name in BUILT_IN if name != "score-distribution")
"""The metrics where none are written. Scores shift with nearly every training: that is no reason to hold by default."""
OWN = _BuiltIn("ratio", "Rollback", 0.1)
ROLLBACK = PlanMargin(ratio=1.1, absolute=0.0005)
PROMOTION = PlanMargin(ratio=1.5, absolute=0.002)
# Where the buckets are fine enough, latency is judged by how much slower the canary is: 2^(2/8) and 2^(4/8) times.
NATIVE_ROLLBACK = PlanMargin(ratio=1.0, absolute=0.0, slowdown=2**0.25)
NATIVE_PROMOTION = PlanMargin(ratio=1.0, absolute=0.002, slowdown=2**0.5)
QUERY_INTERVAL = 60.0


class PlanError(ValueError):
    """The metrics do not make a plan; the text says which, and what is missing."""


def templates_named(metrics: Iterable[Metric] | None) -> list[str]:
    """The MetricTemplates that the metrics refer to."""
    return list(dict.fromkeys(metric.template_ref.name for metric in metrics or () if metric.template_ref))


def planned_metrics(
    metrics: Iterable[Metric] | None, templates: Mapping[str, MetricTemplateSpec] | None = None
) -> list[PlanMetric]:
    """The frozen metrics; `templates` are the MetricTemplates of the namespace by name.

    Raises:
        PlanError: a MetricTemplate is not there, or what it and its metric say does not make a threshold.
    """
    chosen = [Metric(name=name) for name in DEFAULTS] if metrics is None else list(metrics)
    planned = [_planned(metric, templates or {}) for metric in chosen]
    whole = sum(metric.weight for metric in planned if _shares_alpha(metric))
    return [_weighted(metric, whole) for metric in planned]


def _shares_alpha(metric: PlanMetric) -> bool:
    return metric.action == "Rollback" and metric.kind != "query" and not metric.dry_run


def _planned(metric: Metric, templates: Mapping[str, MetricTemplateSpec]) -> PlanMetric:
    built_in = BUILT_IN.get(metric.name, OWN)
    query = _query(metric, templates)
    rollback, promotion = _margin(metric.rollback_margin, ROLLBACK), _margin(metric.promotion_margin, PROMOTION)
    histogram = built_in.kind == "histogram"
    return PlanMetric(
        name=metric.name,
        kind="query" if query else built_in.kind,
        action=metric.action or built_in.action,
        weight=0.0 if query else (metric.weight or built_in.weight),
        rollback=rollback,
        promotion=promotion,
        native_rollback=_margin(metric.rollback_margin, NATIVE_ROLLBACK) if histogram else None,
        native_promotion=_margin(metric.promotion_margin, NATIVE_PROMOTION) if histogram else None,
        tolerance=built_in.tolerance if metric.tolerance is None else metric.tolerance,
        ratio=PlanRatio(bad=metric.ratio.bad, total=metric.ratio.total) if metric.ratio else None,
        query=query,
        dry_run=bool(metric.dry_run),
    )


def _weighted(metric: PlanMetric, whole: float) -> PlanMetric:
    """Scale the weights of the metrics that roll back to a sum of 1; the others have a test each, outside of it."""
    if metric.kind == "query":
        return metric
    weight = metric.weight / whole if _shares_alpha(metric) else 1.0
    return metric.model_copy(update={"weight": weight})


def _query(metric: Metric, templates: Mapping[str, MetricTemplateSpec]) -> PlanQuery | None:
    """The threshold of a metric: its own fields, before those of its template, before the defaults."""
    reference = metric.template_ref
    if reference is None and metric.query is None:
        return None
    layers: list[QuerySpec] = [metric]
    arguments: dict[str, str] = {}
    if reference is not None:
        template = templates.get(reference.name)
        if template is None:
            message = f"metric {metric.name}: there is no MetricTemplate {reference.name} in the namespace"
            raise PlanError(message)
        layers.append(template)
        arguments = _arguments(f"metric {metric.name}: MetricTemplate {reference.name}", reference, template)

    def first(name: str) -> Any:
        return next((value for layer in layers if (value := getattr(layer, name)) is not None), None)

    bounds, compared = first("threshold_range"), first("compare_to") is not None
    if (bounds is None and not compared) or compared != (
        first("max_increase") is not None or first("max_decrease") is not None
    ):
        message = f"metric {metric.name}: it needs a thresholdRange, or compareTo with maxIncrease or maxDecrease"
        raise PlanError(message)
    return PlanQuery(
        query=first("query"),
        arguments=arguments,
        interval=_seconds(first("interval"), QUERY_INTERVAL),
        initial_delay=_seconds(first("initial_delay"), 0.0),
        minimum=bounds.min if bounds else None,
        maximum=bounds.max if bounds else None,
        compare_to_stable=compared,
        max_increase=first("max_increase"),
        max_decrease=first("max_decrease"),
        failure_limit=_or(first("failure_limit"), 0),
        inconclusive_limit=_or(first("inconclusive_limit"), 3),
        consecutive_error_limit=_or(first("consecutive_error_limit"), 4),
    )


def _arguments(where: str, reference: TemplateRef, template: MetricTemplateSpec) -> dict[str, str]:
    known = [arg.name for arg in template.args]
    if strange := sorted(set(reference.args) - set(known)):
        message = f"{where} has no arg {', '.join(strange)}; it has {', '.join(known) or 'none'}"
        raise PlanError(message)
    defaults = {arg.name: arg.default for arg in template.args if arg.default is not None}
    given = defaults | dict(reference.args)
    if missing := [name for name in known if name not in given]:
        message = f"{where} needs a value for {', '.join(missing)}"
        raise PlanError(message)
    return given


def _margin(margin: Margin | None, default: PlanMargin) -> PlanMargin:
    if margin is None:
        return default
    return PlanMargin(ratio=margin.ratio, absolute=margin.absolute, slowdown=_or(margin.slowdown, 1.0))


def _seconds(text: str | None, default: float) -> float:
    return default if text is None else duration.parse(text)


def _or(value: T | None, default: T) -> T:
    return default if value is None else value
