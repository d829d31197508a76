"""Joining requests: the fit of what a run costs, the queue, and the engine with models that are plain functions."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead_serving.batching import engine
from fairlead_serving.batching.cost import RunCost
from fairlead_serving.batching.engine import Engine, Limits
from fairlead_serving.batching.feeds import join, rows_of, shape_key
from fairlead_serving.batching.probe import Probe, probe
from fairlead_serving.batching.queue import FairQueue, Job
from fairlead_serving.batching.run import BatchRun
from fairlead_serving.errors import ModelFailureError, OverloadedError
from fairlead_serving.outputs import Part, split
from fairlead_serving.tensors import Array, Tensor, TensorSpec, tensor_of


@pytest.mark.parametrize(("alpha", "beta"), [(1e-3, 1e-5), (5e-6, 2e-7), (0.1, 0.02), (1e-4, 0.0)])
def test_the_fit_finds_the_cost_of_a_run_and_of_a_row(alpha: float, beta: float) -> None:
    chance, cost = random.Random(1), RunCost()  # noqa: S311  no secret
    for _ in range(300):
        rows = chance.choice((1, 2, 5, 9, 30))
        cost.observe(rows, (alpha + beta * rows) * chance.uniform(0.95, 1.05))
    for rows in (1, 10, 30):
        assert cost.seconds(rows) == pytest.approx(alpha + beta * rows, rel=0.1)
    if beta:
        assert cost.rows_within(alpha + 20 * beta) == pytest.approx(20, rel=0.2)


def test_the_fit_follows_a_model_that_becomes_slower_but_not_one_hiccup() -> None:
    cost = RunCost()
    for _ in range(50):
        cost.observe(1, 1e-3)
    cost.observe(1, 5.0)
    assert cost.seconds(1) < 2e-3
    for _ in range(400):
        cost.observe(1, 5e-3)
    assert cost.seconds(1) == pytest.approx(5e-3, rel=0.1)


def test_what_is_known_of_a_row_stays_while_all_runs_are_of_one_size() -> None:
    cost = RunCost()
    for rows in (1, 16) * 20:
        cost.observe(rows, 1e-3 + 1e-4 * rows)
    for _ in range(1000):
        cost.observe(1, 1.1e-3)
    assert cost.a_row == pytest.approx(1e-4, rel=0.05)
    assert cost.fixed == pytest.approx(1e-3, rel=0.05)
    assert cost.worthwhile_rows(0.05) == pytest.approx(190, rel=0.1)


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(1e-7, 100)), min_size=1))
def test_predictions_are_never_negative(runs: list[tuple[int, float]]) -> None:
    cost = RunCost()
    for rows, seconds in runs:
        cost.observe(rows, seconds)
        assert cost.seconds(1) >= 0
        assert cost.seconds(1000) >= cost.seconds(1)
        assert cost.rows_within(0.5) >= 1


def job(client: str, rows: int = 1, key: object = "k") -> Job:
    made = Job()
    made.client, made.rows, made.key = client, rows, None if key is None else (key,)
    return made


def taken(queue: FairQueue, most: float = 1) -> list[str]:
    order: list[Any] = []
    while batch := queue.take(most):
        order.extend(each.client for each in batch)
    return order


def test_a_client_with_many_requests_does_not_hold_up_one_with_few() -> None:
    queue = FairQueue()
    for client in ["greedy"] * 10 + ["modest"] * 2:
        queue.push(job(client))
    assert taken(queue)[:4].count("modest") == 2
    queue.push(job("big", rows=500))
    queue.push(job("big", rows=500))
    for _ in range(5):
        queue.push(job("small"))
    assert taken(queue)[:6].count("small") == 5
    assert (queue.jobs, queue.rows) == (0, 0)


def test_only_what_can_be_joined_is_joined_and_up_to_so_many_rows() -> None:
    queue = FairQueue()
    for client, key in (("a", "k"), ("b", "other"), ("c", "k"), ("d", None), ("e", None), ("f", "k")):
        queue.push(job(client, rows=2, key=key))
    assert [each.client for each in queue.take(4)] == ["a", "c"]
    assert [each.client for each in queue.take(4)] == ["b"]
    assert [each.client for each in queue.take(4)] == ["d"]
    assert [each.client for each in queue.take(4)] == ["e"]
    assert [each.client for each in queue.take(1)] == ["f"]
    assert queue.take(4) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from("pppct"), st.sampled_from("abc"), st.sampled_from(["k", "l", None]), st.integers(1, 9)
        )
    )
)
def test_every_job_is_taken_or_cancelled_exactly_once(steps: list[tuple[str, str, str | None, int]]) -> None:
    queue, waiting, started = FairQueue(), [], []
    for step, client, key, rows in steps:
        if step == "p":
            waiting.append(job(client, rows, key))
            queue.push(waiting[-1])
        elif step == "c" and waiting:
            assert queue.cancel(waiting.pop(0))
        else:
            batch = queue.take(rows)
            assert bool(batch) == bool(waiting)
            assert len({each.key for each in batch}) <= 1
            assert len(batch) <= 1 or (batch[0].key is not None and sum(each.rows for each in batch) <= rows)
            started += batch
            waiting = [each for each in waiting if each not in batch]
        assert queue.jobs == len(waiting)
        assert queue.rows == sum(each.rows for each in waiting)
        assert queue.rows_of(client) == sum(each.rows for each in waiting if each.client == client)
    assert len(started) == len(set(started))
    assert not any(queue.cancel(each) for each in started)


def test_cancelled_jobs_leave_the_memory() -> None:
    queue = FairQueue()
    queue.push(job("stays"))
    for _ in range(10_000):
        gone = job("goes")
        queue.push(gone)
        queue.cancel(gone)
    assert sum(map(len, queue._heaps.values())) < 100


def test_feeds_are_joined_and_split() -> None:
    one, two = np.ones((1, 3)), np.zeros((2, 3))
    assert shape_key(one) == shape_key(two) != shape_key(one.astype(np.float32)) != shape_key(np.ones((1, 4)))
    assert shape_key({"a": one}) == shape_key({"a": two}) != shape_key({"b": two})
    assert shape_key({"a": one, "b": two}) is None
    odd: list[Any] = [np.array(1.0), {}, [1], None]
    assert [shape_key(feed) for feed in odd] == [None, (), None, None]
    assert (rows_of(two), rows_of({"a": two}), rows_of([1, 2])) == (2, 2, 1)
    assert join([one, two]).tolist() == [[1] * 3, [0] * 3, [0] * 3]
    assert join([{"a": one}, {"a": two}])["a"].shape == (3, 3)
    parts = split([tensor_of("y", np.arange(3))], [1, 2])
    assert parts is not None
    assert [part.tensors[0].array.tolist() for part in parts] == [[0], [1, 2]]
    assert [part.size for part in parts] == [1, 2]
    assert split([tensor_of("y", np.array(3))], [1, 2]) is None
    assert split([tensor_of("y", np.arange(2))], [1, 2]) is None


class Doubling:
    """A model of one input; it blocks while `gate` is closed, and cannot do what is negative."""

    binds_by_form = False

    format, platform, classes, parameters = "python", "test", None, {}  # type: ignore[var-annotated]
    inputs = (TensorSpec("x", "FP64", (-1, 1)),)
    outputs = (TensorSpec("y", "FP64", (-1,)),)

    def __init__(self, function: Callable[[Array], Array] = lambda rows: 2 * rows[:, 0]) -> None:
        self.function = function
        self.batches = True
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.sizes: list[int] = []

    def bind(self, inputs: Sequence[Tensor]) -> Array:
        return inputs[0].array

    def sample(self) -> Array:
        return np.zeros((1, 1))

    def run(self, feed: Array, wanted: Sequence[str]) -> list[Tensor]:
        self.sizes.append(len(feed))
        self.entered.set()
        self.gate.wait()
        if (feed < 0).any():
            raise ModelFailureError(str(feed.min()))
        return [tensor_of(name, self.function(feed)) for name in wanted]


@pytest.mark.parametrize(
    ("function", "joins"),
    [
        (lambda rows: rows[:, 0], True),
        (lambda rows: rows[:, 0] + rows.sum(), False),
        (lambda rows: rows.sum(keepdims=True)[0], False),
        (lambda rows: np.cumsum(rows[:, 0]), True),  # indistinguishable on zero and one
    ],
)
def test_a_model_shows_whether_its_rows_are_independent(function: Callable[[Array], Array], joins: bool) -> None:  # noqa: FBT001
    found = probe(Doubling(function), 1e-5)
    assert found.joins is joins
    assert bool(found.reason) is not joins


def test_a_model_that_cannot_be_tried_is_taken_at_its_word() -> None:
    model = Doubling()
    assert probe(model, None) == Probe(joins=True, reason="", runs=())
    model.batches = False
    assert probe(model, 0.1)[::2] == (False, ((1, 0.1),))
    assert model.sizes == []


class Asked(Job):
    def __init__(self, owner: Any) -> None:
        self.owner = owner


class Clock:
    """The engine's. It stands still but where a test moves it, so that a busy machine makes no run overdue."""

    now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    still = Clock()
    monkeypatch.setattr(engine, "time", still)
    return still


