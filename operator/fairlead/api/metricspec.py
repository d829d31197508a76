"""`spec.rollout.analysis.metrics` of a ModelDeployment: what the canary is judged on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from fairlead.api.base import Duration, Schema, WholeDuration, rule

BUILT_IN = (
    "error-rate",
    "client-error-rate",
    "latency",
    "prediction-distribution",
    "score-distribution",
    "input-distribution",
    "accuracy",
)
_LIST = ", ".join(f"'{name}'" for name in BUILT_IN)

Query = Annotated[str, Field(min_length=1, max_length=4096)]
Limit = Annotated[int, Field(ge=0, le=1000)]


class Margin(Schema):
    """How much worse than stable is still alike: canary ≤ ratio × stable + absolute."""

    ratio: Annotated[float, Field(ge=1, le=100, description="Factor on stable's share.")]
    absolute: Annotated[float, Field(ge=0, le=1, description="Added to it, as a share between 0 and 1.")]
    slowdown: Annotated[
        float | None,
        Field(
            ge=1,
            le=100,
            description="Factor on stable's latency, for native histograms only: what is compared are requests slower "
            "than this times as long. 1 when left out.",
        ),
    ] = None


class Ratio(Schema):
    """Two counters of the user's own: what went wrong, of all there was."""

    bad: Annotated[
        Query,
        Field(
            description="Selects the counter of what went wrong, as a Jinja2 template of PromQL; one series for each "
            "pod, with the labels pod and revision."
        ),
    ]
    total: Annotated[Query, Field(description="Selects the counter of all there was, likewise.")]


class Range(Schema):
    """Between which values the answer passes; both ends are allowed, one may be left out."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                rule("has(self.min) || has(self.max)", "write min, max or both"),
                rule(
                    "!has(self.min) || !has(self.max) || self.min <= self.max",
                    "min must not be greater than max",
                    ".min",
                ),
            ]
        }
    )

    min: Annotated[float | None, Field(description="Below it the answer fails.")] = None
    max: Annotated[float | None, Field(description="Above it the answer fails.")] = None


class QuerySpec(Schema):
    """A user's own threshold on the answer of one query, wherever it is written: in a metric or a MetricTemplate."""

    query: Annotated[
        Query | None,
        Field(
            description="PromQL whose answer is one number, as a Jinja2 template. Variables: namespace, name, model, "
            "revision, canary, stable, version, stableVersion, interval, args."
        ),
    ] = None
    threshold_range: Annotated[Range | None, Field(description="Where the answer passes.")] = None
    compare_to: Annotated[
        Literal["stable"] | None,
        Field(description="Ask the query for both revisions (variable revision) and compare the answers."),
    ] = None
    max_increase: Annotated[
        float | None,
        Field(ge=0, le=1000, description="With compareTo: canary may be this share above stable, as 0.1 for 10 %."),
    ] = None
    max_decrease: Annotated[
        float | None,
        Field(ge=0, le=1, description="With compareTo: canary may be this share below stable, as 0.1 for 10 %."),
    ] = None
    failure_limit: Annotated[
        Limit | None, Field(description="Failed answers of the whole rollout that are tolerated; 0 when left out.")
    ] = None
    inconclusive_limit: Annotated[
        Limit | None, Field(description="Answers without a number in a row that are tolerated; 3 when left out.")
    ] = None
    consecutive_error_limit: Annotated[
        Limit | None, Field(description="Errors in a row that are tolerated; 4 when left out.")
    ] = None
    initial_delay: Annotated[
        Duration | None, Field(description="Time from a step's share being reached until the first question.")
    ] = None
    interval: Annotated[WholeDuration | None, Field(description="Time between two questions; 60s when left out.")] = (
        None
    )


