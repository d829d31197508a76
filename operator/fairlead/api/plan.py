"""What a rollout goes by, frozen when it starts: no default and no later edit changes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fairlead.api.base import Schema


class PlanMargin(Schema):
    """canary ≤ ratio × stable + absolute, on shares between 0 and 1."""

    ratio: Annotated[float, Field(description="Factor on stable's share.")]
    absolute: Annotated[float, Field(description="Added to it, as a share between 0 and 1.")]
    slowdown: Annotated[
        float, Field(description="Factor on stable's latency; only native histograms can be judged by it.")
    ] = 1.0


class PlanRatio(Schema):
    """A user's own ratio: PromQL templates that select raw counters, one series a pod and revision."""

    bad: Annotated[str, Field(description="Selects the counter of what went wrong.")]
    total: Annotated[str, Field(description="Selects the counter of all there was.")]


class PlanQuery(Schema):
    """A user's own threshold: a query with one number as its answer. Times are in seconds."""

    query: Annotated[str, Field(description="PromQL as a Jinja2 template.")]
    arguments: Annotated[dict[str, str], Field(description="The template's args.")] = {}
    interval: Annotated[float, Field(description="Time between two questions.")] = 60.0
    initial_delay: Annotated[float, Field(description="Time from the stage's start until the first one.")] = 0.0
    minimum: Annotated[float | None, Field(description="Below it the answer fails.")] = None
    maximum: Annotated[float | None, Field(description="Above it the answer fails.")] = None
    compare_to_stable: Annotated[bool, Field(description="The query is asked for both revisions and compared.")] = False
    max_increase: Annotated[float | None, Field(description="Greatest canary/stable − 1 that passes.")] = None
    max_decrease: Annotated[float | None, Field(description="Greatest 1 − canary/stable that passes.")] = None
    failure_limit: Annotated[int, Field(description="Failed answers that are tolerated.")] = 0
    inconclusive_limit: Annotated[int, Field(description="Answers without a number that are tolerated.")] = 3
    consecutive_error_limit: Annotated[int, Field(description="Errors in a row that are tolerated.")] = 4


MetricKind = Literal["ratio", "histogram", "categorical", "query"]
MetricAction = Literal["Rollback", "Hold", "Veto"]


class PlanMetric(Schema):
    """One judged metric with its margins and its share of alpha (the weights of those that roll back sum to 1)."""

    name: Annotated[str, Field(description="The metric.")]
    kind: Annotated[
        MetricKind, Field(description="ratio, histogram, categorical, or query for a user's threshold.")
    ] = "ratio"
    action: Annotated[
        MetricAction, Field(description="What proof against the canary does: Rollback, Hold, or Veto on promotion.")
    ] = "Rollback"
    weight: Annotated[float, Field(description="Its share of alpha.")]
    rollback: Annotated[PlanMargin, Field(description="Worse than this is a regression.")]
    promotion: Annotated[PlanMargin, Field(description="Better than this is proven.")]
    native_rollback: Annotated[
        PlanMargin | None, Field(description="The margin of regression where buckets are native.")
    ] = None
    native_promotion: Annotated[
        PlanMargin | None, Field(description="The margin of proof where buckets are native.")
    ] = None
    tolerance: Annotated[
        float, Field(description="Total variation between the arms that is still alike, for categorical metrics.")
    ] = 0.05
    ratio: Annotated[PlanRatio | None, Field(description="A user's own ratio.")] = None
    query: Annotated[PlanQuery | None, Field(description="A user's own threshold.")] = None
    dry_run: Annotated[bool, Field(description="Measured and recorded, without consequences.")] = False

    @model_validator(mode="before")
    @classmethod
    def _of_older_records(cls, data: Any) -> Any:
        """Records of rollouts that began before `kind` was written down."""
        if isinstance(data, dict) and "kind" not in data and data.get("name") == "latency":
            return {**data, "kind": "histogram"}
        return data


class AnalysisPlan(Schema):
    """How the canary is judged. Times are in seconds."""

    enabled: Annotated[bool, Field(description="False: readiness alone decides.")] = True
    interval: Annotated[float, Field(description="Time between two looks.")] = 15.0
    warm_up: Annotated[float, Field(description="Time from a pod's first Ready that is not judged.")] = 60.0
    min_step: Annotated[float, Field(description="Shortest time before the evidence may advance.")] = 60.0
    max_step: Annotated[float, Field(description="Time after which the policy decides.")] = 600.0
    min_samples: Annotated[int, Field(description="Canary requests that NoEvidenceOfHarm needs.")] = 200
    policy: Annotated[Literal["NoEvidenceOfHarm", "ProvenNonInferior"], Field(description="What maxStep asks for.")] = (
        "NoEvidenceOfHarm"
    )
    alpha: Annotated[float, Field(description="Chance that a good model is rolled back.")] = 0.01
    beta: Annotated[float, Field(description="Chance that a bad model is called proven, per step.")] = 0.05
    on_no_data: Annotated[Literal["Hold", "Pass", "Fail"], Field(description="When the canary has no data.")] = "Hold"
    on_provider_error: Annotated[Literal["Hold", "Fail"], Field(description="When Prometheus cannot be asked.")] = (
        "Hold"
    )
    max_connection_age: Annotated[
        float,
        Field(description="Greatest age of a connection to any pod of either revision; it sets the settling time."),
    ] = 20.0
    routing: Annotated[
        Literal["request", "connection"], Field(description="What is balanced: single requests, or connections.")
    ] = "connection"
    counted_at: Annotated[
        Literal["pod", "router"],
        Field(description="Where requests are counted: by the pods, each scraped at its own time, or by one router."),
    ] = "pod"
    metrics: Annotated[list[PlanMetric], Field(max_length=16, description="The judged metrics.")] = []


class PlanStep(Schema):
    """One step. `stage` is the number of setWeight steps up to and including this one."""

    kind: Annotated[Literal["SetWeight", "Pause", "Analysis", "Promote"], Field(description="What it does.")]
    weight: Annotated[int, Field(description="Share in force during the step, in per cent.")]
    stage: Annotated[int, Field(description="Number of setWeight steps up to and including this one.")]
    duration: Annotated[float | None, Field(description="Seconds of a pause; a person ends it without.")] = None


class Plan(Schema):
    """Steps and judging of one rollout. The last step is always the promotion to 100 %."""

    steps: Annotated[list[PlanStep], Field(max_length=40, description="The steps; the last is the promotion.")]
    max_overshoot: Annotated[int, Field(description="Points by which few replicas may exceed a step's weight.")] = 50
    progress_deadline: Annotated[float, Field(description="Seconds the canary's pods may take to become Ready.")] = (
        600.0
    )
    hold_timeout: Annotated[
        float | None, Field(description="Seconds that evidence is waited for; a person is waited for without it.")
    ] = None
    analysis: Annotated[AnalysisPlan, Field(description="How the canary is judged.")] = AnalysisPlan()