class Desk:
    """Hands requests to an engine and keeps what comes back, by owner."""

    def __init__(self, model: Doubling, *, target: float = 1.0, seconds: float = 1e-3, a_row: float = 1e-5) -> None:
        self.answers: dict[Any, Any] = {}
        self.engine = Engine(asyncio.get_running_loop(), model.run, self._deliver, Limits(target, 64))
        runs = [(rows, seconds + a_row * rows) for rows in (1, 16)]
        self.engine.learn(Probe(joins=True, reason="", runs=runs))

    def _deliver(self, run: BatchRun) -> None:
        for each, result in zip(run.batch, run.results, strict=True):
            answer = result.tensors[0].array.tolist() if isinstance(result, Part) else result
            self.answers[cast("Asked", each).owner] = answer

    def ask(self, owner: Any, *values: float, client: str = "c") -> Job:
        asked = Asked(owner)
        asked.feed, asked.wanted, asked.client = np.array([[value] for value in values]), ("y",), client
        self.engine.submit(asked)
        return asked

    async def until(self, count: int) -> None:
        while len(self.answers) < count:  # noqa: ASYNC110  what it waits for comes from the engine alone
            await asyncio.sleep(0.001)


async def test_what_waits_while_the_model_works_is_joined_into_one_run() -> None:
    model = Doubling()
    desk = Desk(model)
    model.gate.clear()
    desk.ask("first", 1)
    await asyncio.to_thread(model.entered.wait)
    for number in range(5):
        desk.ask(number, number, number + 0.5)
    assert desk.engine.waiting == 5
    model.gate.set()
    await desk.until(6)
    assert model.sizes == [1, 10]
    expected: dict[Any, list[float]] = {number: [2.0 * number, 2.0 * number + 1] for number in range(5)}
    assert desk.answers == {"first": [2.0], **expected}


