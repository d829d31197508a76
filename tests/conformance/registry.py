"""What is to hold of a server: named checks in groups."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from tests.conformance.target import Target

SECONDS: Final = 60.0
_SHOWN: Final = 200

Run = Callable[[Target], None]


class Failed(AssertionError):  # noqa: N818  a verdict
    """A check does not hold; says what was expected and what came."""


class NotRun(Exception):  # noqa: N818  no error
    """A check cannot be made here; says why."""


@dataclass(frozen=True)
class Check:
    """One thing that is to hold. `run` raises where it does not. What has ended servers comes `last`."""

    group: str
    name: str
    run: Run
    last: bool = False


CHECKS: Final[list[Check]] = []


def check(group: str, name: str, *, last: bool = False) -> Callable[[Run], Run]:
    """Enter a function into the list."""

    def enter(run: Run) -> Run:
        CHECKS.append(Check(group, name, run, last))
        return run

    return enter


def expect(what: str, found: Any, wanted: Any) -> None:
    """Compare. Raises Failed."""
    if found != wanted:
        fail(f"{what}: expected {_short(wanted)}, got {_short(found)}")


def fail(message: str) -> NoReturn:
    """Say that a check does not hold."""
    raise Failed(message)


def version_of(target: Target) -> str:
    """Return the table's version. Raises NotRun where the server has none."""
    if not target.table.version:
        reason = "the server has no versions"
        raise NotRun(reason)
    return target.table.version


def judge(one: Check, target: Target) -> Mapping[str, str]:
    """Run a check and return its entry in the results: `passed`, `failed` with the reason, or `not run`."""
    entry = {"group": one.group, "name": one.name}
    try:
        with _limited(SECONDS):
            one.run(target)
    except NotRun as reason:
        return {**entry, "result": "not run", "reason": str(reason)}
    except Failed as reason:
        return {**entry, "result": "failed", "reason": _short(reason)}
    except Exception as error:  # noqa: BLE001  whatever a client raises is the verdict on the server
        return {**entry, "result": "failed", "reason": f"{type(error).__name__}: {_short(error)}"}
    return {**entry, "result": "passed"}


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def expired(*_: object) -> NoReturn:
        fail(f"no answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
