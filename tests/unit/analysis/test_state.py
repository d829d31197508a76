"""The state's text form: exact, small, and honest about damage."""

from __future__ import annotations

import base64
import zlib
from dataclasses import replace

import numpy as np
import pytest

from fairlead.analysis import decision, engine
from fairlead.analysis.finding import Context
from fairlead.analysis.intervals import ZERO_BUCKET, Interval, MetricCounts
from fairlead.analysis.state import MAX_PODS, LostStateError, Metric, Process, State, Window, dump, load
from tests.unit.analysis.support import START, interval, judged, plan

SIX = ("error-rate", "latency", "client-error-rate", "prediction-distribution", "input-distribution", "accuracy")
EDGES = tuple(round(0.01 * 1.6**i, 4) for i in range(12))


def live(tick: int, pods: int = 8, classes: int = 32, *, native: bool = False, parts: int = 1) -> Interval:
    """Six metrics as live pods would show them at this tick, without data now and then; `parts`: in fractions."""
    random = np.random.default_rng(tick)

    def arm(cells: object, number: int, name: str) -> dict[str, object]:
        return {f"model-7f9c5d-{name}{i}": cells() for i in range(number)}  # type: ignore[operator]

    def ratio() -> tuple[float, float]:
        return 300.0 + tick, float(random.binomial(300, 0.03))

    def histogram() -> tuple[float, ...]:
        times = random.lognormal(-3, 1.0, 200)
        return 200.0, *(float((times > edge).sum()) for edge in EDGES)

    def buckets() -> dict[int, float]:
        schema = 3 if tick < 20 else 2
        found = np.ceil(np.log2(random.lognormal(-3, 1.0, 200)) * 2**schema).astype(int)
        return {ZERO_BUCKET: 1.0} | {int(index): float((found == index).sum()) for index in np.unique(found)}

    def tally() -> dict[str, float]:
        return {
            f"class-{i}": float(count) / parts
            for i, count in enumerate(random.multinomial(600, [1 / classes] * classes))
        }

    def both(cells: object, **how: object) -> MetricCounts:
        return MetricCounts(arm(cells, 2, "c"), arm(cells, pods, "s"), **how)  # type: ignore[arg-type]

    slow = (
        both(buckets, kind="native", schema=3 if tick < 20 else 2)
        if native
        else both(histogram, kind="histogram", edges=EDGES)
    )
    metrics = {
        "error-rate": both(ratio),
        "client-error-rate": both(ratio),
        "latency": slow,
        "prediction-distribution": both(tally, kind="categorical"),
        "input-distribution": both(tally, kind="categorical"),
    }
    if tick % 13 == 5:
        metrics.pop(SIX[tick % 5])
    return interval(
        tick,
        stage=tick // 16,
        settled=tick % 16 > 2,
        metrics=metrics,
        late={"accuracy": both(ratio)} if tick % 3 else {},
        connections=float(tick),
        opened=10.0 + tick / 7,
        opened_canary=2.5,
        carried=3000.0,
        share=0.2,
        acted=("warm-up",) if tick % 5 == 0 else (),
    )


@pytest.mark.parametrize("counted_at", ["pod", "router"])
@pytest.mark.parametrize("native", [False, True])
def test_every_verdict_is_the_same_whether_or_not_the_judge_was_restarted(counted_at: str, *, native: bool) -> None:
    how, kept, stored = plan(*SIX, counted_at=counted_at), State(), State()
    past = [replace(live(t + 1000, 3, 8, native=native, parts=3), tick=t - 6, settled=False) for t in range(6)]
    for state in (kept, stored):
        engine.learn(state, how, past)
    for tick in (*range(30), *range(37, 44)):
        one = live(tick, 3, 8, native=native, parts=3)
        engine.ingest(kept, how, one)
        engine.ingest(stored, how, one)
        stored = load(dump(stored))
        assert stored == kept, tick
        where = Context(how, START + 5.0 * tick, START)
        assert decision.decide(stored, where) == decision.decide(kept, where)
    assert kept.judged > 15
    assert kept.late_judged > 15


@pytest.mark.parametrize("native", [False, True])
def test_state_with_everything_in_it_fits(*, native: bool) -> None:
    how, state = plan(*SIX, max_connection_age=20.0, interval=15.0), State()
    state.meet({f"model-7f9c5d-abcde{i}": 1e9 + i * 17.3 for i in range(12)})
    for tick in range(70):
        engine.ingest(state, how, live(tick, native=native))
    assert len(state.metrics["latency"].cuts) == 6
    assert len(state.metrics["error-rate"].whole) == 8
    assert len(state.metrics["prediction-distribution"].witness.stable) == 32
    assert len(dump(state)) <= 8 * 1024


def test_state_of_a_large_deployment_fits() -> None:
    state, how = State(), plan("error-rate", "latency", "client-error-rate")
    state.meet({f"model-0123456789-abcde{i}": 1e9 + i for i in range(MAX_PODS)})
    for tick in range(6):
        engine.ingest(state, how, live(tick, pods=100))
    assert len(dump(state)) <= 8 * 1024


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


def damaged(body: str, version: str = dump(State()).partition(".")[0]) -> str:
    """A text whose checksum is right."""
    return f"{version}.{zlib.crc32(body.encode()):08x}.{body}"


GOOD = dump(State(connections=3.0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "nonsense",
        "1." + GOOD.partition(".")[2],
        "2.",
        "2.00000000.{}",
        GOOD[:-7],
        GOOD[:-6] + ("A" if GOOD[-6] != "A" else "B") + GOOD[-5:],
        damaged("not base64 ·"),
        damaged(base64.b64encode(b"not compressed").decode()),
        damaged(base64.b64encode(zlib.compress(b"not json")).decode()),
        damaged(base64.b64encode(zlib.compress(b'{"tick":1}')).decode()),
        damaged(base64.b64encode(zlib.compress(b"[1]")).decode()),
        damaged(base64.b64encode(zlib.compress(b"\xff")).decode()),
    ],
)
def test_damage_is_told(text: str) -> None:
    with pytest.raises(LostStateError, match="stored evidence"):
        load(text)


def test_waiting_counts_survive() -> None:
    state = judged([interval(0, (123456789.0, 3.0))])
    assert load(dump(state)).metrics["error-rate"].waiting == Window(123456789.0, (3.0,))


def test_what_the_waiting_interval_is_judged_with_survives() -> None:
    process = Process(phi=3.7, floor=1.6, canary=5.0, stable=7.0)
    state = State(metrics={"latency": Metric(kind="native", cuts=(-3.0,), schema=3, processes=[process])})
    assert load(dump(state)) == state


def test_what_users_thresholds_remember_survives() -> None:
    state = State(thresholds={"queue": [1.0, 2.0, 1e9 + 0.1]})
    assert load(dump(state)).thresholds == state.thresholds