async def test_a_quick_model_runs_on_the_loop_and_joins_what_came_in_together() -> None:
    model = Doubling()
    desk = Desk(model, seconds=1e-5, a_row=1e-7)
    thread: set[int] = set()
    model.function = lambda rows: (thread.add(threading.get_ident()), rows[:, 0])[1]  # type: ignore[func-returns-value]
    for number in range(4):
        desk.ask(number, number)
    await desk.until(4)
    assert (model.sizes, thread) == ([4], {threading.get_ident()})


async def test_a_request_that_the_model_cannot_answer_does_not_spoil_its_batch() -> None:
    model = Doubling()
    desk = Desk(model)
    for number in (0, 1, 2, -1, 4, 5, 6, 7):
        desk.ask(number, number)
    await desk.until(8)
    assert isinstance(desk.answers.pop(-1), ModelFailureError)
    assert desk.answers == {number: [2.0 * number] for number in (0, 1, 2, 4, 5, 6, 7)}
    assert model.sizes == [8, 4, 2, 2, 1, 1, 4]


async def test_outputs_that_have_not_a_row_for_each_row_end_the_joining() -> None:
    model = Doubling(lambda rows: rows[:1, 0])
    desk = Desk(model)
    for number in range(3):
        desk.ask(number, number)
    await desk.until(3)
    assert desk.answers == {0: [0.0], 1: [1.0], 2: [2.0]}
    desk.ask(3, 3)
    desk.ask(4, 4)
    await desk.until(5)
    assert model.sizes == [3, 1, 1, 1, 1, 1]


