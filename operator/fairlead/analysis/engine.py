"""The engine: from intervals to evidence. Nothing here asks anyone or knows the time of day.

`ingest` takes the intervals of a rollout one after the other and updates the state in place; what the state
then means is decided in `decision.py`. Where pods count, an interval is judged one tick late, when the stable windows
before, beside and after it are all known; what a router counts is judged at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from fairlead.analysis import clumping, counting, evidence, weighing
from fairlead.analysis.dispersion import Spread
from fairlead.analysis.intervals import WHOLE, Interval, MetricCounts
from fairlead.analysis.state import NO_REQUESTS, Metric, State
from fairlead.api.plan import AnalysisPlan, PlanMetric


def settle_time(plan: AnalysisPlan) -> float:
    """Seconds from a change of the share until an interval that begins then may be judged.

    Connections live on where they were for up to their maximum age (a fifth is allowed for stragglers), and a
    pod's counters at an instant are up to one scrape old.
    """
    scrape = plan.interval if plan.counted_at == "pod" else 0.0
    return scrape + (1.2 * plan.max_connection_age if plan.routing == "connection" else 0.0)


def enter_stage(state: State, stage: int) -> None:
    """Start a stage: the evidence for the canary begins anew, the evidence against it is kept."""
    if stage == state.stage:
        return
    state.stage, state.stage_judged, state.last_data, state.waiting = stage, 0, None, False
    for metric in state.metrics.values():
        if metric.late:
            continue
        metric.canary = metric.stable = 0.0
        metric.last_data = None
        for process in metric.processes:
            process.ok, process.canary, process.stable = list(evidence.ONES), 0.0, 0.0
            for curve in process.estimate.curves:
                curve.begin_stage()


def learn(state: State, plan: AnalysisPlan, history: Iterable[Interval]) -> None:
    """Take in intervals from before the rollout, for the latency edges, the dispersion and the noise floor only."""
    intervals = list(history)
    for interval in intervals:
        for known in plan.metrics:
            counts = interval.metrics.get(known.name)
            if counts is not None and counts.kind != weighing.CATEGORICAL:
                counting.prepare(_metric(state, known.name), counts, pooled=False)
    for interval in intervals:
        for known in plan.metrics:
            metric, counts = _metric(state, known.name), interval.metrics.get(known.name)
            if counts is not None and metric.processes and counting.fits(metric, counts):
                clumping.disperse(metric, counting.stable_cells(metric, counts), history=True)
        clumping.end_block(state, plan, interval.tick)
        _count(state, plan, interval)
    for metric in state.metrics.values():
        for process in metric.processes:
            if not metric.whole and not process.spread.visible():
                # Neighbouring intervals of a whole arm differ by drift too: only what is plain to see is taken for it.
                process.spread = Spread()
        metric.block, metric.last = {}, []
        metric.waiting = metric.before = metric.beside = NO_REQUESTS
    state.block = None


def ingest(state: State, plan: AnalysisPlan, interval: Interval) -> None:
    """Take in the next interval. One that was taken in already changes nothing."""
    if interval.tick <= state.tick:
        return
    follows = interval.tick == state.tick + 1
    acted = judge_waiting(state, plan, interval if follows else None)
    if not follows:
        forget_windows(state)
    take(state, plan, interval)
    if acted:
        state.acted = (*state.acted, *(rule for rule in acted if rule not in state.acted))


def take(state: State, plan: AnalysisPlan, interval: Interval) -> None:
    """Take in an interval, once the one before it was judged; judge it at once where nothing comes late."""
    if interval.stage != state.stage:
        enter_stage(state, interval.stage)
    settled = state.waiting = interval.settled
    state.canary_pods, state.stable_pods = _pods(interval, canary=True), _pods(interval, canary=False)
    for known in plan.metrics:
        metric, counts = _metric(state, known.name), interval.metrics.get(known.name)
        if counts is not None and (not metric.processes or metric.schema != counts.schema):
            _prepare(metric, counts, state.spent, pooled=settled)
        if counts is not None and metric.processes and counting.fits(metric, counts):
            _queue(state, plan, known, metric, counts)
        else:
            metric.before, metric.beside, metric.waiting = metric.beside, NO_REQUESTS, NO_REQUESTS
    clumping.end_block(state, plan, interval.tick)
    state.traffic = _traffic(state, plan, interval) if settled and interval.share is not None else None
    _note(state, plan, interval)
    if interval.late:
        _judge_late(state, plan, interval)
    if plan.counted_at == "router":
        judge_waiting(state, plan, None)


def judge_waiting(state: State, plan: AnalysisPlan, following: Interval | None) -> tuple[str, ...]:
    """Turn the waiting interval into evidence; `following` gives the stable window after it, where there is one.

    Returns the rules that acted on it.
    """
    if not state.waiting:
        return ()
    state.waiting = False
    judged = [(known, metric) for known in plan.metrics if not (metric := state.metrics[known.name]).late]
    ready = [_judgeable(metric) for _, metric in judged]
    if True not in ready:
        return ()
    mass = _next_onset(state)
    if state.traffic is not None:
        state.split.add(*state.traffic, mass)
    acted: dict[str, None] = {}
    for (known, metric), judgeable in zip(judged, ready, strict=True):
        if judgeable:
            weighing.judge(state, known, metric, weighing.windows(plan, metric, known.name, following), mass, acted)
            metric.witness.settle(clumping.memory_ticks(plan))
            metric.last_data = state.tick
            metric.waiting = NO_REQUESTS
        else:
            for process in metric.processes:  # no data is e = 1, but the onset may have been now
                process.bad = evidence.against(process.bad, evidence.ONES, mass)
    if acted:
        state.acted = (*state.acted, *acted)
    return tuple(acted)


def _next_onset(state: State) -> float:
    """Count one more judged interval; returns the prior mass on a regression that begins with it."""
    state.judged += 1
    mass = evidence.onset(state.judged)
    if state.stage_judged == 0:
        state.stages_judged += 1
        mass += evidence.stage_onset(state.stages_judged)
    state.stage_judged += 1
    state.last_data = state.tick
    state.spent += mass
    return mass


def forget_windows(state: State) -> None:
    """After a gap nothing can be aligned: the next interval starts anew."""
    state.block = None
    for metric in state.metrics.values():
        metric.block = {}
        metric.waiting = metric.before = metric.beside = NO_REQUESTS


def _prepare(metric: Metric, counts: MetricCounts, spent: float, *, pooled: bool) -> None:
    """Fix the metric's tests; one that joins late has been at e = 1 so far."""
    known = bool(metric.processes)
    counting.prepare(metric, counts, pooled=pooled)
    if not known and spent:
        for process in metric.processes:
            process.bad = evidence.rounded([spent] * evidence.POINTS)


