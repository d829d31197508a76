"""The state's text form: exact, small, and honest about damage."""

from __future__ import annotations

import zlib

import pytest

from fairlead.analysis import engine
from fairlead.analysis.evidence import Counts
from fairlead.analysis.intervals import Interval, MetricCounts
from fairlead.analysis.state import MAX_PODS, LostStateError, State, dump, load
from tests.bench.analysis.traffic import EDGES
from tests.unit.analysis.support import interval, plan

NAMES = ("error-rate", "latency", "client-error-rate")


def everything(tick: int, pods: int = 4) -> Interval:
    tails = tuple(max(0.0, 1000 - 180.0 * i + tick) for i in range(len(EDGES)))
    ratio = MetricCounts({"c": (300, 3)}, {f"model-0123456789-abcde{i}": (300, i % 3) for i in range(pods)})
    slow = MetricCounts(
        {"c": (1000, *tails)}, {f"model-0123456789-abcde{i}": (1000, *tails) for i in range(pods)}, EDGES
    )
    return interval(tick, metrics={"error-rate": ratio, "client-error-rate": ratio, "latency": slow})


def test_every_verdict_is_the_same_whether_or_not_the_judge_was_restarted() -> None:
    how, kept, stored = plan(*NAMES), State(), State()
    for tick in range(60):
        engine.ingest(kept, how, everything(tick))
        stored = load(dump(stored))
        engine.ingest(stored, how, everything(tick))
        assert dump(kept) == dump(stored)
    assert load(dump(kept)) == kept


def test_state_of_a_large_deployment_fits() -> None:
    state, how = State(), plan(*NAMES)
    state.meet({f"model-0123456789-abcde{i}": 1e9 + i for i in range(MAX_PODS)})
    for tick in range(18):
        engine.ingest(state, how, everything(tick, pods=100))
    assert len(dump(state)) < 8 * 1024


def test_first_ready_is_kept_when_the_pod_becomes_ready_again() -> None:
    state = State()
    state.meet({"a": 100.0})
    state.meet({"a": 500.0, "b": 400.0})
    state = load(dump(state))
    assert (state.first_ready("a"), state.first_ready("b"), state.first_ready("c")) == (100.0, 400.0, None)


def test_pods_that_are_remembered_are_bounded() -> None:
    state = State()
    state.meet({f"p{i}": float(i) for i in range(3 * MAX_PODS)})
    assert len(state.ready) == MAX_PODS
    assert state.first_ready(f"p{3 * MAX_PODS - 1}") is not None


def test_pods_that_are_gone_are_forgotten_before_living_ones() -> None:
    state = State()
    for i in range(3 * MAX_PODS):
        state.meet({"old": 1.0, f"p{i}": 100.0 + i})
    assert state.first_ready("old") == 1.0


@pytest.mark.parametrize("damage", ["", "x", "1.", "nonsense", "1.00000000.{}", "2.", "cut", "flip"])
def test_damage_is_told(damage: str) -> None:
    good = dump(State(edges=(0.1,), connections=3.0))
    text = {"cut": good[:-7], "flip": good.replace("0.1", "0.2"), "2.": "2" + good[1:]}.get(damage, damage)
    with pytest.raises(LostStateError):
        load(text)


def test_a_sound_checksum_on_another_shape_is_damage_too() -> None:
    body = '{"tick":1}'
    with pytest.raises(LostStateError):
        load(f"1.{zlib.crc32(body.encode()):08x}.{body}")


def test_waiting_counts_survive() -> None:
    state = State()
    engine.ingest(state, plan(), interval(0, (123456789.0, 3.0)))
    assert load(dump(state)).processes["error-rate"].waiting == Counts(123456789.0, 3.0)
