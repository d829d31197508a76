"""What becomes of a check."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import pytest

from tests.conformance.registry import Check, Failed, NotRun, expect, judge, version_of
from tests.conformance.target import Place, Target

PLACE = Place("127.0.0.1:1", "127.0.0.1:2", "table", "")
TARGET = Target("Other", PLACE, PLACE, "x", ("label", "probabilities"))


def raising(error: Exception) -> Callable[[Target], NoReturn]:
    def run(_: Target) -> NoReturn:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "result", "reason"),
    [
        (Failed("got\n 500"), "failed", "got 500"),
        (NotRun("no versions"), "not run", "no versions"),
        (ValueError("from a client"), "failed", "ValueError: from a client"),
        (Failed("x" * 300), "failed", "x" * 200 + "…"),
    ],
)
def test_tells_what_was_found(error: Exception, result: str, reason: str) -> None:
    assert judge(Check("REST", "ids", raising(error)), TARGET) == {
        "group": "REST",
        "name": "ids",
        "result": result,
        "reason": reason,
    }


def test_tells_that_it_holds() -> None:
    assert judge(Check("REST", "ids", lambda _: None), TARGET) == {"group": "REST", "name": "ids", "result": "passed"}


def test_compares() -> None:
    expect("id", "42", "42")
    with pytest.raises(Failed, match="id: expected 42, got 43"):
        expect("id", "43", "42")


def test_asks_nothing_about_versions_of_a_server_that_has_none() -> None:
    with pytest.raises(NotRun, match="no versions"):
        version_of(TARGET)