def _judgeable(metric: Metric) -> bool:
    return bool(metric.processes) and metric.waiting.n > 0 and metric.beside.n > 0


def _queue(state: State, plan: AnalysisPlan, known: PlanMetric, metric: Metric, counts: MetricCounts) -> None:
    """Let the interval's canary counts wait for the next stable window; dispersion is that of data before it."""
    events: frozenset[int] = frozenset()
    if metric.kind == weighing.CATEGORICAL:
        events = metric.witness.classes()
    cells = counting.stable_cells(metric, counts, events)
    metric.before, metric.beside = metric.beside, counting.total(cells.values())
    metric.waiting = counting.canary_window(metric, counts, known, events) if state.waiting else NO_REQUESTS
    if metric.kind == weighing.CATEGORICAL and _judgeable(metric):
        canary, stable = (cast("Iterable[Mapping[str, float]]", arm.values()) for arm in (counts.canary, counts.stable))
        metric.witness.note(canary, stable, clumping.memory_ticks(plan))
    whole = WHOLE in cells
    if (cells and not whole) or metric.whole or metric.processes[0].spread.tick_df:
        clumping.weaken_waiting(state, metric, len(cells))
        clumping.disperse(metric, cells, history=False)
    if plan.routing == "connection" and (whole or len(cells) <= 1 or metric.kind == weighing.CATEGORICAL):
        # A lone stable pod shows no dispersion, so all requests of a connection are taken as one. And what a client
        # asks for is much the same from one request to the next, which few pods show too late.
        lone = state.carried / max(1.0, state.opened)
        for process in metric.processes:
            process.phi = max(process.phi, lone)


def _judge_late(state: State, plan: AnalysisPlan, interval: Interval) -> None:
    """Ground truth has a clock of its own, and its windows are those of the requests: nothing to align."""
    known = [metric for metric in plan.metrics if metric.name in interval.late]
    if not known:
        return
    state.late_judged += 1
    mass = evidence.onset(state.late_judged)
    state.late_spent += mass
    for planned in known:
        metric, counts = _metric(state, planned.name), interval.late[planned.name]
        metric.late = True
        _prepare(metric, counts, state.late_spent - mass, pooled=True)
        if not metric.processes or not counting.fits(metric, counts):
            continue
        cells = counting.stable_cells(metric, counts)
        if WHOLE not in cells:
            clumping.weaken_waiting(state, metric, len(cells))
            clumping.disperse(metric, cells, history=False)
        metric.beside = counting.total(cells.values())
        metric.waiting = counting.canary_window(metric, counts, planned)
        if _judgeable(metric):
            weighing.judge(state, planned, metric, [metric.beside], mass, {})
            metric.witness.settle(0)
            metric.last_data = interval.tick
        metric.waiting = metric.beside = NO_REQUESTS


def _note(state: State, plan: AnalysisPlan, interval: Interval) -> None:
    state.tick, state.canary_seen = interval.tick, interval.canary_seen
    state.acted = interval.acted if interval.settled else (*interval.acted, "settling")
    if interval.connections is not None:
        state.connections = max(interval.connections, state.connections or 0.0)
    _count(state, plan, interval)


def _count(state: State, plan: AnalysisPlan, interval: Interval) -> None:
    if interval.carried:
        state.opened += interval.opened
        state.carried += interval.carried
        state.seconds += plan.interval


def _traffic(state: State, plan: AnalysisPlan, interval: Interval) -> tuple[float, float, float] | None:
    """The canary's count, both arms' count and its due share: of connections where those are balanced."""
    share = interval.share or 0.0
    if plan.routing == "connection":
        return None if interval.opened_canary is None else (interval.opened_canary, interval.opened, share)
    canary = stable = before = 0.0
    for metric in state.metrics.values():
        if not metric.late and metric.waiting.n + metric.beside.n > canary + stable:
            canary, stable, before = metric.waiting.n, metric.beside.n, metric.before.n
    if plan.counted_at == "pod" and before > 0:
        # Counted by pods at different instants, the arms' windows differ: the one counts that speaks for the share.
        stable = min(stable, before, key=lambda n: abs(canary - share * (canary + n)))
    return canary, canary + stable, share


def _pods(interval: Interval, *, canary: bool) -> int:
    """Pods that are told apart; 0 where an arm is counted as a whole, 1 at least for a canary."""
    most = 0
    for counts in interval.metrics.values():
        arm = counts.canary if canary else counts.stable
        if len(arm) > most and WHOLE not in arm:
            most = len(arm)
    return most or (1 if canary else 0)


def _metric(state: State, name: str) -> Metric:
    found = state.metrics.get(name)
    if found is None:
        found = state.metrics[name] = Metric()
    return found
