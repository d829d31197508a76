"""What the charts show: the record's points as values over the seconds since the start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fairlead.api.modelrollout import ArmCounts, EvidencePoint, MetricPoint
from fairlead.report.story import Rollout

NOTHING = ArmCounts(total=0, bad=0)
SLOTS = 48
"""Windows that a chart shows at most."""


@dataclass(frozen=True, slots=True)
class Window:
    """What both arms did in a stretch of time. Times are seconds since the start."""

    begin: float
    end: float
    canary: ArmCounts
    stable: ArmCounts

    @property
    def middle(self) -> float:
        """Where a chart puts it."""
        return (self.begin + self.end) / 2


def share(arm: ArmCounts) -> float | None:
    """The share of bad requests; None without requests."""
    return arm.bad / arm.total if arm.total > 0 else None


def desired(rollout: Rollout) -> list[tuple[float, float]]:
    """The share that the steps asked for, each with the second it came into force."""
    status = rollout.status
    # A decision names the step that was in force: what comes after it shows which one it led to.
    told = [(rollout.since(item.at) or 0.0, item.step, item.action) for item in status.decisions]
    seen = [(rollout.since(item.at) or 0.0, item.step, "") for item in status.history]
    moments = sorted([*told, *seen], key=lambda moment: moment[0])
    found: list[tuple[float, float]] = [(0.0, float(rollout.step(0).weight))]
    for place, (time, step, action) in enumerate(moments):
        if action == "StepAdvanced":
            later = (other for _, other, _ in moments[place + 1 :] if other > step)
            step = next(later, step + 1)  # noqa: PLW2901 - the step that it led to
        # A point of the step before may bear the same second.
        value = max(found[-1][1], float(rollout.step(step).weight))
        if value != found[-1][1]:
            found.append((time, value))
    if status.phase in {"RolledBack", "Aborted", "Superseded"}:
        found.append((rollout.seconds, 0.0))
    return found


def achieved(rollout: Rollout) -> list[tuple[float, float | None]]:
    """The share that was counted from requests."""
    return [(rollout.since(point.at) or 0.0, point.achieved_weight) for point in rollout.status.history]


def evidence(rollout: Rollout) -> list[tuple[float, float | None]]:
    """The weighted sum of the evidence against the canary."""
    return [(rollout.since(point.at) or 0.0, point.evidence) for point in rollout.status.history]


def kind_of(rollout: Rollout, metric: str) -> str:
    """ratio, histogram, categorical or query: as the record says it, else the plan."""
    recorded = next((record.kind for record in rollout.status.metrics if record.name == metric), "")
    planned = rollout.metric(metric)
    return recorded or (planned.kind if planned else "ratio")


def readings(rollout: Rollout, metric: str) -> list[tuple[float, EvidencePoint, MetricPoint]]:
    """A metric's numbers over time."""
    return [
        (rollout.since(point.at) or 0.0, point, reading)
        for point in rollout.status.history
        for reading in point.metrics
        if reading.name == metric
    ]


def windows(rollout: Rollout, metric: str) -> list[Window]:
    """What both arms did between the points, as the record's counts run on within a stage."""
    slot = max(rollout.seconds, 1.0) / SLOTS
    found: list[Window] = []
    for window in _differences(rollout, metric):
        if found and window.end - found[-1].begin <= slot and found[-1].end == window.begin:
            last = found[-1]
            found[-1] = Window(
                last.begin, window.end, _sum(last.canary, window.canary), _sum(last.stable, window.stable)
            )
        else:
            found.append(window)
    return [window for window in found if window.canary.total > 0 or window.stable.total > 0]


def _differences(rollout: Rollout, metric: str) -> Iterator[Window]:
    """What came between two points of a stage, where both count the same: a latency may be shown at another edge."""
    told = readings(rollout, metric)
    edges = kind_of(rollout, metric) == "histogram"
    counted = told[-1][2].detail if told else None
    stage, began = 0, 0.0
    canary = stable = NOTHING
    for time, point, reading in told:
        if rollout.step(point.step).stage != stage:
            stage, canary, stable = rollout.step(point.step).stage, NOTHING, NOTHING
            began = max(began, time - (point.window or time))
        if edges and reading.detail != counted:
            began = began if reading.stable.total or reading.canary.total else time
            continue
        grown = _grown(canary, reading.canary), _grown(stable, reading.stable)
        if grown[0] is not None and grown[1] is not None:
            yield Window(began, time, grown[0], grown[1])
        canary, stable, began = reading.canary, reading.stable, time


def _grown(before: ArmCounts, now: ArmCounts) -> ArmCounts | None:
    """What came since; None where the counts began anew."""
    total, bad = now.total - before.total, now.bad - before.bad
    return ArmCounts(total=total, bad=bad) if total >= 0 and 0 <= bad <= total else None


def _sum(one: ArmCounts, other: ArmCounts) -> ArmCounts:
    return ArmCounts(total=one.total + other.total, bad=one.bad + other.bad)
