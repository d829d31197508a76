"""The work queue on a clock that jumps: what is looked at, when, how often, never twice at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fairlead.controller.telemetry import NullTelemetry, ReconcileResult
from fairlead.controller.workqueue import Key, WorkQueue
from tests import virtualtime

A, B, C = ("ns", "a"), ("ns", "b"), ("ns", "c")
Log = list[tuple[float, str]]


def now() -> float:
    return round(asyncio.get_running_loop().time(), 3)


async def drive(queue: WorkQueue, process: Callable[[Key], Awaitable[float | None]], seconds: float) -> None:
    asyncio.get_running_loop().call_later(seconds, queue.stop)
    await queue.run(process)


def recorder(log: Log, takes: float = 0.0, answer: float | None = None) -> Callable[[Key], Awaitable[float | None]]:
    async def process(key: Key) -> float | None:
        log.append((now(), key[1]))
        await asyncio.sleep(takes)
        return answer

    return process


def test_a_key_waits_once_however_often_it_is_added() -> None:
    async def scenario() -> Log:
        log: Log = []
        queue = WorkQueue(workers=1)
        for key in (A, B, A, A, B):
            queue.add(key)
        assert len(queue) == 2
        await drive(queue, recorder(log), 5)
        return log

    assert virtualtime.run(scenario()) == [(0, "a"), (0, "b")]


def test_a_key_is_never_worked_on_twice_at_once_and_once_more_after_what_came_meanwhile() -> None:
    async def scenario() -> Log:
        log: Log = []
        queue = WorkQueue(workers=3)
        queue.add(A)
        loop = asyncio.get_running_loop()
        for at in (1, 2, 3):
            loop.call_at(at, queue.add, A)
        await drive(queue, recorder(log, takes=10), 60)
        return log

    assert virtualtime.run(scenario()) == [(0, "a"), (10, "a")]


def test_as_many_at_once_as_there_are_workers() -> None:
    async def scenario() -> Log:
        log: Log = []
        queue = WorkQueue(workers=2)
        for key in (A, B, C):
            queue.add(key)
        await drive(queue, recorder(log, takes=1), 5)
        return log

    assert virtualtime.run(scenario()) == [(0, "a"), (0, "b"), (1, "c")]


def test_the_answer_of_a_pass_is_when_to_look_again() -> None:
    async def scenario() -> Log:
        log: Log = []
        queue = WorkQueue()
        queue.add(A)
        await drive(queue, recorder(log, answer=2.5), 6)
        return log

    assert virtualtime.run(scenario()) == [(0, "a"), (2.5, "a"), (5, "a")]


def test_the_earliest_deadline_wins_and_a_pass_replaces_it() -> None:
    async def scenario() -> Log:
        log: Log = []
        queue = WorkQueue()
        for when in (30, 10, 20):
            queue.add_at(A, when)
        queue.add_at(B, 15)
        asyncio.get_running_loop().call_at(12, queue.add, B)  # its deadline at 15 is void then
        await drive(queue, recorder(log), 60)
        return log

    assert virtualtime.run(scenario()) == [(10, "a"), (12, "b")]


def test_a_deadline_set_during_a_pass_is_kept() -> None:
    async def scenario() -> Log:
        log: Log = []
        queue = WorkQueue()
        queue.add(A)
        asyncio.get_running_loop().call_at(1, queue.add_at, A, 7.0)
        await drive(queue, recorder(log, takes=2), 60)
        return log

    assert virtualtime.run(scenario()) == [(0, "a"), (7, "a")]


def test_failures_double_the_delay_up_to_a_bound_and_a_success_forgets_them() -> None:
    async def scenario() -> Log:
        log: Log = []
        queue = WorkQueue(first_delay=1, longest_delay=5)

        async def process(key: Key) -> float | None:
            log.append((now(), key[1]))
            if len(log) in {6, 7}:
                return 1.0
            raise ValueError(key)

        queue.add(A)
        await drive(queue, process, 25)
        return log

    # 1, 2, 4, 5, 5, then two successes, then from the beginning.
    assert [t for t, _ in virtualtime.run(scenario())] == [0, 1, 3, 7, 12, 17, 18, 19, 20, 22]


def test_an_event_does_not_wait_for_the_backoff() -> None:
    async def scenario() -> Log:
        log: Log = []
        queue = WorkQueue(first_delay=10)

        async def process(key: Key) -> float | None:
            log.append((now(), key[1]))
            if len(log) == 1:
                raise ValueError(key)
            return None

        queue.add(A)
        asyncio.get_running_loop().call_at(1, queue.add, A)
        await drive(queue, process, 60)
        return log

    assert virtualtime.run(scenario()) == [(0, "a"), (1, "a")]


def test_a_server_that_asks_to_wait_is_given_the_time() -> None:
    class BusyError(Exception):
        retry_after = 7.0

    async def scenario() -> Log:
        log: Log = []
        queue = WorkQueue(first_delay=1)

        async def process(key: Key) -> float | None:
            log.append((now(), key[1]))
            if len(log) == 1:
                raise BusyError
            return None

        queue.add(A)
        await drive(queue, process, 60)
        return log

    assert virtualtime.run(scenario()) == [(0, "a"), (7, "a")]


def test_a_pass_that_hangs_is_ended_and_counts_as_failed() -> None:
    class Told(NullTelemetry):
        def __init__(self) -> None:
            self.results: list[tuple[ReconcileResult, float]] = []

        def reconciled(self, result: ReconcileResult, seconds: float) -> None:
            self.results.append((result, seconds))

    told = Told()

    async def scenario() -> Log:
        log: Log = []
        queue = WorkQueue(timeout=20, first_delay=1, telemetry=told)
        queue.add(A)
        await drive(queue, recorder(log, takes=1e9), 50)
        return log

    assert virtualtime.run(scenario()) == [(0, "a"), (21, "a"), (43, "a")]
    assert told.results[:2] == [("timeout", 20), ("timeout", 20)]


@pytest.mark.parametrize(("takes", "ends_at"), [(3, 4), (100, 11)], ids=["in time", "too slow"])
def test_stop_lets_what_runs_finish_within_the_grace_and_starts_nothing(takes: float, ends_at: float) -> None:
    async def scenario() -> tuple[Log, float]:
        log: Log = []
        queue = WorkQueue(workers=1, timeout=1000)
        loop = asyncio.get_running_loop()
        loop.call_at(1, queue.add, A)
        loop.call_at(1, queue.add, B)
        loop.call_at(1.001, queue.stop)
        await queue.run(recorder(log, takes=takes), grace=10)
        return log, loop.time()

    log, ended = virtualtime.run(scenario())
    assert log == [(1, "a")]
    assert ended == pytest.approx(ends_at, abs=0.01)


def test_health_sees_overdue_work_and_no_idleness() -> None:
    async def scenario() -> list[float]:
        queue = WorkQueue(workers=1, timeout=1000)
        loop = asyncio.get_running_loop()
        seen: list[float] = []
        for at in (50, 100, 120, 150):
            loop.call_at(at, lambda: seen.append(queue.stalled_for()))
        loop.call_at(90, queue.add, A)
        loop.call_at(91, queue.add, B)
        await drive(queue, recorder([], takes=25), 160)
        return seen

    # Idle at 50; A runs since 90; B since 115; idle again.
    assert virtualtime.run(scenario()) == [0, 10, 5, 0]


def test_a_traceback_is_for_surprises_only(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        queue = WorkQueue(expected=(KeyError,), first_delay=100)

        async def process(key: Key) -> float | None:
            raise KeyError(key[1]) if key == A else ValueError(key[1])

        queue.add(A)
        queue.add(B)
        await drive(queue, process, 5)

    virtualtime.run(scenario())
    assert [(record.getMessage(), bool(record.exc_info)) for record in caplog.records] == [
        ("reconcile of ns/a failed: 'a'", False),
        ("reconcile of ns/b failed: b", True),
    ]
