"""A few simulated rollouts over connections; `python -m tests.bench.analysis` runs hundreds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairlead.api.verdict import Outcome
from tests.bench.analysis.simulate import Scenario, plan, roll_out
from tests.bench.analysis.traffic import Load, Version

ERRORS = Version(errors=0.005)
UNLIKE = Load(clients=16, requests_per_connection=10**6, connection_age=20.0, unlike=1.5)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("scenario", "age"),
    [
        (Scenario(), 5.0),
        (Scenario(ERRORS, ERRORS), 5.0),
        (Scenario(ERRORS, ERRORS, UNLIKE, length=220.0), 20.0),
        (Scenario(load=Load(outages=((40.0, 70.0, 0.3),))), 5.0),
    ],
    ids=["no errors", "some errors", "unlike clients", "shared outage"],
)
async def test_an_equal_canary_is_not_rolled_back(scenario: Scenario, age: float, seed: int) -> None:
    ending = await roll_out(scenario, seed, plan(max_connection_age=age))
    assert ending.verdict.outcome != Outcome.ROLLBACK, ending.verdict.message


@pytest.mark.parametrize("stable_pods", [1, 3])
@pytest.mark.parametrize(
    ("canary", "culprit"),
    [
        (Version(errors=0.1), "error-rate"),
        (Version(client_errors=0.2), "client-error-rate"),
        (Version(slow_share=0.3), "latency"),
    ],
    ids=["errors", "client errors", "latency"],
)
async def test_a_worse_canary_is_rolled_back_within_a_minute(canary: Version, culprit: str, stable_pods: int) -> None:
    scenario = Scenario(canary=canary, stable_pods=stable_pods, length=80.0)
    ending = await roll_out(scenario, 3, plan())
    assert (ending.verdict.outcome, ending.verdict.culprit) == (Outcome.ROLLBACK, culprit)
    assert ending.seconds < 60


async def test_without_any_history_it_is_still_found_within_a_minute() -> None:
    scenario = replace(Scenario(canary=Version(errors=0.1), length=80.0), history=12.0)
    ending = await roll_out(scenario, 4, plan())
    assert ending.verdict.outcome == Outcome.ROLLBACK
    assert ending.seconds < 60
