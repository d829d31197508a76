"""Stable pods that are few and unlike: what a canary may do beside them, and what is nobody's bad luck."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest

from fairlead.analysis import decision, engine
from fairlead.analysis.finding import Context
from fairlead.analysis.intervals import Interval, MetricCounts
from fairlead.analysis.state import State
from fairlead.api.plan import AnalysisPlan
from fairlead.api.verdict import Outcome, Reason, Verdict
from tests.unit.analysis.support import EDGES, START, interval, plan

HISTORY, TICKS = 60, 20
REQUESTS = 1000.0
ALIKE, SLIGHTLY, THREE = (0.04, 0.04, 0.04), (0.03, 0.04, 0.05), (0.01, 0.03, 0.08)
Making = Callable[[int, float | None, Sequence[float]], Interval]


def errors(tick: int, canary: float | None, stable: Sequence[float], requests: float = REQUESTS) -> Interval:
    arms = [(requests, round(requests * share)) for share in stable]
    return interval(tick, None if canary is None else (requests, round(requests * canary)), arms)


def slow(tick: int, canary: float | None, stable: Sequence[float]) -> Interval:
    def row(share: float) -> tuple[float, ...]:
        return REQUESTS, min(0.99, 10 * share) * REQUESTS, share * REQUESTS, 0.0

    arms = {"c": row(canary)} if canary is not None else {}, {f"s{i}": row(share) for i, share in enumerate(stable)}
    return interval(tick, metrics={"latency": MetricCounts(*arms, "histogram", EDGES)})


def ended(making: Making, how: AnalysisPlan, canary: float, stable: Sequence[float]) -> Verdict:
    state = State()
    engine.learn(state, how, [making(tick - HISTORY - 1, None, stable) for tick in range(HISTORY)])
    for tick in range(TICKS):
        engine.ingest(state, how, making(tick, canary, stable))
    return decision.decide(state, Context(how, START + 5.0 * TICKS, START, canary="7", stable="6"))


@pytest.mark.parametrize(
    ("stable", "canary", "want"),
    [
        (THREE, 0.98, Reason.REGRESSION),
        (THREE, 0.70, Reason.REGRESSION),
        (THREE, 0.30, Reason.POD_NOISE),
        (SLIGHTLY, 0.98, Reason.REGRESSION),
        (SLIGHTLY, 0.40, Reason.REGRESSION),
        (SLIGHTLY, 0.12, Reason.POD_NOISE),
        (ALIKE, 0.12, Reason.REGRESSION),
        ((0.05, 0.08, 0.12), 0.98, Reason.REGRESSION),
        ((0.01, 0.03), 0.98, Reason.REGRESSION),
        ((0.01, 0.03), 0.20, Reason.POD_NOISE),
    ],
)
def test_a_difference_that_no_pods_show_is_a_regression(stable: Sequence[float], canary: float, want: str) -> None:
    got = ended(errors, plan(max_step=600.0), canary, stable)
    assert got.reason == want, got.message


def test_slow_requests_are_judged_so_too() -> None:
    how = plan("latency", max_step=600.0)
    got = ended(slow, how, 0.98, THREE)
    assert got.outcome == Outcome.ROLLBACK, got.message
    assert "requests slower than 100 ms 98.0 % against 4.0 % on 6" in got.message
    assert ended(slow, how, 0.12, THREE).reason == Reason.POD_NOISE


def test_few_requests_take_longer_but_suffice() -> None:
    got = ended(partial(errors, requests=100.0), plan(max_step=600.0), 0.98, THREE)
    assert got.reason == Reason.REGRESSION, got.message


def test_one_odd_pod_among_three_does_not_excuse_a_canary_that_fails_nearly_always() -> None:
    how, odd = plan(max_step=600.0), (0.001, 0.001, 0.08)
    assert ended(errors, how, 0.98, odd).reason == Reason.REGRESSION
    assert ended(errors, how, 0.12, odd).reason in (Reason.POD_NOISE, Reason.PLACEBO)
