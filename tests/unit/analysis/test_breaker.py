"""The circuit breaker: open after failures in a row, one try at a time, closed by any answer."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from fairlead.analysis.breaker import Breaker
from fairlead.analysis.source import RestingError


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def is_open(breaker: Breaker) -> bool:
    try:
        breaker.check()
    except RestingError:
        return True
    return False


def broken(clock: Clock) -> Breaker:
    breaker = Breaker(failures=3, rest=5.0, longest=12.0, clock=clock)
    for _ in range(3):
        assert not is_open(breaker)
        breaker.failed("nobody answers")
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    with pytest.raises(RestingError, match=r"nobody answers; it failed 3 times in a row and is asked again every 5 s"):
        broken(Clock()).check()


def test_an_answer_in_between_keeps_it_closed() -> None:
    breaker = Breaker(failures=2, clock=Clock())
    for _ in range(5):
        breaker.failed("no")
        breaker.succeeded()
    assert not is_open(breaker)


def test_one_question_tries_after_the_rest() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now = 4.9
    assert is_open(breaker)
    clock.now = 5.0
    assert [is_open(breaker) for _ in range(3)] == [False, True, True]
    breaker.succeeded()
    assert not is_open(breaker)


def test_a_try_that_fails_doubles_the_rest_up_to_a_limit() -> None:
    clock = Clock()
    breaker = broken(clock)
    for rest in (5.0, 10.0, 12.0, 12.0):
        clock.now += rest - 0.1
        assert is_open(breaker)
        clock.now += 0.1
        assert not is_open(breaker)
        breaker.failed("still nobody")


def test_a_try_that_never_ends_is_followed_by_another() -> None:
    clock = Clock()
    breaker = broken(clock)
    clock.now = 5.0
    assert not is_open(breaker)
    clock.now = 10.0
    assert not is_open(breaker)