class TemplateRef(Schema):
    """A MetricTemplate in the same namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253, description="Its name.")]
    args: Annotated[
        dict[str, Annotated[str, Field(max_length=1024)]],
        Field(max_length=32, description="Values for the template's args."),
    ] = {}


_IS_BUILT_IN = f"self.name in [{_LIST}]"
_OWN_FIELDS = "has(self.query) || has(self.ratio) || has(self.templateRef)"
_THRESHOLD_FIELDS = (
    "has(self.thresholdRange) || has(self.compareTo) || has(self.maxIncrease) || has(self.maxDecrease) || "
    "has(self.failureLimit) || has(self.inconclusiveLimit) || has(self.consecutiveErrorLimit) || "
    "has(self.initialDelay) || has(self.interval)"
)
_EVIDENCE_FIELDS = (
    "has(self.rollbackMargin) || has(self.promotionMargin) || has(self.weight) || has(self.tolerance) || "
    "has(self.action)"
)
_DISTRIBUTIONS = ", ".join(f"'{name}'" for name in BUILT_IN if name.endswith("-distribution"))
_IS_LATENCY = "self.name == 'latency'"

_TOGETHER = "has(self.compareTo) == (has(self.maxIncrease) || has(self.maxDecrease))"
_TOGETHER_SAID = "compareTo and maxIncrease or maxDecrease belong together"
COMPARED_TOGETHER = rule(_TOGETHER, _TOGETHER_SAID)
"""Of any threshold: what is compared, and by how much it may differ."""


class Metric(QuerySpec):
    """One metric: built in by its name, or the user's own ratio, query or MetricTemplate."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                rule(
                    f"!({_IS_BUILT_IN}) || !({_OWN_FIELDS})",
                    "the metric is built in: leave out query, ratio and templateRef, or give it another name",
                ),
                rule(
                    f"{_IS_BUILT_IN} || [has(self.query), has(self.ratio), has(self.templateRef)]"
                    ".filter(x, x).size() == 1",
                    "not a built-in metric ("
                    + ", ".join(BUILT_IN)
                    + "), so it needs exactly one of query, ratio or templateRef",
                ),
                rule(
                    f"!({_THRESHOLD_FIELDS}) || has(self.query) || has(self.templateRef)",
                    "thresholds and limits belong to a metric with a query or a templateRef",
                ),
                rule(
                    "!has(self.query) || has(self.thresholdRange) || has(self.compareTo)",
                    "a query needs a thresholdRange, or compareTo: stable",
                ),
                rule(f"!has(self.query) || ({_TOGETHER})", _TOGETHER_SAID),
                rule(
                    f"!({_EVIDENCE_FIELDS}) || !(has(self.query) || has(self.templateRef))",
                    "margins, weight, tolerance and action belong to metrics judged on evidence; a query has a "
                    "thresholdRange or compareTo, and rolls back beyond its failureLimit",
                ),
                rule(
                    f"!has(self.tolerance) || self.name in [{_DISTRIBUTIONS}]",
                    "a tolerance belongs to a distribution; other metrics have a rollbackMargin",
                    ".tolerance",
                ),
                rule(
                    f"!(has(self.rollbackMargin) || has(self.promotionMargin)) || !(self.name in [{_DISTRIBUTIONS}])",
                    "a distribution has a tolerance and no margins",
                ),
                rule(
                    f"{_IS_LATENCY} || ((!has(self.rollbackMargin) || !has(self.rollbackMargin.slowdown)) && "
                    "(!has(self.promotionMargin) || !has(self.promotionMargin.slowdown)))",
                    "a slowdown belongs to the margins of latency",
                ),
            ]
        }
    )

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            description="Built in: " + ", ".join(BUILT_IN) + ". Any other name is the user's own.",
        ),
    ]
    rollback_margin: Annotated[
        Margin | None,
        Field(description="Worse than this is a regression; ratio 1.1 and absolute 0.0005 when left out."),
    ] = None
    promotion_margin: Annotated[
        Margin | None,
        Field(description="Better than this is proven; ratio 1.5 and absolute 0.002 when left out."),
    ] = None
    weight: Annotated[
        float | None,
        Field(
            gt=0,
            le=1,
            description="Share of alpha given to the metric; errors 0.5, latency 0.4, client errors 0.1 and 0.1 for "
            "any other when left out. The weights of the metrics that roll back are scaled to a sum of 1.",
        ),
    ] = None
    tolerance: Annotated[
        float | None,
        Field(
            ge=0,
            le=0.9,
            description="For distributions: total variation between the arms that is still alike; 0.05 for "
            "predictions and scores, 0.02 for inputs when left out.",
        ),
    ] = None
    action: Annotated[
        Literal["Rollback", "Hold", "Veto"] | None,
        Field(
            description="What proof against the canary does: Rollback (errors, latency, client errors), Hold (the "
            "distributions) or Veto on promotion (accuracy) when left out."
        ),
    ] = None
    ratio: Annotated[
        Ratio | None, Field(description="The user's own counters, judged by the same evidence as the errors.")
    ] = None
    template_ref: Annotated[TemplateRef | None, Field(description="A query shared by ModelDeployments.")] = None
    dry_run: Annotated[bool | None, Field(description="Measured and recorded, without consequences.")] = None
