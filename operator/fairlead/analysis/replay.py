"""A rollout judged offline, on what was recorded: with the operator's own engine and its own rules.

`replay` is what `fairlead replay` prints, as a Python function; `Replay` is the same for intervals from elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, cast

from pydantic import ValidationError

from fairlead.analysis import engine
from fairlead.analysis.decision import assess
from fairlead.analysis.finding import CONNECTIONS, Context, Finding, decides
from fairlead.analysis.intervals import WHOLE, Interval, Kind, MetricCounts
from fairlead.analysis.recording import Header, Instant, Reader, Record, RecordError, header
from fairlead.analysis.rules import broken
from fairlead.analysis.state import State
from fairlead.analysis.walk import Walk
from fairlead.api.plan import AnalysisPlan, Plan
from fairlead.api.rolloutspec import RolloutSpec
from fairlead.api.verdict import Outcome, Reading, Reason
from fairlead.rollout.metrics import BUILT_IN
from fairlead.rollout.planning import plan_of

PATIENCE = 3
"""Instants that a metric may fail in a row before the verdict says so."""
GAP = 1.5
"""Instants further apart than this times the interval are no neighbours."""
MOST_HISTORY = 1_000_000
FINAL = ("Promote", "Rollback")


class RolloutError(ValueError):
    """The rollout's settings cannot be read; the text says where and why."""


def replay(
    records: Iterable[Record],
    rollout: Mapping[str, Any],
    *,
    intervals: bool = True,
    warn: Callable[[str], None] = lambda _text: None,
) -> Iterator[dict[str, Any]]:
    """Judge recorded intervals; yields one verdict an instant and stops at Promote or Rollback.

    Args:
        records: the lines of a recording (docs/replay.md) as dicts, the header first where there is one.
        rollout: holds `spec.rollout`, as a ModelDeployment does.
        intervals: whether to work out the anytime-valid intervals of the ratios, which takes longer than all else.
        warn: is told what is not judged and why.

    Raises:
        RolloutError: the rollout's settings are wrong.
        RecordError: a line is wrong; it knows which.
    """
    return replay_lines(enumerate(records, start=1), rollout, intervals=intervals, warn=warn)


def replay_lines(
    numbered: Iterable[tuple[int, Record]],
    rollout: Mapping[str, Any],
    *,
    intervals: bool = True,
    warn: Callable[[str], None] = lambda _text: None,
) -> Iterator[dict[str, Any]]:
    """As `replay`, for lines with their numbers: so that a RecordError names the line of the file."""
    lines = iter(numbered)
    first = list(islice(lines, 1))
    found = header(first[0][1], first[0][0]) if first else None
    if found is None:
        lines = chain(first, lines)
    head = found or Header()
    plan = plan_for(rollout, head)
    reader = Reader(head, plan.analysis.warm_up, _Names(plan.analysis, warn))
    yield from replay_instants(reader.instants(lines), rollout, head, intervals=intervals)


def replay_instants(
    instants: Iterable[Instant], rollout: Mapping[str, Any], head: Header, *, intervals: bool = True
) -> Iterator[dict[str, Any]]:
    """As `replay`, for instants from elsewhere."""
    known = rollout_spec(rollout).canary.steps is not None
    return Replay(plan_for(rollout, head), head, known_share=known, intervals=intervals).run(instants)


def plan_for(rollout: Mapping[str, Any], head: Header | None) -> Plan:
    """The plan of a rollout, for intervals that were counted as the header says. Raises RolloutError."""
    spec = rollout_spec(rollout)
    try:
        plan = plan_of(spec, (head or Header()).max_connection_age)
    except (ValueError, KeyError) as error:
        message = f"spec.rollout: {error}"
        raise RolloutError(message) from error
    if head is None:
        return plan
    analysis = {"interval": head.interval, "routing": head.routing, "counted_at": head.source}
    return plan.model_copy(update={"analysis": plan.analysis.model_copy(update=analysis)})


def rollout_spec(document: Mapping[str, Any]) -> RolloutSpec:
    """`spec.rollout` of a document. Raises RolloutError in a sentence."""
    spec = document.get("spec")
    rollout = spec.get("rollout", {}) if isinstance(spec, Mapping) else None
    if not isinstance(rollout, Mapping):
        message = "the file holds no spec.rollout, as a ModelDeployment does"
        raise RolloutError(message)
    try:
        found = RolloutSpec.model_validate(rollout, extra="forbid")
        problem = broken(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("spec", "rollout", *first["loc"]))
        what = "no such field" if first["type"] == "extra_forbidden" else first["msg"]
        message = f"{where}: {what}"
        raise RolloutError(message) from error
    except ValueError as error:
        message = f"spec.rollout: {error}"
        raise RolloutError(message) from error
    if problem:
        message = f"spec.rollout.{problem}"
        raise RolloutError(message)
    return found


