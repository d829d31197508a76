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


class MetricRecord(Schema):
    """The newest numbers of one metric in this stage."""

    name: Annotated[str, Field(description="The metric.")]
    canary: Annotated[ArmCounts, Field(description="Requests to the canary and how many of them were bad.")]
    stable: Annotated[ArmCounts, Field(description="Requests to stable and how many of them were bad.")]
    weight: Annotated[float, Field(description="Its share of alpha.")]
    evidence: Annotated[float, Field(description="E-value against the canary.")]
    evidence_ok: Annotated[float, Field(description="E-value for the canary in this stage; proven at 1/beta.")]
    detail: Annotated[str, Field(description="The numbers in words.")] = ""


class EvidencePoint(Schema):
    """The evidence at one judged instant."""

    at: Annotated[Time, Field(description="The instant that was judged.")]
    step: Annotated[int, Field(description="Index of the step in force, from 0.")]
    weight: Annotated[int, Field(description="Share that the step asked for, in per cent.")]
    achieved_weight: Annotated[
        float | None, Field(description="Share that was counted from requests, in per cent.")
    ] = None
    outcome: Annotated[str, Field(description="Continue, Advance, Rollback or Inconclusive.")]
    evidence: Annotated[float, Field(description="Weighted sum over the metrics; the bar is 1/alpha.")]
    metrics: Annotated[
        list[MetricRecord], Field(max_length=16, description="Counts of both arms and evidence per metric.")
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
    state: Annotated[
        str, Field(description="The analysis's own state; what makes a restart give the same verdicts.")
    ] = ""
