"""What stable pods show of dispersion, from interval to interval and over blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairlead.analysis import clumping, engine
from fairlead.analysis.intervals import MetricCounts
from fairlead.analysis.state import State
from tests.unit.analysis.support import EDGES, by_router, interval, judged, plan

BAD_CANARY = (100.0, 10.0)


def test_dispersion_of_an_interval_comes_from_the_ones_before_it() -> None:
    quiet = [(1000.0, 100.0)] * 3
    wild = [(1000.0, 300.0), (1000.0, 100.0), (1000.0, 2.0)]
    state = judged(interval(t, BAD_CANARY, quiet) for t in range(5))
    judged([interval(5, BAD_CANARY, wild)], state=state)
    waiting = state.metrics["error-rate"].processes[0].phi
    judged([interval(6, BAD_CANARY, quiet)], state=state)
    assert waiting < 2.5 < state.metrics["error-rate"].processes[0].phi


def test_with_a_lone_stable_pod_the_requests_of_a_connection_count_as_one() -> None:
    lone = [(1000.0, 10.0)]
    for routing, pods, low, high in (
        ("connection", lone, 40, 40),
        ("connection", lone * 3, 1, 2.5),
        ("request", lone, 1, 2.5),
    ):
        how = plan(routing=routing)
        state = judged((interval(t, BAD_CANARY, pods, opened=10.0, carried=400.0) for t in range(4)), how)
        assert low <= state.metrics["error-rate"].processes[0].phi <= high


@pytest.mark.parametrize(("spread", "unlike"), [(100.0, True), (0.0, False)])
def test_an_edge_that_shows_no_unlike_pods_yet_takes_the_noise_floor_of_the_others(
    spread: float, *, unlike: bool
) -> None:
    pods = {f"s{i}": (1000.0, 400.0 + (i - 1) * spread, 40.0 + (i - 1) * spread / 8, 0.0) for i in range(3)}
    counts = MetricCounts({"c": (1000.0, 400.0, 40.0, 0.0)}, pods, "histogram", EDGES)
    how = plan("latency")
    state = judged((interval(t, metrics={"latency": counts}) for t in range(10)), how)
    floors = [process.floor for process in state.metrics["latency"].processes]
    assert (floors[0] > 2) == (floors[1] > 2) == unlike
    assert floors[0] != floors[1] or not unlike
    assert floors[2] == max(floors[:2])


def test_a_whole_arm_without_history_is_taken_for_independent_requests() -> None:
    how = plan(counted_at="router", routing="request")
    state = judged((by_router(t, (100, 5), (300, 4 * t)) for t in range(10)), how)
    assert state.metrics["error-rate"].processes[0].phi == 1
    assert state.stable_pods == 0


@pytest.mark.parametrize(("bad", "least", "most"), [((10, 10, 10, 10), 1, 1), ((0, 120, 0, 120), 10, 200)])
def test_a_whole_arm_s_history_counts_only_when_it_is_plainly_unlike_itself(
    bad: tuple[int, ...], least: float, most: float
) -> None:
    how, state = plan(counted_at="router", routing="request"), State()
    engine.learn(state, how, [by_router(t - 40, (0, 0), (1000, bad[t % 4]), settled=False) for t in range(40)])
    judged([by_router(0, (100, 1), (300, 3))], how, state)
    assert least <= state.metrics["error-rate"].processes[0].phi <= most


def test_blocks_are_sums_over_the_ticks_of_a_block() -> None:
    spread = [(100.0, 12.0), (100.0, 10.0), (100.0, 8.0)]
    ticks = clumping.block_ticks(plan())
    assert ticks == 12
    state = judged(interval(t, BAD_CANARY, spread) for t in range(2 * ticks))
    assert state.metrics["error-rate"].processes[0].spread.block_df == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize(
    ("routing", "age", "every", "seconds"),
    [
        ("connection", 5, 5, 60),
        ("connection", 20, 15, 60),
        ("connection", 120, 15, 240),
        ("connection", 0.5, 60, 60),
        ("request", 120, 15, 60),
    ],
)
def test_a_block_outlasts_connections(routing: str, age: float, every: float, seconds: float) -> None:
    how = plan(routing=routing, max_connection_age=age, interval=every)
    assert clumping.block_ticks(how) * every == seconds


def test_gone_pods_make_room_for_new_ones() -> None:
    state = judged(
        replace(interval(t), metrics={"error-rate": MetricCounts({}, {f"p{t}-{i}": (100.0, 1.0) for i in range(10)})})
        for t in range(3)
    )
    assert set(state.metrics["error-rate"].whole) == {f"p2-{i}" for i in range(8)}
