"""Users' own thresholds: what an answer means, what is remembered of the answers, and what follows from it. Pure.

Questions are asked at instants of a grid from the rollout's start, so that whoever asks again asks the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from enum import IntEnum

from fairlead.analysis.source import MetricError, ProviderError, Sample
from fairlead.api.plan import PlanMetric, PlanQuery

MISSED = 5
"""Missed instants that are asked for later; older ones are left out."""


class Kind(IntEnum):
    """What an answer says."""

    NONE = 0
    PASSED = 1
    FAILED = 2
    INCONCLUSIVE = 3
    REFUSED = 4
    UNREACHABLE = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer at one instant, and a sentence about it. `canary` and `stable` are its numbers."""

    kind: Kind
    sentence: str
    canary: float | None = None
    stable: float | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """What is remembered of one threshold, as numbers only. Instants are numbers of its grid, −1 for never.

    `blank` and `errors` count answers without a number, and errors, in a row; `failed` all that ever failed.
    """

    asked: float = -1
    answered: float = -1
    numbers: float = 0
    failed: float = 0
    blank: float = 0
    errors: float = 0
    kind: float = Kind.NONE
    canary: float = 0
    stable: float = 0

    def to_list(self) -> list[float]:
        """For the stored state."""
        return list(astuple(self))


def tally(numbers: Sequence[float] | None) -> Tally:
    """From the stored state; one that is not there or not ours begins anew."""
    return Tally(*numbers) if numbers is not None and len(numbers) == len(fields(Tally)) else Tally()


def first_due(query: PlanQuery, started_at: float, stage_started_at: float) -> int:
    """The first instant of the grid at which a stage may be asked about."""
    return max(0, math.ceil((stage_started_at + query.initial_delay - started_at) / query.interval))


def due(query: PlanQuery, known: Tally, first: int, elapsed: float) -> range:
    """The instants to be asked for: since the last one, in this stage, until `elapsed` seconds after the start."""
    # A thousandth, so that waking up exactly at the instant is never a rounding error too early.
    last = math.floor((elapsed + 0.001) / query.interval)
    return range(max(int(known.asked) + 1, first, last + 1 - MISSED), last + 1)


def assess(
    name: str,
    query: PlanQuery,
    canary: Sequence[Sample] | MetricError,
    stable: Sequence[Sample] | MetricError | None = None,
) -> Answer:
    """What the answers to a query mean; `stable` is asked for only where the two are compared."""
    found = _number(name, canary)
    if isinstance(found, Answer):
        return found
    beyond = _beyond(query, found)
    if not query.compare_to_stable or stable is None:
        kind = Kind.FAILED if beyond else Kind.PASSED
        return Answer(kind, f"{name} is {found:g}{beyond or _allowed(query)}", found)
    other = _number(f"{name} of stable", stable)
    if isinstance(other, Answer):
        return replace(other, canary=found)
    if other == 0:
        return Answer(Kind.INCONCLUSIVE, f"{name} is {found:g} against 0 on stable: no share can be told", found, 0.0)
    change = (found - other) / abs(other)
    numbers = f"{name} is {found:g} against {other:g} on stable, {_change(change)}"
    excess = beyond or _excess(query, change)
    return Answer(Kind.FAILED if excess else Kind.PASSED, numbers + excess, found, other)


def counted(known: Tally, instant: int, answer: Answer) -> Tally:
    """The tally with one more answer. An instant that was counted already changes nothing."""
    if instant <= known.asked:
        return known
    number = answer.kind in (Kind.PASSED, Kind.FAILED)
    error = answer.kind in (Kind.REFUSED, Kind.UNREACHABLE)
    return Tally(
        asked=instant,
        answered=instant if number else known.answered,
        numbers=known.numbers + number,
        failed=known.failed + (answer.kind is Kind.FAILED),
        blank=0 if number else known.blank + (answer.kind is Kind.INCONCLUSIVE),
        errors=known.errors + 1 if error else 0,
        kind=answer.kind,
        canary=answer.canary if number and answer.canary is not None else known.canary,
        stable=answer.stable if number and answer.stable is not None else known.stable,
    )


def again(metric: PlanMetric, query: PlanQuery, known: Tally) -> str:
    """The sentence about the last number, from what is remembered; empty when there was none."""
    if known.answered < 0:
        return ""
    stable = [Sample({}, known.stable)] if query.compare_to_stable else None
    return assess(metric.name, query, [Sample({}, known.canary)], stable).sentence


def too_many_failed(query: PlanQuery, known: Tally) -> bool:
    """Whether more answers failed than are tolerated."""
    return known.failed > query.failure_limit


def cannot_be_told(query: PlanQuery, known: Tally) -> str:
    """Why the threshold tells nothing; empty as long as that is tolerated."""
    if known.errors > query.consecutive_error_limit:
        return f"{_times(known.errors)} an error in a row, {query.consecutive_error_limit} tolerated"
    if known.blank > query.inconclusive_limit:
        return f"{_times(known.blank)} no number in a row, {query.inconclusive_limit} tolerated"
    return ""


def _times(number: float) -> str:
    return f"{number:.0f} times" if number > 1 else "once"


def _number(name: str, found: Sequence[Sample] | MetricError) -> float | Answer:
    if isinstance(found, MetricError):
        kind = Kind.UNREACHABLE if isinstance(found, ProviderError) else Kind.REFUSED
        return Answer(kind, f"{name}: {found}")
    if not found:
        return Answer(Kind.INCONCLUSIVE, f"{name} has no value: the answer is empty")
    if len(found) > 1:
        text = f"{name} has {len(found)} series, and one number is needed: aggregate them, as with sum(…)"
        return Answer(Kind.REFUSED, text)
    if found[0].histogram is not None:
        return Answer(Kind.REFUSED, f"{name} is a native histogram, and one number is needed")
    value = found[0].value
    if not math.isfinite(value):
        return Answer(Kind.INCONCLUSIVE, f"{name} is {_odd(value)}, which is no number to judge by")
    return value


def _odd(value: float) -> str:
    return "NaN" if math.isnan(value) else "infinite"


def _beyond(query: PlanQuery, value: float) -> str:
    if query.minimum is not None and value < query.minimum:
        return f", below the minimum of {query.minimum:g}"
    if query.maximum is not None and value > query.maximum:
        return f", above the maximum of {query.maximum:g}"
    return ""


def _allowed(query: PlanQuery) -> str:
    bounds: Iterable[tuple[str, float | None]] = (("at least", query.minimum), ("at most", query.maximum))
    told = [f"{word} {bound:g}" for word, bound in bounds if bound is not None]
    return f" ({' and '.join(told)} is asked for)" if told else ""


def _change(change: float) -> str:
    return f"{abs(100 * change):.3g} % {'more' if change >= 0 else 'less'}"


def _excess(query: PlanQuery, change: float) -> str:
    for limit, amount, word in ((query.max_increase, change, "more"), (query.max_decrease, -change, "less")):
        if limit is not None and amount > limit:
            return f": at most {100 * limit:.3g} % {word} is allowed"
    return ""