async def test_a_cancelled_request_never_reaches_the_model() -> None:
    model = Doubling()
    desk = Desk(model)
    assert desk.engine.cancel(desk.ask("fresh", 1))
    model.gate.clear()
    running = desk.ask("running", 1)
    await asyncio.to_thread(model.entered.wait)
    waiting, stays = desk.ask("waiting", 1), desk.ask("stays", 1)
    assert desk.engine.cancel(waiting)
    assert not desk.engine.cancel(waiting)
    assert not desk.engine.cancel(running)
    model.gate.set()
    await desk.until(2)
    assert set(desk.answers) == {"running", "stays"}
    assert model.sizes == [1, 1]
    assert not desk.engine.cancel(stays)


async def test_more_than_can_be_answered_in_time_is_refused_at_once_but_a_newcomer_finds_room() -> None:
    model = Doubling()
    desk = Desk(model, target=1.0, seconds=0.09, a_row=0.01)
    model.gate.clear()
    desk.ask("first", 1)
    await asyncio.to_thread(model.entered.wait)
    refused = None
    for admitted in range(1000):
        try:
            desk.ask(admitted, 1)
        except OverloadedError as error:
            refused = error
            break
    assert refused is not None
    assert str(refused).startswith(f"overloaded: {admitted} requests wait for the model, some 0.")
    assert refused.retry_after == 1
    # A batch takes half of the target at most, so up to 40 rows; the wait is below four fifths of the target.
    assert 20 < admitted < 80
    desk.ask("newcomer", 1, client="other")
    model.gate.set()
    await desk.until(admitted + 2)


async def test_while_a_run_does_not_end_as_it_should_newcomers_are_refused(clock: Clock) -> None:
    model = Doubling()
    desk = Desk(model, target=0.05, seconds=1e-3)
    model.gate.clear()
    desk.ask("first", 1)
    await asyncio.to_thread(model.entered.wait)
    for number in range(8):
        desk.ask(number, 1)
    clock.now += 0.1
    with pytest.raises(OverloadedError):
        desk.ask("late", 1)
    model.gate.set()
    await desk.until(9)
    desk.ask("again", 1)
    await desk.until(10)


async def test_a_model_slower_than_its_target_still_has_a_short_queue() -> None:
    model = Doubling()
    desk = Desk(model, target=0.1, seconds=3, a_row=1)
    model.gate.clear()
    desk.ask("first", 1)
    await asyncio.to_thread(model.entered.wait)
    for number in range(4):
        desk.ask(number, 1, client=str(number))
    with pytest.raises(OverloadedError) as refused:
        desk.ask("late", 1, client="late")
    assert refused.value.retry_after >= 16
    model.gate.set()
    await desk.until(5)


def test_a_few_runs_that_were_held_up_do_not_make_large_requests_look_hopeless() -> None:
    cost = RunCost()
    for rows, seconds in ((1, 7e-6), (16, 10e-6), *[(16, 0.03)] * 3):
        cost.observe(rows, seconds)
    assert cost.seconds(3000) < 0.1
