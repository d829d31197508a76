"""Rollouts through the live judge: pods, connections and scrapes, with the demo's settings and with the defaults."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fairlead.api.verdict import Outcome, Reason, Verdict
from tests.bench.analysis.gates import ALPHA
from tests.bench.analysis.simulate import Ending, Scenario, defaults, plan, roll_out
from tests.bench.analysis.summary import most
from tests.bench.analysis.traffic import Load, Version

FEW_ERRORS = Version(errors=0.005)
SIXTEEN = Load(clients=16, requests_per_connection=10**6, connection_age=20.0, unlike=1.5)
LONG: dict[str, Any] = {"length": 760.0, "history": 600.0}

DEMO = {
    "A/A, no errors": Scenario(),
    "A/A, .5 % errors": Scenario(FEW_ERRORS, FEW_ERRORS),
    "A/A, .5 % errors, unlike clients": Scenario(FEW_ERRORS, FEW_ERRORS, Load(unlike=1.0)),
    "A/A, pod stalls": Scenario(load=Load(stalls=0.1)),
    "A/A, shared outage": Scenario(load=Load(outages=((40.0, 70.0, 0.3),))),
    "A/A, pods of unlike speed": Scenario(load=Load(pod_spread=0.1)),
    "A/A, no history, .5 % errors": Scenario(FEW_ERRORS, FEW_ERRORS, history=15.0),
    "A/A, one stable pod, .5 % errors": Scenario(FEW_ERRORS, FEW_ERRORS, stable_pods=1),
    "A/A, 16 unlike clients": Scenario(FEW_ERRORS, FEW_ERRORS, SIXTEEN),
    "A/A, 16 unlike clients, no history": Scenario(FEW_ERRORS, FEW_ERRORS, SIXTEEN, history=15.0),
    "A/A, 16 very unlike clients, no history": Scenario(
        FEW_ERRORS, FEW_ERRORS, replace(SIXTEEN, unlike=2.5), history=15.0
    ),
    "10 % errors": Scenario(canary=Version(errors=0.1)),
    "10 % errors, no history": Scenario(canary=Version(errors=0.1), history=15.0),
    "10 % errors, one stable pod": Scenario(canary=Version(errors=0.1), stable_pods=1),
    "10 % errors, 100 rps": Scenario(canary=Version(errors=0.1), load=Load(rate=100)),
    "5 % errors": Scenario(canary=Version(errors=0.05)),
    "2 % errors against .5 %": Scenario(FEW_ERRORS, Version(errors=0.02)),
    "slow by 50 ms in 30 %": Scenario(canary=Version(slow_share=0.3)),
    "slow by 50 ms in 10 %": Scenario(canary=Version(slow_share=0.1)),
    "median 1.5 times": Scenario(canary=Version(median=0.006)),
}
"""Judged with the demo's settings."""
DEFAULT = {
    "A/A, .5 % errors": Scenario(FEW_ERRORS, FEW_ERRORS, Load(rate=50, requests_per_connection=10**6), **LONG),
    "A/A, 16 unlike clients": Scenario(FEW_ERRORS, FEW_ERRORS, replace(SIXTEEN, rate=50), **LONG),
    "A/A, one stable pod, 16 unlike clients": Scenario(
        FEW_ERRORS, FEW_ERRORS, replace(SIXTEEN, rate=50), stable_pods=1, **LONG
    ),
    "A/A, two stable pods, 16 unlike clients": Scenario(
        FEW_ERRORS, FEW_ERRORS, replace(SIXTEEN, rate=50), stable_pods=2, **LONG
    ),
    "10 % errors, one stable pod": Scenario(
        canary=Version(errors=0.1), load=replace(SIXTEEN, rate=50, unlike=0.0), stable_pods=1, **LONG
    ),
    "5 % errors against .5 %": Scenario(FEW_ERRORS, Version(errors=0.05), replace(SIXTEEN, rate=50), **LONG),
    "slow by 50 ms in 10 %": Scenario(canary=Version(slow_share=0.1), load=replace(SIXTEEN, rate=50), **LONG),
}
"""Judged with the defaults, at 50 requests a second."""


COLUMNS: dict[str, Callable[[Verdict], bool]] = {
    "rolled back": lambda verdict: verdict.outcome == Outcome.ROLLBACK,
    "proven": lambda verdict: verdict.reason == Reason.PROVEN,
    "no evidence of harm": lambda verdict: verdict.reason == Reason.NO_HARM_SEEN,
    "inconclusive": lambda verdict: verdict.outcome in (Outcome.INCONCLUSIVE, Outcome.CONTINUE),
}


def judge(runs: int, only: str) -> tuple[list[str], list[str]]:
    """A table's rows, one for each scenario whose name has this part; a sentence for each A/A that is rolled back."""
    rows = [f"| settings | rollout | {' | '.join(COLUMNS)} |", f"|---|---|{'---|' * len(COLUMNS)}"]
    failures = []
    for kind, scenarios, settings in (("demo", DEMO, plan), ("defaults", DEFAULT, defaults)):
        for name, scenario in scenarios.items():
            if only not in f"{kind}: {name}":
                continue
            how = settings(max_connection_age=max(scenario.load.connection_age, how_age(kind)))
            endings = [asyncio.run(roll_out(scenario, seed, how)) for seed in range(runs)]
            rows.append(f"| {kind} | {name} | {' | '.join(_times(endings, fits) for fits in COLUMNS.values())} |")
            false = sum(ending.verdict.outcome == Outcome.ROLLBACK for ending in endings)
            if name.startswith("A/A") and false > most(runs, ALPHA):
                failures.append(f"{kind}: {name}: {false} of {runs} rolled back")
    return rows, failures


def _times(endings: list[Ending], fits: Callable[[Verdict], bool]) -> str:
    """How many ended so; in brackets median and 99 % quantile of the seconds from the first request."""
    seconds = [ending.seconds for ending in endings if fits(ending.verdict)]
    if not seconds:
        return "–"
    return f"{len(seconds)} ({np.median(seconds):.0f}, {np.quantile(seconds, 0.99):.0f})"


def how_age(kind: str) -> float:
    """The connections' maximum age that the settings promise at least."""
    return 20.0 if kind == "defaults" else 5.0
