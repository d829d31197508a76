"""The engine: what is judged, against which windows, and what is kept."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import pairwise

import pytest

from fairlead.analysis import engine, evidence
from fairlead.analysis.evidence import WORSE, Counts, Margin
from fairlead.analysis.intervals import WHOLE, MetricCounts
from fairlead.analysis.state import State
from fairlead.api.plan import AnalysisPlan
from tests.unit.analysis.support import EDGES, against, by_router, in_favour, interval, judged, latency, metric, plan

BAD_CANARY = (100.0, 10.0)
SPREAD = [(100.0, 30.0), (100.0, 10.0), (100.0, 2.0)]


def test_where_pods_count_an_interval_is_judged_when_the_window_after_it_is_known() -> None:
    state = judged(interval(t, BAD_CANARY) for t in range(2))
    assert state.judged == 1, "of two intervals the second waits"
    judged([interval(2, BAD_CANARY)], state=state)
    assert state.judged == 2
    one = state.metrics["error-rate"]
    assert (one.canary, one.processes[0].canary) == (200, 20)


def test_what_a_router_counts_is_judged_at_once() -> None:
    state = judged([by_router(0, BAD_CANARY, (300, 0))], plan(counted_at="router"))
    assert state.judged == 1
    step = evidence.log_e(Counts(*BAD_CANARY), Counts(300, 0), Margin(1.1, 0.0005), WORSE)
    mass = evidence.onset(1) + evidence.stage_onset(1)
    want = evidence.against(evidence.NOTHING_YET, step, mass)
    assert state.metrics["error-rate"].processes[0].bad == pytest.approx(want, rel=1e-6)


def test_unsettled_intervals_are_not_judged_but_teach_the_dispersion() -> None:
    state = judged(interval(t, BAD_CANARY, SPREAD, settled=False) for t in range(5))
    assert state.judged == 0
    assert state.metrics["error-rate"].processes[0].spread.tick_df > 5
    assert state.acted == ("settling",)


@pytest.mark.parametrize(
    ("routing", "counted_at", "seconds"),
    [("connection", "pod", 24 + 15), ("connection", "router", 24), ("request", "pod", 15), ("request", "router", 0)],
)
def test_settling_covers_the_connections_age_and_one_scrape(routing: str, counted_at: str, seconds: float) -> None:
    how = plan(max_connection_age=20.0, interval=15.0, routing=routing, counted_at=counted_at)
    assert engine.settle_time(how) == seconds


def test_a_new_stage_keeps_the_case_against_and_restarts_the_case_for() -> None:
    state = judged(interval(t, (100.0, 2.0), stage=1) for t in range(12))
    bad, ok = against(state), in_favour(state)
    ratio = state.metrics["error-rate"].processes[0].estimate.above
    assert bad > 1.5
    engine.enter_stage(state, 2)
    one = state.metrics["error-rate"]
    assert against(state) == bad
    assert in_favour(state) == 1 != ok
    assert (one.canary, one.processes[0].canary) == (0, 0)
    assert one.processes[0].estimate.above == ratio > 0
    assert state.last_data is None


def test_each_stage_brings_prior_mass_of_its_own() -> None:
    state = judged(interval(t, stage=1) for t in range(6))
    spent = state.spent
    judged((interval(t, stage=2) for t in range(6, 8)), state=state)
    assert state.spent - spent == pytest.approx(evidence.onset(6) + evidence.onset(7) + evidence.stage_onset(2))


def test_a_late_regression_is_found_soon() -> None:
    """The change-point mixture: an hour of good answers does not shield a canary that then begins to fail."""
    state = judged(interval(t) for t in range(720))
    judged((interval(t, BAD_CANARY) for t in range(720, 727)), state=state)
    assert against(state) > 100


def test_the_same_interval_again_changes_nothing() -> None:
    state = judged(interval(t, BAD_CANARY) for t in range(4))
    before = copy.deepcopy(state)
    judged([interval(3, (100.0, 90.0)), interval(1, (100.0, 90.0))], state=state)
    assert state == before


def test_nothing_is_judged_across_a_gap() -> None:
    state = judged([interval(0, (100.0, 0.0)), interval(1, BAD_CANARY), interval(7, BAD_CANARY)])
    assert state.judged == 2, "what waited is judged without the window after it"
    assert state.metrics["error-rate"].before.n == 0
    judged([interval(8, BAD_CANARY)], state=state)
    assert state.judged == 3


@pytest.mark.parametrize("missing", ["canary", "stable", "metric"])
def test_no_data_leaves_the_evidence_as_it_was(missing: str) -> None:
    state = judged(interval(t, (100.0, 1.0)) for t in range(6))
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
    state = judged(interval(t) for t in range(5))
    spent = state.spent
    judged((interval(t, None) for t in range(5, 40)), state=state)
    assert state.judged == 5
    assert state.spent == pytest.approx(spent + evidence.onset(5))


def test_a_metric_without_data_shares_the_clock_with_those_that_have_some() -> None:
    how, state = plan("error-rate", "client-error-rate"), State()
    both = MetricCounts({"c": (100, 1)}, {"s0": (300, 3), "s1": (300, 3)})
    for t in range(20):
        metrics = {"error-rate": both} | ({"client-error-rate": both} if 5 <= t < 8 else {})
        engine.ingest(state, how, interval(t, metrics=metrics))
    assert state.metrics["client-error-rate"].canary == 300
    assert against(state, "client-error-rate") < 1.2
    joined_late = state.metrics["client-error-rate"].processes[0].bad
    assert sum(joined_late) / len(joined_late) <= state.spent * 1.2


def test_a_metric_that_joins_late_has_been_at_one_so_far() -> None:
    how = plan("error-rate", "client-error-rate", counted_at="router")
    nothing = MetricCounts({WHOLE: (1, 0)}, {WHOLE: (1, 0)})
    names = [{"error-rate"}] * 10 + [{"error-rate", "client-error-rate"}] * 3
    state = judged((interval(t, metrics=dict.fromkeys(name, nothing)) for t, name in enumerate(names)), how)
    assert against(state, "client-error-rate") == pytest.approx(1, abs=0.02)


def test_rules_that_acted_on_the_judged_interval_are_told_with_those_of_the_newest() -> None:
    pods = [[(100.0, 9.0)], [(100.0, 1.0)], [(100.0, 4.0)]]
    state = judged(interval(t, (100.0, 20.0), pods[t], acted=("warm-up",) if t == 2 else ()) for t in range(3))
    assert set(state.acted) == {"warm-up", "alignment", "dispersion"}
    judged([interval(3, None, pods[0]), interval(4, None, pods[0])], state=state)
    assert state.acted == ()


def test_edges_wait_for_enough_requests_and_are_then_kept() -> None:
    how = plan("latency")
    state = judged([latency(0, (0, 0, 0, 0), (60, 30, 0, 0))], how)
    assert not state.metrics["latency"].processes
    judged([latency(1, (0, 0, 0, 0), (60, 30, 0, 0))], how, state)
    chosen = state.metrics["latency"].cuts
    assert chosen
    judged([latency(2, (0, 0, 0, 0), (6000, 6000, 6000, 6000))], how, state)
    assert state.metrics["latency"].cuts == chosen


def test_history_gives_edges_and_dispersion_before_the_first_interval() -> None:
    how, state = plan("latency"), State()
    rows = [(1000, 400, 20, 1), (1000, 600, 5, 0), (1000, 350, 11, 2)]
    counts = MetricCounts({}, {f"s{i}": row for i, row in enumerate(rows)}, "histogram", EDGES)
    history = [interval(t, metrics={"latency": counts}, opened=10.0, carried=3000.0) for t in range(-24, 0)]
    engine.learn(state, how, history)
    one = state.metrics["latency"]
    assert one.cuts == EDGES
    assert one.processes[0].spread.tick_df > 30
    assert one.processes[0].spread.block_df > 1
    assert (state.judged, state.tick, one.canary) == (0, -1, 0)
    assert state.carried / state.opened == 300


def test_counts_without_a_judged_edge_are_no_data() -> None:
    how = plan("latency")
    state = judged((latency(t, (100, 40, 1, 0), (1000, 400, 12, 0)) for t in range(4)), how)
    one = state.metrics["latency"]
    assert len(one.cuts) == 3
    counts = MetricCounts({"c": (100, 1, 0)}, {"s0": (1000, 12, 0)}, "histogram", (0.1, 1.0))
    judged([interval(4, metrics={"latency": counts})], how, state)
    judged_so_far = one.canary
    judged([latency(5, (100, 40, 1, 0), (1000, 400, 12, 0))], how, state)
    assert one.canary == judged_so_far
    judged([latency(6, (100, 40, 1, 0), (1000, 400, 12, 0))], how, state)
    assert one.canary == judged_so_far + 100


def test_counts_of_another_kind_are_no_data() -> None:
    state = judged(interval(t, BAD_CANARY) for t in range(4))
    other = MetricCounts({"c": {"a": 5.0}}, {"s0": {"a": 5.0}}, "categorical")
    judged((interval(t, metrics={"error-rate": other}) for t in range(4, 9)), state=state)
    assert state.judged == 4
    assert state.metrics["error-rate"].canary == 400


def test_late_truth_has_a_clock_of_its_own() -> None:
    how = plan("error-rate", "accuracy")
    wrong = MetricCounts({"c": (100, 40)}, {"s0": (300, 30), "s1": (300, 30)})
    state = judged((interval(t, late={"accuracy": wrong} if t > 10 else {}) for t in range(20)), how)
    assert (state.judged, state.late_judged) == (19, 9)
    assert against(state, "accuracy") > 1000
    assert against(state) < 1.01
    judged([interval(20, stage=1)], how, state)
    assert state.metrics["accuracy"].canary == 900, "truth about earlier requests outlives the stage"


@pytest.mark.parametrize(
    ("counted_at", "canary", "stable", "fires"),
    [
        ("router", 20.0, 80.0, False),
        ("router", 20.0, 86.0, False),
        ("router", 10.0, 90.0, True),
        ("router", 40.0, 60.0, True),
        ("pod", 10.0, 90.0, True),
    ],
)
def test_a_share_that_is_not_the_one_asked_for_is_found(
    counted_at: str, canary: float, stable: float, *, fires: bool
) -> None:
    how = plan(counted_at=counted_at, routing="request")
    state = judged((by_router(t, (canary, 0), (stable, 0), share=0.2) for t in range(60)), how)
    assert (state.split.evidence(1 - state.spent) >= 100) == fires


def test_a_stable_window_that_is_a_tick_late_is_no_mismatch() -> None:
    """Pods are scraped one by one, so when the load changes the arms' windows show different loads."""
    loads = [100.0 * 1.3**t for t in range(31)]
    rows = [((0.2 * before, 0.0), (0.8 * now, 0.0)) for before, now in pairwise(loads)]
    for counted_at, fires in (("pod", False), ("router", True)):
        how = plan(counted_at=counted_at, routing="request")
        state = judged((by_router(t, *row, share=0.2) for t, row in enumerate(rows)), how)
        assert (state.split.evidence(1 - state.spent) >= 100) == fires


def test_where_connections_are_balanced_the_share_is_that_of_the_connections() -> None:
    how = plan(routing="connection")
    fair = judged((interval(t, share=0.25, opened=40.0, opened_canary=10.0) for t in range(40)), how)
    unfair = judged((interval(t, share=0.25, opened=40.0, opened_canary=2.0) for t in range(40)), how)
    unknown = judged((interval(t, share=0.25, opened=40.0) for t in range(40)), how)
    assert fair.split.evidence(1 - fair.spent) < 2
    assert unfair.split.evidence(1 - unfair.spent) > 100
    assert unknown.split.total == 0


def test_state_of_a_plan_with_thresholds_only_keeps_no_evidence() -> None:
    how: AnalysisPlan = plan("mine", metrics=[metric("mine", kind="query")])
    state = judged((interval(t) for t in range(3)), how)
    assert (state.judged, state.metrics["mine"].processes) == (0, [])
