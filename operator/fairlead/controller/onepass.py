"""One pass over one ModelDeployment, phase by phase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from pydantic import ValidationError

from fairlead.analysis import asking, queries
from fairlead.analysis.analyst import Analyst
from fairlead.analysis.request import Judgement, JudgeRequest, Stage
from fairlead.analysis.source import QueryError
from fairlead.api.metrictemplate import MetricTemplateSpec
from fairlead.api.modeldeployment import ModelDeploymentSpec
from fairlead.api.plan import Plan
from fairlead.api.status import ModelDeploymentStatus
from fairlead.api.verdict import Reason
from fairlead.controller import events, journal, record, status
from fairlead.controller.children import Children
from fairlead.controller.config import ControllerConfig
from fairlead.controller.journal import Memory
from fairlead.controller.pace import look_again
from fairlead.controller.records import Records
from fairlead.controller.status import Picture
from fairlead.controller.telemetry import Telemetry
from fairlead.controller.templates import Templates
from fairlead.controller.throttle import StatusThrottle
from fairlead.controller.world import World, observe
from fairlead.desired import names
from fairlead.desired.layout import Layout, Slot
from fairlead.desired.render import render
from fairlead.kube.client import Cluster
from fairlead.kube.errors import Forbidden, Invalid, NotOurs
from fairlead.kube.kinds import METRIC_TEMPLATE, MODEL_DEPLOYMENT
from fairlead.rollout.decide import decide, is_rejected
from fairlead.rollout.metrics import PlanError, templates_named
from fairlead.rollout.planning import plan_of
from fairlead.rollout.revision import revision_of, version_of
from fairlead.rollout.shares import share_at
from fairlead.rollout.state import (
    Action,
    Attempt,
    Fleet,
    Observation,
    Promote,
    Rejection,
    Revision,
    Rollback,
    Supersede,
    Trouble,
)

log = structlog.get_logger(__name__)
Key = tuple[str, str]
Manifest = dict[str, Any]

AFTER_PROBLEM = 15.0
HISTORY = 10


@dataclass(slots=True)
class Shared:
    """What passes share. `problems`: why the last apply for a key failed; a restart finds out anew."""

    cluster: Cluster
    analyst: Analyst
    config: ControllerConfig
    telemetry: Telemetry
    throttle: StatusThrottle
    clock: Callable[[], float]
    problems: dict[Key, Trouble] = field(default_factory=dict)

    def forget(self, key: Key) -> None:
        """The ModelDeployment is gone."""
        self.problems.pop(key, None)
        self.throttle.forget(key)
        self.telemetry.forget(key)


class Pass:
    """One pass. Each phase reads what the former ones found."""

    def __init__(self, shared: Shared, owner: Manifest) -> None:
        self.shared = shared
        self.owner = owner
        self.key: Key = (owner["metadata"]["namespace"], owner["metadata"]["name"])
        self.now = shared.clock()
        self.spec = ModelDeploymentSpec.model_validate(owner["spec"])
        self.old = _old_status(owner)
        self.target = Revision(revision_of(self.spec), version_of(self.spec))

    async def run(self) -> float | None:
        """Everything, in order; returns the seconds after which to look again."""
        world = await observe(self.shared.cluster, self.owner, frozenset(_digests(self.old)))
        children = Children(self.shared.cluster, self.owner, world)
        records = Records(self.shared.cluster, self.owner, world)
        templates = Templates(self.owner, self.spec, self.target, world, self.shared.config.serving)
        memory = journal.recall(self.old, world.snapshots.values())
        plan, unplannable = await self._plan(memory, records, templates)
        judgement = await self._judge(memory, plan, records, world)
        seen = self._observation(world, memory, plan, judgement)
        if unplannable is not None and not is_rejected(seen):
            seen = replace(seen, unplannable=unplannable)
        action = decide(seen)
        following = journal.after(memory, action, seen, self._rollout_name(children))
        picture = self._picture(seen, action, following, world)
        await self._record(records, memory.attempt, plan, action, judgement)
        await self._write(picture)
        await self._tell(picture)
        done = await self._apply(children, records, templates, seen, following)
        if not done:
            return AFTER_PROBLEM if self.shared.problems.get(self.key) == picture.problem else 0.0
        if seen.unplannable:
            return AFTER_PROBLEM
        return 0.0 if picture.problem else look_again(action, seen, judgement)

    async def _plan(self, memory: Memory, records: Records, templates: Templates) -> tuple[Plan | None, Trouble | None]:
        """The frozen plan of a running rollout; that of the spec where one may start, or why there is none."""
        frozen = records.plan(memory.attempt) if memory.attempt else None
        if frozen is not None or memory.stable is None:
            return frozen, None
        if memory.attempt is None and memory.stable.name == self.target.name:
            return None, None
        ages = [templates.max_connection_age(revision) for revision in (memory.stable.name, self.target.name)]
        canary, stable = self.target, memory.stable
        known = queries.variables(*self.key, (canary.name, canary.version), (stable.name, stable.version))
        try:
            shared = await self._metric_templates()
            plan = plan_of(self.spec.rollout, max(ages), shared)
            asking.check(plan.analysis, known)
        except (PlanError, QueryError) as error:
            return None, Trouble("InvalidMetric", str(error))
        return plan, None

    async def _metric_templates(self) -> dict[str, MetricTemplateSpec]:
        """The MetricTemplates that the metrics refer to, as far as they are there."""
        found: dict[str, MetricTemplateSpec] = {}
        for name in templates_named(self.spec.rollout.analysis.metrics):
            item = await self.shared.cluster.get(METRIC_TEMPLATE, self.key[0], name)
            if item is not None:
                found[name] = MetricTemplateSpec.model_validate(item["spec"])
        return found

    async def _judge(self, memory: Memory, plan: Plan | None, records: Records, world: World) -> Judgement | None:
        attempt = memory.attempt
        if attempt is None or memory.stable is None or self.target != attempt.revision:
            return None
        if plan is None or not plan.analysis.enabled:
            return None
        kept = records.status(attempt).state
        ready = {pod.name: (pod.revision, pod.ready_since) for pod in world.pods if pod.ready_since is not None}
        if not kept and not any(revision == attempt.revision.name for revision, _ in ready.values()):
            return None  # no canary pod has been Ready yet: there is nothing to ask about
        request = JudgeRequest(
            namespace=self.key[0],
            model=self.key[1],
            canary=attempt.revision.name,
            stable=memory.stable.name,
            canary_version=str(attempt.revision),
            stable_version=str(memory.stable),
            versions=(attempt.revision.version, memory.stable.version),
            plan=plan.analysis,
            started_at=attempt.started_at,
            stage=Stage(index=plan.steps[attempt.step].stage, started_at=attempt.stage_started_at),
            pods=ready,
            state=kept,
            now=self.now,
            weights=tuple(step.weight for step in plan.steps if step.kind == "SetWeight"),
        )
        judgement = await self.shared.analyst.judge(request)
        if judgement.verdict.reason in {Reason.PROVIDER_ERROR, Reason.BAD_QUERY}:
            self.shared.telemetry.measuring_failed(judgement.verdict.reason)
        return judgement

    def _observation(self, world: World, memory: Memory, plan: Plan | None, judgement: Judgement | None) -> Observation:
        roles = {self.target.name} | ({memory.stable.name} if memory.stable else set())
        fleets = world.fleets()
        problem = self.shared.problems.get(self.key)
        # What could not be applied may be the very Deployment: then there is no fleet yet that could tell.
        canary = fleets.get(self.target.name, Fleet())
        if problem and memory.attempt and canary.trouble is None:
            fleets[self.target.name] = replace(canary, trouble=problem)
        return Observation(
            now=self.now,
            target=self.target,
            replicas=self.spec.wanted_replicas,
            stable=memory.stable,
            attempt=memory.attempt,
            plan=plan,
            verdict=judgement.verdict if judgement else None,
            fleets=fleets,
            rejected={item.revision: Rejection(item.retry_token, item.message) for item in memory.rejected},
            retry_token=self.spec.rollout.retry_token or "",
            commands=journal.commands(self._annotations(), memory.attempt),
            leftovers=world.revisions_with_pods() - roles,
        )

    def _annotations(self) -> dict[str, Any]:
        return self.owner["metadata"].get("annotations") or {}

    def _rollout_name(self, children: Children) -> str:
        return names.rollout(self.key[1], self.target.name, children.next_attempt(self.target.name))

    def _picture(self, seen: Observation, action: Action, following: Memory, world: World) -> Picture:
        deadline = float(self.spec.rollout.progress_deadline_seconds or 600)
        problem = self.shared.problems.get(self.key) or seen.unplannable
        note = journal.misread(self._annotations(), following.attempt)
        return Picture(self.owner, self.old, seen, action, following, world.digests, deadline, problem, note)

    async def _record(
        self,
        records: Records,
        attempt: Attempt | None,
        plan: Plan | None,
        action: Action,
        judgement: Judgement | None,
    ) -> None:
        """The evidence is kept before anything acts on it."""
        if attempt is not None and plan is not None:
            new = record.after(records.status(attempt), plan, attempt, action, judgement, self.now)
            await records.write(attempt, new)

    async def _write(self, picture: Picture) -> None:
        """Status is the journal: the intent is written before traffic moves."""
        new = status.draw(picture).to_record()
        self.shared.telemetry.phase(self.key, new["phase"])
        if self.shared.throttle.due(self.key, self.owner.get("status") or {}, new, self.now):
            await self.shared.cluster.replace_status(MODEL_DEPLOYMENT, {**self.owner, "status": new})
            self.shared.throttle.wrote(self.key, self.now)

    async def _tell(self, picture: Picture) -> None:
        for event in events.told(picture):
            log.info(event.note, event_reason=event.reason, namespace=self.key[0], name=self.key[1])
            await events.publish(self.shared.cluster, self.owner, event)
        outcome = _outcome(picture.action)
        if outcome is not None:
            self.shared.telemetry.rollout_ended(outcome)

    async def _apply(
        self, children: Children, records: Records, templates: Templates, seen: Observation, memory: Memory
    ) -> bool:
        """Brings the children about; False when the API server says no for good."""
        try:
            await self._bring_about(children, records, templates, seen, memory)
        except (Invalid, Forbidden, NotOurs) as error:
            trouble = Trouble("NotOurs" if isinstance(error, NotOurs) else "ApplyFailed", str(error))
            log.warning("cannot apply", namespace=self.key[0], name=self.key[1], error=str(error))
            self.shared.problems[self.key] = trouble
            return False
        self.shared.problems.pop(self.key, None)
        return True

    async def _bring_about(
        self, children: Children, records: Records, templates: Templates, seen: Observation, memory: Memory
    ) -> None:
        attempt, stable = memory.attempt, memory.stable or self.target
        if memory.stable is None or attempt is not None:
            await templates.keep_target(self.shared.cluster, children.next_number())
        if attempt is not None and seen.plan is not None and attempt.rollout not in records.world.rollouts:
            await records.begin(attempt, stable, seen.plan, seen.retry_token)
        # Before anything moves: a verdict that is written nowhere but in a status that is lost would be forgotten.
        await children.remember(memory)
        layout = self._layout(templates, seen, attempt, stable)
        await children.bring_about(render(self.owner, self.spec, layout))
        await records.close(memory, self.now)
        kept = {stable.name, self.target.name} | ({attempt.revision.name} if attempt else set())
        await children.trim(self.spec.revision_history_limit or HISTORY, frozenset(kept))

    def _layout(self, templates: Templates, seen: Observation, attempt: Attempt | None, stable: Revision) -> Layout:
        digests = {**templates.world.digests, **_digests(self.old)}
        canary = None
        if attempt is not None and seen.plan is not None:
            share = share_at(seen.plan, attempt.step, seen.replicas)
            name = attempt.revision.name
            canary = Slot(name, templates.template(name), share.replicas, digests.get(name))
        serving = Slot(stable.name, templates.template(stable.name), seen.replicas, digests.get(stable.name))
        return Layout(serving, canary)


def _outcome(action: Action) -> str | None:
    match action:
        case Promote():
            return "promoted"
        case Rollback(reason="Aborted"):
            return "aborted"
        case Rollback():
            return "rolled-back"
        case Supersede(reason="Reverted"):
            return "reverted"
        case Supersede():
            return "superseded"
    return None


def _old_status(owner: Manifest) -> ModelDeploymentStatus:
    """The status as it stands; one that cannot be read counts as lost, and the snapshots remember."""
    try:
        return ModelDeploymentStatus.model_validate(owner.get("status") or {})
    except ValidationError:
        log.warning("status is unreadable and counts as lost", name=owner["metadata"]["name"])
        return ModelDeploymentStatus()


def _digests(old: ModelDeploymentStatus) -> dict[str, str]:
    arms = (old.stable, old.canary)
    return {arm.revision: arm.digest for arm in arms if arm is not None and arm.digest}
