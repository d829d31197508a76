"""The judge that the controller asks: counters from a metric source, through the engine, to a verdict.

Instants lie on a fixed grid from the rollout's start and each is judged once, in order, whenever it is asked for.
What was missed is asked of the metric source later, at those past instants, so an interruption changes no verdict.
"""

from __future__ import annotations

import functools
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from fairlead.analysis import counters, decision, engine, history, queries
from fairlead.analysis.counters import PodCounters, Snapshot
from fairlead.analysis.decision import Context
from fairlead.analysis.intervals import Interval
from fairlead.analysis.source import AmbiguousError, MetricError, MetricSource, ProviderError
from fairlead.analysis.state import LostStateError, State, dump, load
from fairlead.api.plan import AnalysisPlan
from fairlead.api.verdict import Outcome, Reason, Verdict

LATE = 1.0
"""Seconds after an instant until it is asked for: samples arrive late."""
CATCH_UP = 40
"""Missed instants that are asked for later; older ones count as no data."""
SHORTEST = 1.0
"""Seconds between two instants at least, whatever the plan says."""
REMEMBERED = 512
"""Rollouts whose last counters are kept in memory."""
PATIENCE = 3
"""Ticks that a metric source may fail before the verdict says so."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The share in force: its number, and when it was reached (epoch seconds; None: not yet)."""

    index: int
    started_at: float | None


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """Which rollout to judge, and how far it is. Times are epoch seconds.

    `pods` gives revision and Ready time of each pod that is or was Ready; `state` is '' at first, then what the
    last Judgement returned. The versions are for people; revisions are shown without them.
    """

    namespace: str
    model: str
    canary: str
    stable: str
    plan: AnalysisPlan
    started_at: float
    stage: Stage
    pods: Mapping[str, tuple[str, float]]
    state: str
    now: float
    canary_version: str = ""
    stable_version: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """The verdict at one judged instant."""

    t: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict now, the state to store before acting on it, and when to ask again (epoch seconds)."""

    verdict: Verdict
    state: str
    points: tuple[Point, ...]
    first_request_at: float | None
    next_at: float


@dataclass(slots=True)
class _Memory:
    """What spares a question: the counters at the last judged instant. And since when asking fails."""

    tick: int | None = None
    snapshot: Snapshot | None = None
    failing_since: float | None = None


class Analyst:
    """Judges rollouts. Without a source every verdict is that there is none."""

    def __init__(self, source: MetricSource | None) -> None:
        self._source = source
        self._memory: OrderedDict[tuple[str, ...], _Memory] = OrderedDict()

    async def judge(self, request: JudgeRequest) -> Judgement:
        """Judge all instants that are due. Never raises for missing, failing or odd metrics."""
        if self._source is None:
            return Judgement(_not_configured(request), request.state, (), None, request.now + 60.0)
        if request.plan.interval < SHORTEST:
            request = replace(request, plan=request.plan.model_copy(update={"interval": SHORTEST}))
        return await _Round(self._source, self._remembered(request), request).run()

    def _remembered(self, request: JudgeRequest) -> _Memory:
        key = (request.namespace, request.model, request.canary, request.stable, repr(request.started_at))
        memory = self._memory.setdefault(key, _Memory())
        self._memory.move_to_end(key)
        while len(self._memory) > REMEMBERED:
            self._memory.popitem(last=False)
        return memory


class _Round:
    """One call of `judge`."""

    def __init__(self, source: MetricSource, memory: _Memory, request: JudgeRequest) -> None:
        self._source, self._memory, self._request = source, memory, request
        self._lost = self._complaint = ""
        self._query = queries.raw_counters(request.namespace, request.model, request.canary, request.stable)

    async def run(self) -> Judgement:
        request = self._request
        state = self._load()
        state.meet({pod: ready for pod, (_, ready) in request.pods.items()})
        points: list[Point] = []
        if self._verdict(state, state.tick).reason == Reason.REGRESSION:
            # Proven once is proven: the verdict was stored, but whoever asked did not come to act on it.
            return self._judgement(state, self._verdict(state, state.tick), points, request.now + request.plan.interval)
        try:
            if state.tick < 0 and not state.processes:
                await self._learn(state)
            await self._catch_up(state, points)
        except MetricError as error:
            verdict = self._failed(state, error)
            return self._judgement(state, verdict, points, request.now + min(request.plan.interval, 5.0))
        self._memory.failing_since = None
        verdict = points[-1].verdict if points else self._verdict(state, state.tick)
        return self._judgement(state, verdict, points, self._at(state.tick + 1) + LATE)

    def _load(self) -> State:
        """The stored state in the present stage; a damaged one is replaced by a new one."""
        state = State()
        if self._request.state:
            try:
                state = load(self._request.state)
            except LostStateError as error:
                self._lost = f"{error}; judging has started over: "
        engine.enter_stage(state, self._request.stage.index)
        return state

    async def _learn(self, state: State) -> None:
        """What stable did before the rollout, for the dispersion and the latency edges."""
        request, plan = self._request, self._request.plan
        span = history.ticks(plan) * plan.interval
        start = math.ceil(request.started_at - span)
        window = await self._source.window(self._query, start, request.started_at, plan.interval)
        admits = functools.partial(self._admits_stable, state)
        engine.learn(state, plan, history.intervals(window, start, plan.interval, admits))

    async def _catch_up(self, state: State, points: list[Point]) -> None:
        """Judge the instants that are due, up to the first one that decides something."""
        request = self._request
        # A thousandth, so that waking up exactly at `next_at` is never a rounding error too early.
        due = math.floor((request.now - LATE + 0.001 - request.started_at) / request.plan.interval)
        first = max(state.tick + 1, due - CATCH_UP)
        before = await self._last_snapshot(state) if first == state.tick + 1 else {}
        for tick in range(first, due + 1):
            now = await self._snapshot(tick)
            self._note_first_request(state, now, tick)
            engine.ingest(state, request.plan, self._interval(state, before, now, tick))
            self._memory.tick, self._memory.snapshot = tick, now
            before = now
            points.append(Point(self._at(tick), self._verdict_or_complaint(state, tick)))
            if points[-1].verdict.outcome in (Outcome.ROLLBACK, Outcome.ADVANCE):
                return

    async def _last_snapshot(self, state: State) -> Snapshot:
        if state.tick < 0:
            return {}
        if self._memory.tick == state.tick and self._memory.snapshot is not None:
            return self._memory.snapshot
        return await self._snapshot(state.tick)

    async def _snapshot(self, tick: int) -> Snapshot:
        """The counters at an instant; none when they contradict each other, which is kept for the verdict."""
        samples = await self._source.instant(self._query, self._at(tick))
        self._complaint = ""
        try:
            return counters.snapshot(samples)
        except AmbiguousError as error:
            self._complaint = str(error)
            return {}

    def _interval(self, state: State, before: Snapshot, now: Snapshot, tick: int) -> Interval:
        request, stage, begin = self._request, self._request.stage, self._at(tick - 1)
        canary = [own for own in now.values() if own.revision == request.canary]
        opened = [own.get(counters.CONNECTIONS) for own in canary if (counters.CONNECTIONS, "") in own.values]
        grown = counters.increments(before, now)
        connections, carried = counters.traffic(grown)
        return Interval(
            tick=tick,
            t=self._at(tick),
            stage=stage.index,
            stage_started=stage.started_at,
            settled=stage.started_at is not None and begin >= stage.started_at + engine.settle_time(request.plan),
            metrics=counters.counted(
                grown,
                lambda pod, own: own.revision == request.canary and self._warm(state, pod, begin),
                lambda pod, own: self._admits_stable(state, pod, own, begin),
            ),
            connections=sum(opened) if opened else None,
            opened=connections,
            carried=carried,
            canary_seen=bool(canary),
        )

    def _admits_stable(self, state: State, pod: str, own: PodCounters, begin: float) -> bool:
        return own.revision == self._request.stable and self._warm(state, pod, begin)

    def _warm(self, state: State, pod: str, begin: float) -> bool:
        """Warm-up counts from the first Ready, not from each restart, or a crash loop would never leave it."""
        ready = state.first_ready(pod)
        return ready is not None and begin >= ready + self._request.plan.warm_up

    def _note_first_request(self, state: State, now: Snapshot, tick: int) -> None:
        """The earliest moment at which the first canary request can have come."""
        if state.first_request_at is not None:
            return
        canary = [
            pod for pod, own in now.items() if own.revision == self._request.canary and counters.requests(own) > 0
        ]
        if not canary:
            return
        ready = [since for pod in canary if (since := state.first_ready(pod)) is not None]
        state.first_request_at = max(self._at(tick - 2), min(ready, default=0.0))

    def _at(self, tick: int) -> float:
        return self._request.started_at + tick * self._request.plan.interval

    def _context(self, t: float) -> Context:
        request = self._request
        return Context(
            plan=request.plan,
            t=t,
            stage_started=request.stage.started_at,
            canary=request.canary_version or request.canary,
            stable=request.stable_version or request.stable,
        )

    def _verdict(self, state: State, tick: int) -> Verdict:
        return decision.decide(state, self._context(self._at(tick)))

    def _verdict_or_complaint(self, state: State, tick: int) -> Verdict:
        verdict = self._verdict(state, tick)
        if self._complaint and verdict.outcome != Outcome.ROLLBACK:
            return decision.bad_query(verdict, self._complaint)
        return verdict

    def _failed(self, state: State, error: MetricError) -> Verdict:
        """The verdict while the source fails: patience at first, then what the user asked for."""
        memory, plan = self._memory, self._request.plan
        if memory.failing_since is None:
            memory.failing_since = self._request.now
        so_far = self._verdict(state, state.tick)
        if isinstance(error, ProviderError):
            lasted = self._request.now - memory.failing_since >= PATIENCE * plan.interval
            return decision.provider_error(so_far, str(error), plan, lasted=lasted)
        return decision.bad_query(so_far, str(error))

    def _judgement(self, state: State, verdict: Verdict, points: list[Point], next_at: float) -> Judgement:
        verdict = replace(verdict, message=self._lost + verdict.message)
        return Judgement(verdict, dump(state), tuple(points), state.first_request_at, next_at)


def _not_configured(request: JudgeRequest) -> Verdict:
    message = (
        "no Prometheus is configured, so the canary cannot be judged: set the operator's Prometheus address, "
        "or set analysis.disabled to roll out on readiness alone"
    )
    return Verdict(Outcome.INCONCLUSIVE, Reason.NOT_CONFIGURED, message, measurable=False, bar=1 / request.plan.alpha)
