"""The engine: what is judged, against which windows, and what is kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from fairlead.analysis import engine, evidence
from fairlead.analysis.evidence import BETTER, WORSE, Counts, Margin
from fairlead.analysis.intervals import Interval, MetricCounts
from fairlead.analysis.state import State
from fairlead.api.plan import AnalysisPlan
from tests.unit.analysis.support import EDGES, interval, latency, plan

BAD_CANARY = (100.0, 10.0)


def fed(intervals: Iterable[Interval], how: AnalysisPlan | None = None, state: State | None = None) -> State:
    state = state or State()
    for one in intervals:
        engine.ingest(state, how or plan(), one)
    return state


def against(state: State, key: str = "error-rate") -> float:
    return evidence.mixture(state.processes[key].bad) + 1 - state.spent


def in_favour(state: State, key: str = "error-rate") -> float:
    return evidence.mixture(state.processes[key].ok)


def test_an_interval_is_judged_when_the_window_after_it_is_known() -> None:
    state = fed(interval(t, BAD_CANARY) for t in range(2))
    assert state.judged == 1, "of two intervals the second waits"
    fed([interval(2, BAD_CANARY)], state=state)
    assert state.judged == 2
    assert state.processes["error-rate"].canary == Counts(200, 20)


def test_evidence_is_the_least_of_three_alignments_over_phi() -> None:
    pods = [((100.0, float(k)),) for k in (9, 1, 4)]
    state = fed(interval(t, (100.0, 20.0) if t == 1 else None, pods[t]) for t in range(2))
    process = replace(state.processes["error-rate"])
    fed([interval(2, None, pods[2])], state=state)
    windows = [Counts(*pod[0]) for pod in pods]
    step = evidence.aligned(Counts(100, 20), windows, Margin(1.1, 0.0005), WORSE, process.phi)
    mass = evidence.onset(1) + evidence.stage_onset(1)
    assert state.processes["error-rate"].bad == evidence.against(process.bad, step, mass)
    better = evidence.aligned(Counts(100, 20), windows, Margin(1.5, 0.01), BETTER, process.phi)
    assert state.processes["error-rate"].ok == evidence.product(process.ok, better)


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_a_shared_outage_seen_a_tick_apart_is_no_evidence(shift: int) -> None:
    """Both arms fail alike, but their pods are scraped at different instants."""
    out = (100.0, 60.0)
    state = fed(
        interval(t, out if t == 10 else (100.0, 0.0), [out if t == 10 + shift else (100.0, 0.0)] * 3) for t in range(20)
    )
    assert against(state) < 3


def test_the_same_outage_in_the_canary_alone_is_evidence() -> None:
    state = fed(interval(t, (100.0, 60.0) if t == 10 else (100.0, 0.0)) for t in range(20))
    assert against(state) > 1000


def test_unsettled_intervals_are_not_judged_but_teach_the_dispersion() -> None:
    spread = [(100.0, 30.0), (100.0, 10.0), (100.0, 2.0)]
    state = fed(interval(t, BAD_CANARY, spread, settled=False) for t in range(5))
    assert state.judged == 0
    assert state.processes["error-rate"].phi > 5


def test_dispersion_of_an_interval_comes_from_the_ones_before_it() -> None:
    quiet = [(1000.0, 100.0)] * 3
    wild = [(1000.0, 300.0), (1000.0, 100.0), (1000.0, 2.0)]
    state = fed(interval(t, BAD_CANARY, quiet) for t in range(5))
    fed([interval(5, BAD_CANARY, wild)], state=state)
    waiting = state.processes["error-rate"].phi
    fed([interval(6, BAD_CANARY, quiet)], state=state)
    assert waiting < 2.5 < state.processes["error-rate"].phi


def test_with_a_lone_stable_pod_the_requests_of_a_connection_count_as_one() -> None:
    lone = [(1000.0, 10.0)]
    state = fed(interval(t, BAD_CANARY, lone, opened=10.0, carried=400.0) for t in range(4))
    assert state.processes["error-rate"].phi == 40
    state = fed(interval(t, BAD_CANARY, lone * 3, opened=10.0, carried=400.0) for t in range(4))
    assert state.processes["error-rate"].phi < 2.5


def test_blocks_are_sums_over_the_ticks_of_a_block() -> None:
    spread = [(100.0, 12.0), (100.0, 10.0), (100.0, 8.0)]
    ticks = engine.block_ticks(plan())
    assert ticks == 12
    state = fed(interval(t, BAD_CANARY, spread) for t in range(2 * ticks))
    process = state.processes["error-rate"].spread
    assert process.block_df == pytest.approx(4, rel=0.01)
    assert process.block_chi / process.block_df > 4 * process.tick_chi / process.tick_df


@pytest.mark.parametrize(("age", "every", "seconds"), [(5, 5, 60), (20, 15, 60), (120, 15, 240), (0.5, 60, 60)])
def test_a_block_outlasts_connections(age: float, every: float, seconds: float) -> None:
    how = plan(max_connection_age=age, interval=every)
    assert engine.block_ticks(how) * every == seconds


def test_settling_covers_the_connections_age_and_one_scrape() -> None:
    assert engine.settle_time(plan(max_connection_age=20.0, interval=15.0)) == 24 + 15


def test_a_new_stage_keeps_the_case_against_and_restarts_the_case_for() -> None:
    state = fed(interval(t, (100.0, 2.0), stage=1) for t in range(12))
    bad, ok = against(state), in_favour(state)
    assert bad > 1.5
    engine.enter_stage(state, 2)
    assert against(state) == bad
    assert in_favour(state) == 1 != ok
    assert state.processes["error-rate"].canary == Counts(0, 0)
    assert state.last_data is None


def test_each_stage_brings_prior_mass_of_its_own() -> None:
    state = fed(interval(t, stage=1) for t in range(6))
    spent = state.spent
    fed((interval(t, stage=2) for t in range(6, 8)), state=state)
    assert state.spent - spent == pytest.approx(evidence.onset(6) + evidence.stage_onset(2))


def test_gone_pods_make_room_for_new_ones() -> None:
    state = fed(
        replace(interval(t), metrics={"error-rate": MetricCounts({}, {f"p{t}-{i}": (100.0, 1.0) for i in range(10)})})
        for t in range(3)
    )
    assert set(state.whole["error-rate"]) == {f"p2-{i}" for i in range(8)}


def test_a_late_regression_is_found_soon() -> None:
    """The change-point mixture: an hour of good answers does not shield a canary that then begins to fail."""
    state = fed(interval(t) for t in range(720))
    fed((interval(t, BAD_CANARY) for t in range(720, 726)), state=state)
    assert against(state) > 100


def test_the_same_interval_again_changes_nothing() -> None:
    state = fed(interval(t, BAD_CANARY) for t in range(4))
    before = against(state), state.judged, state.processes["error-rate"].canary
    fed([interval(3, (100.0, 90.0)), interval(1, (100.0, 90.0))], state=state)
    assert (against(state), state.judged, state.processes["error-rate"].canary) == before


def test_nothing_is_judged_across_a_gap() -> None:
    state = fed([interval(0, BAD_CANARY), interval(7, BAD_CANARY)])
    assert state.judged == 0
    fed([interval(8, BAD_CANARY)], state=state)
    assert state.judged == 1
    assert against(state) < 2, "the window before the gap does not count, so there is no alignment yet"


@pytest.mark.parametrize("missing", ["canary", "stable", "metric"])
def test_no_data_leaves_the_evidence_as_it_was(missing: str) -> None:
    state = fed(interval(t, (100.0, 1.0)) for t in range(6))
    canary, stable = (None if missing == "canary" else (100.0, 1.0)), (() if missing == "stable" else ((100.0, 0.0),))
    for t in (6, 7, 8):
        one = interval(t, canary, stable)
        if missing == "metric":
            one = replace(one, metrics={})
        engine.ingest(state, plan(), one)
    settled = against(state)
    engine.ingest(state, plan(), interval(9, canary, stable))
    assert against(state) == pytest.approx(settled, rel=0.02)


def test_the_clock_of_onsets_stands_still_without_canary_requests() -> None:
    state = fed(interval(t) for t in range(5))
    judged, spent = state.judged, state.spent
    fed((interval(t, None) for t in range(5, 40)), state=state)
    assert state.judged == judged + 1
    assert state.spent == pytest.approx(spent + evidence.onset(judged + 1))


def test_edges_are_the_ones_nearest_to_stables_quantiles() -> None:
    how = plan("latency")
    state = fed([latency(0, (0, 0, 0, 0), (1000, 400, 12, 0))], how)
    assert state.edges == EDGES, ".5 → 10 ms, .99 → 100 ms, .999 → 1 s"
    assert set(state.processes) == {"latency>0.01", "latency>0.1", "latency>1"}


def test_edges_wait_for_enough_requests_and_are_then_kept() -> None:
    how = plan("latency")
    state = fed([latency(0, (0, 0, 0, 0), (60, 30, 0, 0))], how)
    assert not state.processes
    fed([latency(1, (0, 0, 0, 0), (60, 30, 0, 0))], how, state)
    chosen = state.edges
    assert chosen
    fed([latency(2, (0, 0, 0, 0), (6000, 6000, 6000, 6000))], how, state)
    assert state.edges == chosen


def test_history_gives_edges_and_dispersion_before_the_first_interval() -> None:
    how, state = plan("latency"), State()
    rows = [(1000, 400, 20, 1), (1000, 600, 5, 0), (1000, 350, 11, 2)]
    counts = MetricCounts({}, {f"s{i}": row for i, row in enumerate(rows)}, EDGES)
    history = [interval(t, metrics={"latency": counts}) for t in range(-20, 0)]
    engine.learn(state, how, history)
    assert state.edges == EDGES
    assert state.processes["latency>0.01"].spread.tick_df > 30
    assert state.processes["latency>0.01"].spread.block_df > 1
    assert (state.judged, state.tick) == (0, -1)


def test_a_pod_with_other_buckets_is_no_data_for_the_missing_edge() -> None:
    how = plan("latency")
    state = fed((latency(t, (100, 40, 1, 0), (1000, 400, 12, 0)) for t in range(4)), how)
    one = latency(4, (100, 40, 1, 0), (1000, 400, 12, 0))
    counts = MetricCounts({"c": (100, 1, 0)}, {"s0": (1000, 12, 0)}, (0.1, 1.0))
    fed([replace(one, metrics={"latency": counts})], how, state)
    judged = state.processes["latency>0.01"].canary.n
    fed([latency(5, (100, 40, 1, 0), (1000, 400, 12, 0))], how, state)
    assert state.processes["latency>0.01"].canary.n == judged
    assert state.processes["latency>0.1"].canary.n == judged + 100