@dataclass(frozen=True, slots=True)
class _Names:
    """Which recorded metrics are judged."""

    plan: AnalysisPlan
    warn: Callable[[str], None]
    known: set[tuple[str, Kind]] = field(default_factory=set)
    told: set[str] = field(default_factory=set)

    def __call__(self, name: str, kind: Kind, line: int) -> bool:
        if (name, kind) in self.known:
            return True
        if not any(metric.name == name for metric in self.plan.metrics):
            if name not in self.told:
                self.warn(f"line {line}: {name} is not one of the rollout's metrics, so it is not judged")
            self.told.add(name)
            return False
        expected = BUILT_IN[name].kind if name in BUILT_IN else kind
        if expected not in (kind, "histogram" if kind == "native" else kind):
            raise RecordError(line, f"{name} is recorded as {kind}; it is a {expected}")
        self.known.add((name, kind))
        return True


class Replay:
    """Walks through a plan in recorded time. Times are seconds since the rollout began."""

    def __init__(self, plan: Plan, head: Header, *, known_share: bool, intervals: bool) -> None:
        self._walk = Walk(plan)
        self._analysis = plan.analysis
        self._where = Context(plan.analysis, 0.0, 0.0)
        self._head = head
        self._settling = engine.settle_time(plan.analysis)
        self._lags = head.source == "pod"
        self._known_share = known_share
        self._intervals = intervals
        self._state = State(tick=0, intervals=intervals)
        self._changed = -math.inf if head.routing == "request" else 0.0
        self._weight: float | None = None
        self._stage = 0
        self._late: list[tuple[float, str, MetricCounts]] = []
        self._failing = 0
        self._failed = False
        self._over = False

    def run(self, instants: Iterable[Instant]) -> Iterator[dict[str, Any]]:
        """Yield the verdict on each instant once it can be judged: where pods count, with the next one or the end."""
        history: list[Interval] = []
        last: Instant | None = None
        before = 0.0
        for instant in instants:
            if instant.t <= 0:
                history.append(_of_the_past(instant, len(history) - MOST_HISTORY))
                continue
            if last is None:
                engine.learn(self._state, self._analysis, history)
            else:
                follows = instant.t - last.t <= GAP * max(self._head.interval, last.t - before)
                if self._lags:
                    yield self._judge(last, Interval(0, instant.t, metrics=instant.metrics) if follows else None)
                    if self._over:
                        return
                if not follows:
                    engine.forget_windows(self._state)
                before = last.t
            self._take(instant, before)
            last = instant
            if not self._lags:
                yield self._judge(instant, None)
                if self._over:
                    return
        if last is not None and self._lags:
            yield self._judge(last, None)

    def _take(self, instant: Instant, before: float) -> None:
        """Let the engine have an instant whose interval began at `before`."""
        if instant.weight is not None and instant.weight != self._weight:
            if self._weight is not None:
                self._share_changed(before)
            self._weight = instant.weight
        self._note_errors(instant.errors)
        interval = Interval(
            tick=self._state.tick + 1,
            t=instant.t,
            stage=self._stage,
            settled=before >= self._changed + self._settling,
            metrics=instant.metrics,
            late=self._due(instant),
            share=self._share(),
            connections=self._connections(instant),
            opened=sum(instant.opened.values()),
            opened_canary=instant.opened.get("canary"),
            carried=_requests(instant) if instant.opened else 0.0,
            canary_seen=any(counts.canary for counts in instant.metrics.values()),
            acted=tuple(instant.acted),
        )
        engine.take(self._state, self._analysis, interval)

    def _note_errors(self, errors: Mapping[str, str]) -> None:
        self._failed = bool(errors) and any(m.name in errors for m in self._analysis.metrics if decides(m))
        self._failing = self._failing + 1 if self._failed else 0

    def _share_changed(self, when: float) -> None:
        self._changed, self._stage = when, self._stage + 1

    def _due(self, instant: Instant) -> dict[str, MetricCounts]:
        """Ground truth that has become known by now."""
        if not self._late and not instant.late:
            return {}
        self._late += instant.late
        due = [item for item in self._late if item[0] <= instant.t]
        self._late = [item for item in self._late if item[0] > instant.t]
        out: dict[str, MetricCounts] = {}
        for _, name, counts in due:
            out[name] = together(out[name], counts) if name in out else counts
        return out

    def _share(self) -> float | None:
        if self._weight is not None:
            return self._weight / 100
        return self._walk.weight / 100 if self._known_share else None

    def _connections(self, instant: Instant) -> float | None:
        """All connections to the canary so far. Where only pods were recorded, there were enough."""
        if self._head.routing == "request":
            return None
        if "canary" in instant.opened:
            return (self._state.connections or 0.0) + instant.opened["canary"]
        if self._state.connections is not None:
            return self._state.connections
        told_apart = any(WHOLE not in counts.stable for counts in instant.metrics.values())
        return float(CONNECTIONS) if told_apart else None

    def _judge(self, instant: Instant, following: Interval | None) -> dict[str, Any]:
        engine.judge_waiting(self._state, self._analysis, following)
        self._where.t, self._where.stage_started = instant.t, self._walk.stage_began
        assessment = assess(self._state, self._where, intervals=self._intervals)
        finding = self._finding(assessment.finding)
        step, stage = self._walk.step, self._walk.stage
        verdict = self._walk.go_on(instant.t, finding)
        self._over = verdict in FINAL
        if self._walk.stage != stage and self._weight is None:
            self._share_changed(instant.t)
        elif self._walk.stage != stage:
            self._stage += 1
        acted = self._state.acted
        if finding.acted:
            acted = (*acted, *(rule for rule in finding.acted if rule not in acted))
        return {
            "t": instant.t,
            "verdict": verdict,
            "step": step,
            "culprit": finding.culprit,
            "acted": list(acted),
            "metrics": {reading.name: _shown(reading) for reading in assessment.readings if self._speaks(reading)},
        }

    def _finding(self, found: Finding) -> Finding:
        """What stands once failures to measure are taken into account; proof of a regression outlives them."""
        if not self._analysis.enabled:
            return Finding(Outcome.ADVANCE, Reason.DISABLED, str)
        if not self._failed or found.outcome is Outcome.ROLLBACK:
            return found
        outcome = Outcome.CONTINUE
        if self._failing >= PATIENCE:
            outcome = Outcome.ROLLBACK if self._analysis.on_provider_error == "Fail" else Outcome.INCONCLUSIVE
        return Finding(outcome, Reason.PROVIDER_ERROR, str, measurable=False, acted=(*found.acted, "provider-error"))

    def _speaks(self, reading: Reading) -> bool:
        metric = self._state.metrics.get(reading.name)
        return reading.action == "Rollback" or (metric is not None and bool(metric.processes))


