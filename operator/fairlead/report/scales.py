"""From values to places, and which values an axis names."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from fairlead.report import words

_TIMES = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_MINUTE = 60
_ALMOST = 1 + 1e-9
_FEW_DECADES = 2


@dataclass(frozen=True, slots=True)
class Tick:
    """A named value."""

    value: float
    label: str


class Scale(Protocol):
    """Where a value lies between the ends, as a share between 0 and 1; beyond them it is the nearer end."""

    def place(self, value: float) -> float:
        """The share of the way from the lower to the upper end."""

    def ticks(self) -> list[Tick]:
        """The values that the axis names."""


@dataclass(frozen=True, slots=True)
class Time:
    """Seconds since the start, from 0 to `length`, with at most `most` ticks."""

    length: float
    most: int = 6

    def place(self, value: float) -> float:
        """As `Scale.place`."""
        return _within(value / self.length)

    def ticks(self) -> list[Tick]:
        """As `Scale.ticks`, at round numbers of seconds, minutes, hours or days."""
        wanted = self.length / self.most
        step = next((step for step in _TIMES if step >= wanted), 86400 * math.ceil(wanted / 86400))
        times = [step * place for place in range(int(self.length / step) + 1)]
        return [Tick(time, self._label(time, step)) for time in times]

    def _label(self, time: int, step: int) -> str:
        if time == 0:
            return "0"
        if step < _MINUTE < self.length:
            return f"{time // 60}:{time % 60:02}"
        return words.span(time)


@dataclass(frozen=True, slots=True)
class Linear:
    """From 0 to `top`. The labels are per cent of a share (`unit` 100) or of the value itself (1)."""

    top: float
    unit: float = 1.0

    def place(self, value: float) -> float:
        """As `Scale.place`."""
        return _within(value / self.top)

    def ticks(self) -> list[Tick]:
        """As `Scale.ticks`, four or five round ones."""
        step = _round(self.top * self.unit / 4)
        number = int(self.top * self.unit / step + 1e-9)
        return [Tick(step * place / self.unit, f"{step * place:g} %") for place in range(number + 1)]


@dataclass(frozen=True, slots=True)
class Log:
    """From `low` to `high`, on a logarithmic scale."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """As `Scale.place`; nothing and less than nothing lie at the lower end."""
        return _within(math.log(value / self.low) / math.log(self.high / self.low)) if value > 0 else 0.0

    def ticks(self) -> list[Tick]:
        """As `Scale.ticks`: powers of ten, one among them, and 2 and 5 between them where there is room."""
        low, high = math.floor(math.log10(self.low) + 1e-9), math.ceil(math.log10(self.high) - 1e-9)
        if high - low > _FEW_DECADES:
            step = math.ceil((high - low) / 6)
            found = [Tick(10.0**power, words.decade(power)) for power in range(low, high + 1) if power % step == 0]
        else:
            found = [Tick(_at(place), words.figures(_at(place))) for place in range(3 * low, 3 * high + 1)]
        return [tick for tick in found if self.low <= tick.value * _ALMOST and tick.value <= self.high * _ALMOST]


def linear(values: Iterable[float], least: float, unit: float = 1.0) -> Linear:
    """From 0 to a little above the greatest share, or to `least`. The whole is 100 / `unit`."""
    top = unit * max([least, *(1.08 * value for value in values)])
    step = _round(top / 4)
    return Linear(min(100.0, math.ceil(top / step - 1e-9) * step) / unit, unit)


def log(values: Iterable[float], low: int, high: int, limit: int = 9) -> Log:
    """Whole powers of ten around the values, from 10^low to 10^high at least, and `limit` powers at most."""
    powers = [math.log10(value) for value in values if value > 0 and math.isfinite(value)]
    least = math.floor(min([low, *powers]) + 1e-9)
    most = math.ceil(max([high, *powers]) - 1e-9)
    return Log(10.0 ** max(-limit, least), 10.0 ** min(limit, most))


def around_one(values: Iterable[float], limit: float = 1000.0) -> Log:
    """Around ratios: from 1/2 to 2 at least, from 1/limit to limit at most, with ends at 1, 2 or 5 times a power."""
    known = [value for value in values if value > 0 and math.isfinite(value)]
    least, most = max(1 / limit, min([0.5, *known])), min(limit, max([2.0, *known]))
    places = range(-3 * 9, 3 * 9 + 1)
    low = max(_at(place) for place in places if _at(place) <= least * 1.001)
    return Log(low, min(_at(place) for place in places if _at(place) >= most / 1.001))


def _at(place: int) -> float:
    """The ladder …, 0.5, 1, 2, 5, 10, …; 1 is number 0."""
    power, rest = divmod(place, 3)
    return float(f"{(1, 2, 5)[rest]}e{power}")


def _round(step: float) -> float:
    """The next step that people count by: 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * times for times in (1, 2, 2.5, 5, 10) if power * times >= step * (1 - 1e-9))


def _within(share: float) -> float:
    return min(1.0, max(0.0, share))
