"""The judge that the controller asks: counters from a metric source, through the engine, to a verdict.

Instants lie on a fixed grid from the rollout's start and each is judged once, in order, whenever it is asked for.
What was missed is asked of the metric source later, at those past instants, so an interruption changes no verdict.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from fairlead.analysis import decision, engine, history, limits, thresholds, unmeasured
from fairlead.analysis.asking import Questions
from fairlead.analysis.counters import Seen
from fairlead.analysis.finding import Context
from fairlead.analysis.limits import Clock
from fairlead.analysis.outlook import outlook
from fairlead.analysis.request import Judgement, JudgeRequest, Point
from fairlead.analysis.source import MetricError, MetricSource, ProviderError
from fairlead.analysis.state import LostStateError, State, dump, load
from fairlead.analysis.thresholds import Answer
from fairlead.analysis.ticks import Ticks
from fairlead.api.plan import PlanMetric, PlanQuery
from fairlead.api.verdict import Outcome, Reason, Verdict

LATE = 1.0
"""Seconds after an instant until it is asked for: samples arrive late."""
CATCH_UP = 40
"""Missed instants that are asked for later; older ones count as no data."""
SHORTEST = 1.0
"""Seconds between two instants at least, whatever the plan says."""
REMEMBERED = 512
"""Rollouts whose last counters are kept in memory."""
PROVEN = frozenset({Reason.REGRESSION, Reason.THRESHOLD})
"""Reasons of a rollback that stand once they were found."""
PATIENCE = 3
"""Ticks that a metric source may fail before the verdict says so."""


@dataclass(slots=True)
class _Memory:
    """What spares a question, the counters at the last judged instant, and what was said of the questions last.

    `failing_since`: since when asking fails; `complaint`: what is wrong with the counters; `said`: the newest sentence
    about each threshold.
    """

    tick: int | None = None
    seen: Seen | None = None
    failing_since: float | None = None
    complaint: str = ""
    said: dict[str, str] = field(default_factory=dict)


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
        self._memory, self._request = memory, request
        self._lost = ""
        self._questions = Questions(source, request.plan, request.variables)

    async def run(self) -> Judgement:
        request = self._request
        state = self._load()
        state.meet({pod: ready for pod, (_, ready) in request.pods.items()})
        points: list[Point] = []
        so_far = self._verdict(state, state.tick)
        if so_far.outcome is Outcome.ROLLBACK and so_far.reason in PROVEN:
            # Proven once is proven: the verdict was stored, but whoever asked did not come to act on it.
            return self._judgement(state, so_far, points, request.now + request.plan.interval)
        ticks = Ticks(request, state)
        error, answers = await asyncio.gather(
            self._evidence(state, ticks, points), self._questions.thresholds(self._due(state))
        )
        self._count(state, answers)
        if error is not None:
            verdict = self._failed(state, error)
            return self._judgement(state, verdict, points, request.now + min(request.plan.interval, 5.0))
        self._memory.failing_since = None
        verdict = self._verdict_or_complaint(state, state.tick)
        if points:
            points[-1] = replace(points[-1], verdict=verdict)
        return self._judgement(state, verdict, points, ticks.at(state.tick + 1) + LATE)

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

    async def _evidence(self, state: State, ticks: Ticks, points: list[Point]) -> MetricError | None:
        """Take in what is due; the error that kept it from being done."""
        try:
            if state.tick < 0 and not state.metrics:
                await self._learn(state, ticks)
            await self._catch_up(state, ticks, points)
        except MetricError as error:
            return error
        return None

    async def _learn(self, state: State, ticks: Ticks) -> None:
        """What stable did before the rollout, for the dispersion and the latency edges."""
        request, plan = self._request, self._request.plan
        span = history.ticks(plan) * plan.interval
        start = math.ceil(request.started_at - span)
        window = await self._questions.window(start, request.started_at, plan.interval)
        # As sorting the answers, this is too much for the event loop where there are many pods.
        intervals = await asyncio.to_thread(history.intervals, window, start, plan, ticks.admits_stable)
        engine.learn(state, plan, intervals)

    async def _catch_up(self, state: State, ticks: Ticks, points: list[Point]) -> None:
        """Judge the instants that are due, up to the first one that decides something."""
        request = self._request
        # A thousandth, so that waking up exactly at `next_at` is never a rounding error too early.
        due = math.floor((request.now - LATE + 0.001 - request.started_at) / request.plan.interval)
        first = max(state.tick + 1, due - CATCH_UP)
        before = await self._last_seen(state, ticks) if first == state.tick + 1 else Seen()
        for tick in range(first, due + 1):
            now = await self._questions.at(ticks.at(tick))
            ticks.note_first_request(now, tick)
            interval, self._memory.complaint = ticks.interval(before, now, tick)
            engine.ingest(state, request.plan, interval)
            self._memory.tick, self._memory.seen = tick, now
            before = now
            points.append(Point(ticks.at(tick), self._verdict_or_complaint(state, tick)))
            if points[-1].verdict.outcome in (Outcome.ROLLBACK, Outcome.ADVANCE):
                return

    async def _last_seen(self, state: State, ticks: Ticks) -> Seen:
        if state.tick < 0:
            return Seen()
        if self._memory.tick == state.tick and self._memory.seen is not None:
            return self._memory.seen
        return await self._questions.at(ticks.at(state.tick))

    def _due(self, state: State) -> Iterator[tuple[PlanMetric, int, float]]:
        """The thresholds that are to be asked about now, with the instants."""
        request, reached = self._request, self._request.stage.started_at
        elapsed = request.now - LATE - request.started_at
        for metric in request.plan.metrics:
            query = metric.query
            if query is None or reached is None:
                continue
            known = thresholds.tally(state.thresholds.get(metric.name))
            for instant in thresholds.due(query, known, self._first(query, reached), elapsed):
                yield metric, instant, request.started_at + instant * query.interval

    def _first(self, query: PlanQuery, reached: float) -> int:
        return thresholds.first_due(query, self._request.started_at, reached)

    def _count(self, state: State, answers: list[tuple[str, int, Answer]]) -> None:
        for name, instant, answer in answers:
            known = thresholds.counted(thresholds.tally(state.thresholds.get(name)), instant, answer)
            state.thresholds[name] = known.to_list()
            self._memory.said[name] = answer.sentence

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
        request = self._request
        t = request.started_at + tick * request.plan.interval
        clock = Clock(request.started_at, request.stage.started_at, t)
        verdict = decision.decide(state, self._context(t))
        return limits.consider(verdict, request.plan, state.thresholds, clock, self._memory.said)

    def _verdict_or_complaint(self, state: State, tick: int) -> Verdict:
        verdict = self._verdict(state, tick)
        if self._memory.complaint and verdict.outcome != Outcome.ROLLBACK:
            return unmeasured.bad_query(verdict, self._memory.complaint)
        return verdict

    def _failed(self, state: State, error: MetricError) -> Verdict:
        """The verdict while the source fails: patience at first, then what the user asked for."""
        memory, plan = self._memory, self._request.plan
        if memory.failing_since is None:
            memory.failing_since = self._request.now
        so_far = self._verdict(state, state.tick)
        if so_far.outcome is Outcome.ROLLBACK and so_far.reason in PROVEN:
            return so_far
        if isinstance(error, ProviderError):
            lasted = self._request.now - memory.failing_since >= PATIENCE * plan.interval
            return unmeasured.provider_error(so_far, str(error), plan, lasted=lasted)
        return unmeasured.bad_query(so_far, str(error))

    def _judgement(self, state: State, verdict: Verdict, points: list[Point], next_at: float) -> Judgement:
        verdict = replace(verdict, message=self._lost + verdict.message)
        asked = self._questions.texts
        return Judgement(
            verdict, dump(state), tuple(points), state.first_request_at, next_at, asked, self._outlook(state)
        )

    def _outlook(self, state: State) -> dict[int, str]:
        """What the stages that have not begun can show."""
        request, stage = self._request, self._request.stage
        begun = stage.index if stage.started_at is not None else stage.index - 1
        ahead = request.weights[max(0, begun) :]
        told = ((weight, outlook(state, request.plan, weight)) for weight in ahead)
        return {weight: sentence for weight, sentence in told if sentence}


def _not_configured(request: JudgeRequest) -> Verdict:
    message = (
        "no Prometheus is configured, so the canary cannot be judged: set the operator's Prometheus address, "
        "or set analysis.disabled to roll out on readiness alone"
    )
    return Verdict(Outcome.INCONCLUSIVE, Reason.NOT_CONFIGURED, message, measurable=False, bar=1 / request.plan.alpha)
