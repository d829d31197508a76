"""Plans, intervals and a metric source to test with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fairlead.analysis import engine, evidence
from fairlead.analysis.intervals import WHOLE, Interval, MetricCounts
from fairlead.analysis.request import Judgement, JudgeRequest, Stage
from fairlead.analysis.source import Instant, MetricError, Sample
from fairlead.analysis.state import State
from fairlead.api.plan import AnalysisPlan, PlanMargin, PlanMetric
from fairlead.rollout.metrics import BUILT_IN, OWN
from tests.unit.analysis.samples import pod_samples

START = 1_000_000.0
EDGES = (0.01, 0.1, 1.0)


def metric(name: str = "error-rate", weight: float = 1.0, **changes: Any) -> PlanMetric:
    """A built-in metric with the margins that these tests go by; an unknown name is a ratio."""
    known = BUILT_IN.get(name, OWN)
    fields: dict[str, Any] = {
        "name": name,
        "kind": known.kind,
        "action": known.action,
        "weight": weight,
        "rollback": PlanMargin(ratio=1.1, absolute=0.0005),
        "promotion": PlanMargin(ratio=1.5, absolute=0.01),
        "tolerance": known.tolerance,
    }
    return PlanMetric(**fields | changes)


def plan(*names: str, **changes: Any) -> AnalysisPlan:
    """Errors only, ticks of 5 s, everything short, unless told otherwise; alpha is shared by what rolls back."""
    names = names or ("error-rate",)
    deciding = sum(1 for name in names if metric(name).action == "Rollback")
    base = AnalysisPlan(
        interval=5.0,
        warm_up=10.0,
        min_step=30.0,
        max_step=120.0,
        max_connection_age=5.0,
        metrics=[metric(name, 1 / deciding if metric(name).action == "Rollback" else 1.0) for name in names],
    )
    return base.model_copy(update=changes)


def interval(
    tick: int,
    canary: tuple[float, float] | None = (100.0, 0.0),
    stable: Sequence[tuple[float, float]] = ((100.0, 0.0),) * 3,
    **changes: Any,
) -> Interval:
    """One interval of the error ratio, the stable pods given one by one."""
    counts = MetricCounts({"c": canary} if canary else {}, {f"s{i}": pod for i, pod in enumerate(stable)})
    fields: dict[str, Any] = {"metrics": {"error-rate": counts}, "connections": 100.0}
    return Interval(tick=tick, t=START + 5.0 * tick, **fields | changes)


def latency(tick: int, canary: Sequence[float], stable: Sequence[float], **changes: Any) -> Interval:
    """One interval of the latency: requests, then how many were slower than each of EDGES."""
    counts = MetricCounts({"c": tuple(canary)}, {"s0": tuple(stable)}, "histogram", EDGES)
    return interval(tick, metrics={"latency": counts}, **changes)


def by_router(tick: int, canary: tuple[float, float], stable: tuple[float, float], **changes: Any) -> Interval:
    """One interval of the error ratio as one router counts it."""
    counts = MetricCounts({WHOLE: canary}, {WHOLE: stable})
    return interval(tick, metrics={"error-rate": counts}, **changes)


def judged(intervals: Iterable[Interval], how: AnalysisPlan | None = None, state: State | None = None) -> State:
    """The state after these intervals."""
    state = state or State()
    for one in intervals:
        engine.ingest(state, how or plan(), one)
    return state


def against(state: State, name: str = "error-rate", place: int = 0) -> float:
    """The evidence against the canary on one test of a metric."""
    metric = state.metrics[name]
    unspent = 1 - (state.late_spent if metric.late else state.spent)
    return evidence.evidence_against(metric.processes[place].bad, unspent)


def in_favour(state: State, name: str = "error-rate", place: int = 0) -> float:
    """The evidence for it in this stage."""
    return evidence.evidence_for(state.metrics[name].processes[place].ok)


@dataclass
class Steady:
    """A source in which every pod serves at a steady rate from when it began."""

    pods: dict[str, tuple[str, float, float, float]]
    """Name → revision, beginning (epoch seconds), requests and errors a second."""
    broken: Callable[[float], MetricError | None] = lambda _at: None
    """The error with which a question for an instant fails."""
    asked: list[float] = field(default_factory=list)
    connections: float = 1.0
    """A second."""

    async def instant(self, query: str, at: float) -> list[Sample]:
        del query
        self.asked.append(at)
        if error := self.broken(at):
            raise error
        out: list[Sample] = []
        for name, (revision, begin, rate, errors) in self.pods.items():
            age = at - begin
            if age < 0:
                continue
            bad = round(age * errors)
            n = round(age * rate)
            values = {("success", ""): n - bad, ("server_error", ""): bad, ("client_error", ""): 0.0}
            buckets = {("le", "0.01"): 0.9 * n, ("le", "0.1"): n, ("le", "+Inf"): n}
            out += pod_samples(name, revision, values | buckets | {("connections", ""): age * self.connections})
        return out

    async def window(self, query: str, start: float, end: float, step: float) -> list[Instant]:
        count = round((end - start) / step)
        return [(start + i * step, await self.instant(query, start + i * step)) for i in range(count + 1)]


def four_pods(canary_errors: float = 0.0, rate: float = 50.0) -> dict[str, tuple[str, float, float, float]]:
    """Three stable pods that have served for long, and a canary from START + 10 s on."""
    pods = {f"s{i}": ("stable", START - 300.0, rate, 0.0) for i in range(3)}
    return pods | {"c": ("canary", START + 10.0, rate, canary_errors)}


def request(now: float, state: str = "", how: AnalysisPlan | None = None, **changes: Any) -> JudgeRequest:
    """A question about `four_pods` at START + now; the share is reached when the canary is there."""
    pods = {f"s{i}": ("stable", START - 300.0) for i in range(3)}
    stage = Stage(1, None)
    if now >= 10:
        pods["c"], stage = ("canary", START + 10.0), Stage(1, START + 10.0)
    fields: dict[str, Any] = {
        "namespace": "ns",
        "model": "m",
        "canary": "canary",
        "stable": "stable",
        "plan": how or plan(),
        "started_at": START,
        "stage": stage,
        "pods": pods,
        "state": state,
        "now": START + now,
        "canary_version": "7",
        "stable_version": "6",
    }
    return JudgeRequest(**fields | changes)


Judge = Callable[[JudgeRequest], Any]


async def every_tick(judge: Judge, until: float, how: AnalysisPlan | None = None) -> list[Judgement]:
    """The answers when asked at each tick from START until then."""
    state, out = "", []
    now = 1.0
    while now <= until:
        out.append(await judge(request(now, state, how)))
        state = out[-1].state
        now += 5.0
    return out
