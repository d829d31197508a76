"""`ModelRollout`: the record of one attempt to roll a revision out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from fairlead.api.base import Schema, Time, rule
from fairlead.api.plan import Plan

RolloutPhase = Literal["Progressing", "Paused", "Promoted", "RolledBack", "Aborted", "Superseded"]
FINISHED = frozenset({"Promoted", "RolledBack", "Aborted", "Superseded"})


class ModelRolloutSpec(Schema):
    """Which revision, instead of which, by which frozen plan."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                rule("self == oldSelf", "what a rollout goes by is frozen when it starts"),
            ]
        }
    )

    model_deployment: Annotated[str, Field(description="The ModelDeployment whose rollout this is.")]
    revision: Annotated[str, Field(description="The revision that is rolled out.")]
    version: Annotated[str, Field(description="Its version, for people.")]
    stable_revision: Annotated[str, Field(description="The revision that serves meanwhile.")]
    stable_version: Annotated[str, Field(description="Its version, for people.")]
    attempt: Annotated[int, Field(ge=1, description="Number of this attempt at the revision.")]
    retry_token: Annotated[str, Field(description="The retryToken in force at the start.")] = ""
    plan: Annotated[Plan, Field(description="Steps and judging as they were at the start.")]
    plan_hash: Annotated[str, Field(description="Hash of the plan: nothing was changed on the way.")]


class Decision(Schema):
    """One thing that was decided, and why."""

    at: Annotated[Time, Field(description="When.")]
    step: Annotated[int, Field(description="Index of the step in force, from 0.")]
    action: Annotated[str, Field(description="Started, StepAdvanced, Held, Promoted, RolledBack, …")]
    reason: Annotated[str, Field(description="Why, as one constant word.")]
    message: Annotated[str, Field(description="Why, as a sentence with numbers.")]


class ArmCounts(Schema):
    """Requests and how many of them were bad."""

    total: Annotated[float, Field(description="Requests.")]
    bad: Annotated[float, Field(description="Those of them that failed, or took too long.")]


class MetricPoint(Schema):
    """One metric's numbers at a judged instant. What has no value yet, or is infinite, is left out."""

    name: Annotated[str, Field(description="The metric.")]
    canary: Annotated[ArmCounts, Field(description="Requests to the canary in this stage; how many were bad.")]
    stable: Annotated[ArmCounts, Field(description="Requests to stable in this stage; how many were bad.")]
    evidence: Annotated[float, Field(description="E-value against the canary.")]
    evidence_ok: Annotated[float, Field(description="E-value for the canary in this stage; proven at 1/beta.")] = 1.0
    ratio: Annotated[float | None, Field(description="Canary's share of bad requests over stable's.")] = None
    interval_low: Annotated[float | None, Field(description="Lower end of the ratio's anytime-valid interval.")] = None
    interval_high: Annotated[float | None, Field(description="Upper end of it; left out while there is no bound.")] = (
        None
    )
    phi: Annotated[float | None, Field(description="Dispersion in force; left out where it is 1.")] = None
    acted: Annotated[
        list[str] | None, Field(max_length=16, description="Rules that changed something at this instant.")
    ] = None
    detail: Annotated[str | None, Field(description="What was counted, where the name does not say it.")] = None


class MetricRecord(MetricPoint):
    """The newest numbers of one metric in this stage."""

    kind: Annotated[str, Field(description="ratio, histogram, categorical or query.")] = ""
    action: Annotated[str, Field(description="What proof against the canary does: Rollback, Hold or Veto.")] = ""
    weight: Annotated[float, Field(description="Its share of alpha.")]


class EvidencePoint(Schema):
    """The verdict at one judged instant. Where older ones were thinned out, one stands for several."""

    at: Annotated[Time, Field(description="The instant that was judged.")]
    window: Annotated[
        float | None, Field(description="Seconds since the instant before, or the one before those thinned out.")
    ] = None
    step: Annotated[int, Field(description="Index of the step in force, from 0.")]
    weight: Annotated[int, Field(description="Share that the step asked for, in per cent.")]
    achieved_weight: Annotated[
        float | None, Field(description="Share that was counted from requests, in per cent.")
    ] = None
    outcome: Annotated[str, Field(description="Continue, Advance, Rollback or Inconclusive.")]
    reason: Annotated[str, Field(description="Why, as one constant word.")] = ""
    evidence: Annotated[float, Field(description="Weighted sum over the metrics; the bar is 1/alpha.")]
    acted: Annotated[
        list[str] | None, Field(max_length=16, description="Rules that acted on the verdict as a whole.")
    ] = None
    metrics: Annotated[
        list[MetricPoint], Field(max_length=16, description="Counts of both arms and evidence per metric.")
    ] = []


class ModelRolloutStatus(Schema):
    """How far it is, what was seen and what was decided."""

    phase: Annotated[RolloutPhase, Field(description="How far it is or how it ended.")] = "Progressing"
    message: Annotated[str, Field(description="The newest decision in one sentence.")] = ""
    step: Annotated[str, Field(description="The step for people, as 2/5.")] = ""
    weight: Annotated[int, Field(description="Share that the step asks for, in per cent.")] = 0
    culprit: Annotated[str | None, Field(description="The metric that decided a rollback.")] = None
    evidence: Annotated[str, Field(description="Evidence against the canary and its bar, as 0.3/100.")] = ""
    started_at: Annotated[Time | None, Field(description="When it began.")] = None
    first_request_at: Annotated[Time | None, Field(description="When the canary got its first request.")] = None
    finished_at: Annotated[Time | None, Field(description="When it ended.")] = None
    decisions: Annotated[
        list[Decision], Field(max_length=128, description="What was decided and why, oldest first.")
    ] = []
    metrics: Annotated[list[MetricRecord], Field(max_length=16, description="The newest numbers of each metric.")] = []
    history: Annotated[
        list[EvidencePoint],
        Field(max_length=256, description="The evidence over time, oldest first and thinned with age."),
    ] = []
    queries: Annotated[dict[str, str], Field(description="The PromQL that was asked, by metric or purpose.")] = {}
    outlook: Annotated[
        dict[str, str],
        Field(
            max_length=32,
            description="What each share, in per cent, could show at the traffic before it began: the least change for "
            "the worse that would be proven.",
        ),
    ] = {}
    state: Annotated[
        str, Field(description="The analysis's own state; what makes a restart give the same verdicts.")
    ] = ""
