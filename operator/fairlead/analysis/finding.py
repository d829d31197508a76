"""What a verdict is made from and made of, before it is put into words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from fairlead.analysis import engine
from fairlead.analysis.state import State
from fairlead.api.plan import AnalysisPlan, PlanMetric
from fairlead.api.verdict import Outcome, Reading

CONNECTIONS = 10
"""Where connections are balanced, nothing is decided before the canary has had this many."""
LATELY = 3
"""Ticks without judged canary requests after which there is no data."""


@dataclass(slots=True)
class Context:
    """Where the rollout stands at the instant `t` (epoch seconds), and the versions as people call them."""

    plan: AnalysisPlan
    t: float
    stage_started: float | None
    canary: str = "the canary"
    stable: str = "stable"
    judged: tuple[PlanMetric, ...] = ()
    """The metrics judged on evidence; `required`: the places of those that decide."""
    required: tuple[int, ...] = ()
    guards: tuple[int, ...] = ()
    """The places of those that hold or veto."""

    def __post_init__(self) -> None:
        """Sort the metrics once: an assessment comes after every tick."""
        self.judged = tuple(metric for metric in self.plan.metrics if metric.kind != "query")
        self.required = tuple(place for place, metric in enumerate(self.judged) if decides(metric))
        self.guards = tuple(
            place for place, metric in enumerate(self.judged) if metric.action != "Rollback" and not metric.dry_run
        )

    @property
    def age(self) -> float:
        """Seconds since the stage's share was reached."""
        return 0.0 if self.stage_started is None else self.t - self.stage_started

    @property
    def first_data_due(self) -> float:
        """The stage age at which judged requests must have been seen; the rest is lag and a tick of patience."""
        wait = max(self.plan.warm_up, engine.settle_time(self.plan))
        return wait + (LATELY + 1) * self.plan.interval


class Finding(NamedTuple):
    """A verdict before it is put into words."""

    outcome: Outcome
    reason: str
    say: Callable[[], str]
    measurable: bool = True
    culprit: str | None = None
    acted: tuple[str, ...] = ()


class Assessment(NamedTuple):
    """A finding and the numbers behind it."""

    finding: Finding
    readings: tuple[Reading, ...]
    evidence: float


def decides(metric: PlanMetric) -> bool:
    """Whether evidence against the canary on this metric rolls it back."""
    return metric.action == "Rollback" and not metric.dry_run and metric.kind != "query"


def enough_connections(state: State, plan: AnalysisPlan) -> bool:
    """Enough connections for a verdict where connections are balanced: their requests are not independent."""
    return plan.routing == "request" or (state.connections or 0.0) >= CONNECTIONS


def measurable(state: State) -> bool:
    """Canary requests of this stage were judged lately."""
    return state.last_data is not None and state.tick - state.last_data <= LATELY
