"""What came out of a cell, in the numbers that tables, plots and gates are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from tests.bench.analysis.cells import Cell
from tests.bench.analysis.rules import limits, peeking

RECALIBRATED = "recalibrated peeking"


@dataclass(frozen=True)
class Outcome:
    """How often a rule rolled back, and in which intervals."""

    runs: int
    rolled: tuple[int, ...]
    promoted: tuple[int, ...] = ()

    @property
    def share(self) -> float:
        """Rolled back, of all."""
        return len(self.rolled) / self.runs

    @property
    def proven(self) -> float:
        """Promoted, of all."""
        return len(self.promoted) / self.runs

    @property
    def median(self) -> float | None:
        """The median interval of those rolled back."""
        return float(median(self.rolled)) if self.rolled else None

    def by(self, interval: int) -> float:
        """Rolled back in this interval or before, of all."""
        return sum(i <= interval for i in self.rolled) / self.runs


@dataclass(frozen=True)
class Summary:
    """A cell and its outcome by rule."""

    cell: Cell
    outcomes: Mapping[str, Outcome]

    def __getitem__(self, rule: str) -> Outcome:
        """The outcome by this rule; raises KeyError where the rule did not judge the cell."""
        return self.outcomes[rule]

    def get(self, rule: str) -> Outcome | None:
        """The outcome, if the rule judged the cell."""
        return self.outcomes.get(rule)


def summaries(merged: Mapping[str, Mapping[str, Any]]) -> list[Summary]:
    """One summary a cell; regressions have that of peeking recalibrated on the equal arms beside them too."""
    equal = [found for found in merged.values() if found.get("null") and found["cell"].worse == 1]
    nulls = {_key(found["cell"]): found["null"] for found in equal}
    out = []
    for found in merged.values():
        outcomes = {name: _outcome(value) for name, value in found["rules"].items()}
        null = nulls.get(_key(found["cell"]))
        if found.get("scores") and null:
            limit = peeking.recalibrated(np.array(null), 0.01)
            outcomes[RECALIBRATED] = _first(np.array(found["scores"]), limit)
        out.append(Summary(found["cell"], outcomes))
    return out


def _key(cell: Cell) -> tuple[Any, ...]:
    """Cells with the same key have the same traffic but for the canary's own fault."""
    stress = cell.burst, cell.offset, cell.spread, cell.pods, cell.clients, cell.shocks
    base = cell.base if cell.kind == "ratio" else 0.0
    return cell.kind, cell.rate, base, cell.tick, *stress


def _outcome(value: Mapping[str, Any]) -> Outcome:
    return Outcome(value["runs"], tuple(value["rolled"]), tuple(value.get("promoted", ())))


def _first(scores: limits.Floats, limit: float) -> Outcome:
    found = limits.first(scores > limit)
    return Outcome(len(found), tuple(int(i) for i in found if i))


def most(runs: int, share: float, certainty: float = 0.999) -> int:
    """The greatest number of events that a true chance of `share` still explains in so many runs."""
    below, k = 0.0, 0
    while True:
        below += math.exp(
            math.lgamma(runs + 1)
            - math.lgamma(k + 1)
            - math.lgamma(runs - k + 1)
            + k * math.log(share)
            + (runs - k) * math.log1p(-share)
        )
        if below >= certainty:
            return k
        k += 1
