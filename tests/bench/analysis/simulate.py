"""One simulated rollout of a single step, from its start to the verdict that ends the step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fairlead.analysis.analyst import Analyst
from fairlead.analysis.request import Judgement, JudgeRequest, Stage
from fairlead.api.plan import AnalysisPlan, PlanMargin, PlanMetric
from fairlead.api.verdict import Outcome, Verdict
from tests.bench.analysis.traffic import Load, Pod, Store, Version, drive

START = 1_000_000.0


def defaults(**changes: object) -> AnalysisPlan:
    """What a ModelDeployment without an `analysis` gets."""
    promotion = PlanMargin(ratio=1.5, absolute=0.002)
    base = plan()
    metrics = [metric.model_copy(update={"promotion": promotion}) for metric in base.metrics]
    return AnalysisPlan(metrics=metrics).model_copy(update=changes)


def plan(**changes: object) -> AnalysisPlan:
    """The demo's judging: 5 s ticks, short warm-up and connections, δ₁ of 1 %."""
    rollback = PlanMargin(ratio=1.1, absolute=0.0005)
    promotion = PlanMargin(ratio=1.5, absolute=0.01)
    weights = {"error-rate": 0.5, "latency": 0.4, "client-error-rate": 0.1}
    metrics = [
        PlanMetric(name=name, weight=weight, rollback=rollback, promotion=promotion) for name, weight in weights.items()
    ]
    base = AnalysisPlan(
        interval=5.0, warm_up=10.0, min_step=30.0, max_step=180.0, max_connection_age=5.0, metrics=metrics
    )
    return base.model_copy(update=changes)


GOOD = Version()
STEADY = Load()


@dataclass(frozen=True)
class Scenario:
    """What is rolled out, under which load."""

    stable: Version = GOOD
    canary: Version = GOOD
    load: Load = STEADY
    stable_pods: int = 3
    history: float = 120.0
    up_after: float = 6.0
    length: float = 240.0
    scrape: float = 5.0


@dataclass(frozen=True)
class Ending:
    """How the step ended: seconds from the first canary request, and the verdict."""

    seconds: float
    verdict: Verdict


def build(scenario: Scenario, seed: int) -> tuple[Store, float]:
    """The pods after the whole load, behind a store; and when the canary became ready."""
    random = np.random.default_rng(seed)
    ready = START + scenario.up_after + random.uniform(0, 5)
    phases = START + random.uniform(0, scenario.scrape, scenario.stable_pods + 1)
    begin = START - scenario.history
    pods = [Pod(f"s{i}", "stable", scenario.stable, begin, phases[i]) for i in range(scenario.stable_pods)]
    pods.append(Pod("c0", "canary", scenario.canary, ready, phases[-1]))
    outages = tuple((START + a, START + b, share) for a, b, share in scenario.load.outages)
    drive(pods, replace(scenario.load, outages=outages), begin, START + scenario.length, random)
    return Store(pods, scenario.scrape), ready


async def roll_out(scenario: Scenario, seed: int, how: AnalysisPlan) -> Ending:
    """Judge the rollout until something is decided or the load ends."""
    store, ready = build(scenario, seed)
    analyst, now, state = Analyst(store), START + 0.5, ""
    judged: Judgement | None = None
    while now < START + scenario.length:
        judged = await analyst.judge(request(store, how, ready, now, state))
        state = judged.state
        if judged.verdict.outcome in (Outcome.ROLLBACK, Outcome.ADVANCE):
            break
        now = max(judged.next_at, now + 0.5)
    assert judged is not None
    return Ending(now - ready, judged.verdict)


def request(store: Store, how: AnalysisPlan, ready: float, now: float, state: str) -> JudgeRequest:
    """What the controller would ask at `now`."""
    pods = {pod.name: (pod.revision, pod.ready) for pod in store.pods if pod.ready <= now}
    stage = Stage(1, ready + 0.5 if now > ready + 0.5 else None)
    share = round(100 / len(store.pods))
    return JudgeRequest("ns", "m", "canary", "stable", how, START, stage, pods, state, now, "7", "6", weights=(share,))