def together(a: MetricCounts, b: MetricCounts) -> MetricCounts:
    """Two intervals of a ratio as one."""
    arms = [
        {pod: _sum(first.get(pod), second.get(pod)) for pod in (*first, *(p for p in second if p not in first))}
        for first, second in ((a.canary, b.canary), (a.stable, b.stable))
    ]
    return MetricCounts(arms[0], arms[1], a.kind, a.edges, a.schema)


def _sum(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, tuple):
        return tuple(x + y for x, y in zip(a, b, strict=True))
    return {key: a.get(key, 0.0) + b.get(key, 0.0) for key in a.keys() | b.keys()}


def _of_the_past(instant: Instant, tick: int) -> Interval:
    """An instant from before the rollout."""
    return Interval(
        tick,
        instant.t,
        settled=False,
        metrics=instant.metrics,
        opened=sum(instant.opened.values()),
        carried=_requests(instant) if instant.opened else 0.0,
    )


def _requests(instant: Instant) -> float:
    """Requests of both arms in an instant, by the metric that counts most of them."""
    return max(
        (
            sum(cast("tuple[float, ...]", cells)[0] for arm in (counts.canary, counts.stable) for cells in arm.values())
            for counts in instant.metrics.values()
            if counts.kind in ("ratio", "histogram")
        ),
        default=0.0,
    )


def _shown(reading: Reading) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "evidence": reading.evidence,
        "evidenceOk": reading.evidence_ok,
        "ratio": reading.ratio,
    }
    if reading.interval is not None:
        low, high = reading.interval
        shown["interval"] = [low, high if math.isfinite(high) else None]
    shown["phi"] = reading.phi
    return shown
