"""The engine: from intervals to evidence. Nothing here asks anyone or knows the time of day.

`ingest` takes the intervals of a rollout one after the other and updates the state in place; what the state
then means is decided in `decision.py`. A canary interval is judged one tick late, when the stable windows
before, beside and after it are all known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from fairlead.analysis import evidence
from fairlead.analysis.evidence import BETTER, WORSE, Counts, Margin
from fairlead.analysis.intervals import Interval, MetricCounts
from fairlead.analysis.state import COMPARED_PODS, ZERO, Process, State
from fairlead.api.plan import AnalysisPlan, PlanMargin, PlanMetric

LATENCY = "latency"
QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
"""The judged latency edges are the ones nearest to these quantiles of stable."""
SKETCH = 100
"""Stable requests that the choice of the edges needs."""


def block_ticks(plan: AnalysisPlan) -> int:
    """Length of a block: long enough that connections have come and gone within it."""
    return max(1, math.ceil(max(60.0, 2 * plan.max_connection_age) / plan.interval))


def settle_time(plan: AnalysisPlan) -> float:
    """Seconds from a change of the share until an interval that begins then may be judged.

    Connections live on where they were for up to their maximum age (a fifth is allowed for stragglers), and a
    pod's counters at an instant are up to one scrape old.
    """
    return 1.2 * plan.max_connection_age + plan.interval


def keys(metric: PlanMetric, state: State) -> list[str]:
    """The names of the metric's processes: itself, or one for each judged edge."""
    return [edge_key(edge) for edge in state.edges] if metric.name == LATENCY else [metric.name]


def edge_key(edge: float) -> str:
    """The name of the process that judges requests slower than `edge` seconds."""
    return f"{LATENCY}>{edge:.12g}"


def enter_stage(state: State, stage: int) -> None:
    """Start a stage: the evidence for the canary begins anew, the evidence against it is kept."""
    if stage == state.stage:
        return
    state.stage, state.stage_judged, state.last_data, state.waiting = stage, 0, None, False
    for process in state.processes.values():
        process.ok, process.canary, process.stable = evidence.ONES, ZERO, ZERO


def learn(state: State, plan: AnalysisPlan, history: Iterable[Interval]) -> None:
    """Take in intervals from before the rollout, for the latency edges and the dispersion only."""
    intervals = list(history)
    for interval in intervals:
        _sketch(state, interval)
    _choose_edges(state)
    _add_processes(state, plan)
    for interval in intervals:
        _disperse(state, plan, interval.tick, _stable_cells(state, interval))
        _count_connections(state, interval)
    _forget_windows(state)


def ingest(state: State, plan: AnalysisPlan, interval: Interval) -> None:
    """Take in the next interval. One that was taken in already changes nothing."""
    if interval.tick <= state.tick:
        return
    enter_stage(state, interval.stage)
    _add_processes(state, plan)
    if interval.tick != state.tick + 1:
        _forget_windows(state)
    stable = _stable_cells(state, interval)
    totals = {key: _total(cells.values()) for key, cells in stable.items()}
    if state.waiting:
        _judge(state, plan, totals)
    _queue(state, interval, stable)
    _disperse(state, plan, interval.tick, stable)
    if not state.edges:
        _sketch(state, interval)
        _choose_edges(state)
        _add_processes(state, plan)
    _note(state, interval)


def _judge(state: State, plan: AnalysisPlan, after: Mapping[str, Counts]) -> None:
    """Turn the waiting canary interval into evidence."""
    waiting = [p.waiting.n for p in state.processes.values()]
    if max(waiting, default=0.0) <= 0:
        return
    state.judged += 1
    mass = evidence.onset(state.judged)
    if state.stage_judged == 0:
        state.stages_judged += 1
        mass += evidence.stage_onset(state.stages_judged)
    state.stage_judged += 1
    state.last_data = state.tick
    state.spent += mass
    for metric in plan.metrics:
        for key in keys(metric, state):
            process = state.processes[key]
            _judge_one(process, metric, (process.before, process.beside, after.get(key, ZERO)), mass)


def _judge_one(p: Process, metric: PlanMetric, windows: tuple[Counts, Counts, Counts], mass: float) -> None:
    worse = evidence.aligned(p.waiting, windows, _margin(metric.rollback), WORSE, p.phi)
    better = evidence.aligned(p.waiting, windows, _margin(metric.promotion), BETTER, p.phi)
    p.bad, p.ok = evidence.against(p.bad, worse, mass), evidence.product(p.ok, better)
    p.canary, p.stable = _total((p.canary, p.waiting)), _total((p.stable, p.beside))


