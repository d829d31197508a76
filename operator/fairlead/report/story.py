"""A rollout as its record tells it: when, from what to what, how it ended and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fairlead.api.modelrollout import FINISHED, ModelRolloutSpec, ModelRolloutStatus
from fairlead.api.plan import Plan, PlanMetric, PlanStep
from fairlead.report import words

_PASSED = {
    "ProvenNonInferior": "proof that it is not worse",
    "NoEvidenceOfHarm": "no evidence of harm, which is not a proof",
    "PromotedByUser": "a person",
    "NoData": "no data, as onNoData: Pass says",
}
_FAILED = {
    "ProgressDeadlineExceeded": "its pods did not become ready in time",
    "HoldTimeout": "no conclusive evidence came in time",
    "NoData": "there was no data, and onNoData is Fail",
    "ProviderError": "Prometheus could not be asked, and onProviderError is Fail",
}
LOOKS = {
    "Promoted": ("good", "✓"),
    "RolledBack": ("bad", "✕"),
    "Aborted": ("bad", "✕"),
    "Superseded": ("quiet", "→"),
    "Paused": ("wait", "❙❙"),
    "Progressing": ("busy", "…"),
}
"""How a phase looks: its class, and a sign for those who do not see colours."""


class UnreadableError(Exception):
    """What was given is no ModelRollout; the message says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One ModelRollout. Times are epoch seconds."""

    name: str
    namespace: str
    spec: ModelRolloutSpec
    status: ModelRolloutStatus
    started: float
    ended: float
    """When it ended; of a running one the newest moment that the record knows of."""

    @property
    def plan(self) -> Plan:
        """What it went by."""
        return self.spec.plan

    @property
    def begun(self) -> bool:
        """Whether anything has been recorded."""
        return bool(self.status.decisions or self.status.history)

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.status.phase in FINISHED

    @property
    def seconds(self) -> float:
        """How long it took, or takes already."""
        return self.ended - self.started

    @property
    def bar(self) -> float:
        """The evidence at which it is rolled back."""
        return 1 / self.plan.analysis.alpha

    @property
    def bar_ok(self) -> float:
        """The evidence at which a metric is proven not to be worse."""
        return 1 / self.plan.analysis.beta

    def step(self, index: int) -> PlanStep:
        """A step of the plan; beyond its end the last."""
        return self.plan.steps[max(0, min(index, len(self.plan.steps) - 1))]

    def since(self, text: str | None) -> float | None:
        """Seconds from the start until an API time."""
        when = words.epoch(text)
        return None if when is None else when - self.started

    def metric(self, name: str) -> PlanMetric | None:
        """What the plan says about a metric."""
        return next((metric for metric in self.plan.analysis.metrics if metric.name == name), None)


def read(manifest: Mapping[str, Any]) -> Rollout:
    """A ModelRollout as the API server gives it. Raises UnreadableError."""
    kind = manifest.get("kind")
    if kind != "ModelRollout":
        message = f"this is a {kind}, not a ModelRollout" if kind else "this is no Kubernetes object"
        raise UnreadableError(message)
    meta = manifest.get("metadata") or {}
    try:
        spec = ModelRolloutSpec.model_validate(manifest.get("spec"))
        status = ModelRolloutStatus.model_validate(manifest.get("status") or {})
        times = _times(meta, status)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "spec"
        message = f"this ModelRollout cannot be read: {where}: {first['msg']}"
        raise UnreadableError(message) from error
    except ValueError as error:
        message = f"this ModelRollout has a time that cannot be read: {error}"
        raise UnreadableError(message) from error
    if not spec.plan.steps:
        message = "this ModelRollout has a plan without steps"
        raise UnreadableError(message)
    return Rollout(str(meta.get("name", "")), str(meta.get("namespace", "")), spec, status, *times)


def _times(meta: Mapping[str, Any], status: ModelRolloutStatus) -> tuple[float, float]:
    """When it began, and when it ended or the newest moment that is known."""
    texts = [*(item.at for item in status.decisions), *(item.at for item in status.history)]
    told = sorted(words.epoch(text) or 0.0 for text in texts)
    began = words.epoch(status.started_at)
    if began is None:
        began = told[0] if told else words.epoch(meta.get("creationTimestamp")) or 0.0
    ended = words.epoch(status.finished_at)
    if ended is None:
        ended = told[-1] if told else began
    return began, max(began, ended)


def versions(rollout: Rollout) -> tuple[str, str]:
    """The names of both versions for people: that of stable, then that of the canary."""
    spec = rollout.spec
    stable = _version(spec.stable_version, spec.stable_revision)
    return stable, _version(spec.version, spec.revision)


def _version(version: str, revision: str) -> str:
    return f"revision {revision}" if version in {"", revision} else f"version {version}"


def headline(rollout: Rollout) -> str:
    """How it ended, or stands, in one sentence."""
    stable, canary = versions(rollout)
    subject, took = canary[0].upper() + canary[1:], words.span(rollout.seconds)
    status = rollout.status
    match status.phase:
        case "Promoted":
            return f"{subject} replaced {stable} after {took}."
        case "RolledBack":
            return f"{subject} was rolled back after {took}: {_cause(rollout)}."
        case "Aborted":
            return f"{subject} was aborted by a person after {took}; {stable} serves."
        case "Superseded":
            return f"The rollout of {canary} ended after {took}, because the spec asks for something else."
    if not rollout.begun:
        return f"{subject} is about to be rolled out."
    where = f"at step {status.step.replace('/', f'{words.SPACE}of{words.SPACE}')}"
    share = f"with {words.weight(status.weight)} of the traffic asked for"
    if status.phase == "Paused":
        return f"{subject} waits {where}, {share}."
    return f"{subject} is being rolled out: {where}, {share}."


def _cause(rollout: Rollout) -> str:
    if rollout.status.culprit:
        return f"{rollout.status.culprit} got worse than allowed"
    reason = next((item.reason for item in reversed(rollout.status.decisions) if item.action == "RolledBack"), "")
    return _FAILED.get(reason, f"reason {reason}" if reason else rollout.status.message or "no reason is recorded")


def decided_by(rollout: Rollout) -> str:
    """On what the canary went from step to step."""
    if not rollout.plan.analysis.enabled:
        return "the readiness of the pods alone"
    reasons = [item.reason for item in rollout.status.decisions if item.action == "StepAdvanced"]
    return "; ".join(dict.fromkeys(_PASSED[reason] for reason in reasons if reason in _PASSED))


def lead(rollout: Rollout) -> str:
    """The sentence with the numbers that decided."""
    status = rollout.status
    passed = [item.message for item in status.decisions if item.reason in _PASSED]
    text = passed[-1] if passed and status.phase == "Promoted" else status.message
    return text[:1].upper() + text[1:]


def facts(rollout: Rollout) -> list[tuple[str, str, str]]:
    """What else is worth knowing at a glance, as names, values and notes."""
    spec, status = rollout.spec, rollout.status
    first = rollout.since(status.first_request_at)
    shares = [point.achieved_weight for point in status.history if point.achieved_weight is not None]
    exposed = (
        "no request of the canary was seen" if first is None else f"{words.span(rollout.seconds - first)} under traffic"
    )
    found = [
        ("Model", spec.model_deployment, f"namespace {rollout.namespace}" if rollout.namespace else ""),
        ("Versions", f"{spec.stable_version} → {spec.version}", f"{spec.stable_revision} → {spec.revision}"),
        ("Attempt", str(spec.attempt), "at this revision"),
        ("Started", words.day(rollout.started), f"{words.clock(rollout.started)} UTC"),
        ("Took" if rollout.finished else "Takes so far", words.span(rollout.seconds), exposed),
        ("Greatest share", words.weight(max(shares)) if shares else "–", "counted from requests"),
        ("Evidence against", _evidence(rollout), f"{words.figures(rollout.bar)} rolls back"),
    ]
    if status.culprit:
        found.append(("Culprit", status.culprit, "decided the rollback"))
    if passed := decided_by(rollout):
        found.append(("Went on by", passed, ""))
    return found


def _evidence(rollout: Rollout) -> str:
    if rollout.status.history:
        return words.evalue(rollout.status.history[-1].evidence)
    return rollout.status.evidence.partition("/")[0] or "–"
