"""`python -m tests.bench.analysis [RUNS [PART-OF-A-NAME]]`: false rollbacks, detection and promotion times."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np

from fairlead.api.plan import AnalysisPlan
from tests.bench.analysis.simulate import Scenario, defaults, plan, roll_out
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


def main() -> None:
    """Print one line per scenario."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    only = sys.argv[2] if len(sys.argv) > 2 else ""
    for kind, scenarios, settings in (("demo", DEMO, plan), ("defaults", DEFAULT, defaults)):
        for name, scenario in scenarios.items():
            if only in f"{kind}: {name}":
                how = settings(max_connection_age=max(scenario.load.connection_age, how_age(kind)))
                print(f"{kind}: {name}: {summary(scenario, how, runs)}", flush=True)  # noqa: T201


def how_age(kind: str) -> float:
    """The connections' maximum age that the settings promise at least."""
    return 20.0 if kind == "defaults" else 5.0


def summary(scenario: Scenario, how: AnalysisPlan, runs: int) -> str:
    """How often the rollout ended how, and when (least, median, 99 % and most seconds from the first request)."""
    endings = [asyncio.run(roll_out(scenario, seed, how)) for seed in range(runs)]
    times: defaultdict[str, list[float]] = defaultdict(list)
    for ending in endings:
        times[f"{ending.verdict.outcome} {ending.verdict.reason}"].append(ending.seconds)
    parts = []
    for end, seconds in sorted(times.items(), key=lambda item: -len(item[1])):
        quantiles = "/".join(f"{q:.0f}" for q in np.quantile(seconds, [0, 0.5, 0.99, 1]))
        parts.append(f"{end} {len(seconds)}/{runs} after {quantiles} s")
    return "; ".join(parts)


if __name__ == "__main__":
    main()