def _queue(state: State, interval: Interval, stable: Mapping[str, Mapping[str, Counts]]) -> None:
    """Let the interval's canary counts wait for the next stable window."""
    state.waiting = interval.settled
    canary = _canary_totals(state, interval)
    for key, p in state.processes.items():
        cells = stable.get(key, {}).values()
        p.waiting, p.before, p.beside = canary.get(key, ZERO), p.beside, _total(cells)
        p.phi = p.spread.phi(state.whole.get(key, {}).values())
        if sum(cell.n > 0 for cell in cells) <= 1:
            # A lone stable pod shows no dispersion, so all requests of a connection are taken as one.
            p.phi = max(p.phi, state.carried / max(1.0, state.opened))


def _forget_windows(state: State) -> None:
    """After a gap nothing can be aligned: the next interval starts anew."""
    state.waiting, state.block, state.cells = False, None, {}
    for p in state.processes.values():
        p.waiting = p.before = p.beside = ZERO


def _disperse(state: State, plan: AnalysisPlan, tick: int, stable: Mapping[str, Mapping[str, Counts]]) -> None:
    """Update the dispersion with the interval, and with the block when it ends one."""
    if state.block is None:
        state.block = tick
    for key, p in state.processes.items():
        cells = stable.get(key, {})
        p.spread.add_tick(cells.values())
        for sums in (state.cells.setdefault(key, {}), state.whole.setdefault(key, {})):
            _add_up(sums, cells)
    if tick + 1 - state.block < block_ticks(plan):
        return
    for key, p in state.processes.items():
        p.spread.add_block(state.cells[key].values())
    state.block, state.cells = None, {}


def _add_up(sums: dict[str, Counts], cells: Mapping[str, Counts]) -> None:
    """Add the pods' counts; a pod beyond the number that is kept takes the place of one that is gone."""
    for pod in sorted(cells):
        if pod not in sums and len(sums) >= COMPARED_PODS:
            gone = next((old for old in sums if old not in cells), None)
            if gone is None:
                continue
            del sums[gone]
        sums[pod] = _total((sums.get(pod, ZERO), cells[pod]))


def _sketch(state: State, interval: Interval) -> None:
    counts = interval.metrics.get(LATENCY)
    if counts is None or state.edges:
        return
    if {*counts.edges, -1.0} != set(state.sketch):
        state.sketch = dict.fromkeys((-1.0, *counts.edges), 0.0)
    for cells in counts.stable.values():
        for edge, value in zip((-1.0, *counts.edges), cells, strict=True):
            state.sketch[edge] += value


def _choose_edges(state: State) -> None:
    """Take the edges whose tails are nearest to the quantiles' ones, on the logarithmic scale."""
    n = state.sketch.get(-1.0, 0.0)
    if state.edges or n < SKETCH or len(state.sketch) <= 1:
        return
    tails = {edge: max(above, 0.5) / n for edge, above in state.sketch.items() if edge >= 0}
    chosen = {min(tails, key=lambda edge: (abs(math.log(tails[edge] / (1 - q))), edge)) for q in QUANTILES}
    state.edges, state.sketch = tuple(sorted(chosen)), {}


def _add_processes(state: State, plan: AnalysisPlan) -> None:
    for metric in plan.metrics:
        for key in keys(metric, state):
            if key not in state.processes:
                state.processes[key] = Process()


def _note(state: State, interval: Interval) -> None:
    state.tick, state.canary_seen = interval.tick, interval.canary_seen
    if interval.connections is not None:
        state.connections = max(interval.connections, state.connections or 0.0)
    _count_connections(state, interval)


def _count_connections(state: State, interval: Interval) -> None:
    state.opened, state.carried = state.opened + interval.opened, state.carried + interval.carried


def _stable_cells(state: State, interval: Interval) -> dict[str, dict[str, Counts]]:
    """Stable's counts by process and pod."""
    out: dict[str, dict[str, Counts]] = {}
    for name, counts in interval.metrics.items():
        for key, cut in _cuts(state, name, counts).items():
            out[key] = {pod: Counts(cells[0], cells[cut]) for pod, cells in counts.stable.items()}
    return out


def _canary_totals(state: State, interval: Interval) -> dict[str, Counts]:
    out: dict[str, Counts] = {}
    for name, counts in interval.metrics.items():
        for key, cut in _cuts(state, name, counts).items():
            out[key] = _total(Counts(cells[0], cells[cut]) for cells in counts.canary.values())
    return out


def _cuts(state: State, name: str, counts: MetricCounts) -> dict[str, int]:
    """Where in a pod's cells each process finds its bad requests."""
    if name != LATENCY:
        return {name: 1} if name in state.processes else {}
    places = {edge: i for i, edge in enumerate(counts.edges, start=1)}
    return {edge_key(edge): places[edge] for edge in state.edges if edge in places}


def _total(counts: Iterable[Counts]) -> Counts:
    n = k = 0.0
    for part in counts:
        n, k = n + part.n, k + part.k
    return Counts(n, k)


def _margin(margin: PlanMargin) -> Margin:
    return Margin(margin.ratio, margin.absolute)
