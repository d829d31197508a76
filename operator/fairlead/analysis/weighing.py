"""One interval of both arms into the evidence of each test of a metric."""

from __future__ import annotations

from functools import lru_cache

from fairlead.analysis import counting, dispersion, evidence, witness
from fairlead.analysis.estimate import Curve
from fairlead.analysis.evidence import BETTER, WORSE, Counts, Factors, Margin
from fairlead.analysis.intervals import Interval
from fairlead.analysis.state import NO_REQUESTS, Metric, Process, State, Window
from fairlead.api.plan import AnalysisPlan, PlanMargin, PlanMetric

CATEGORICAL = "categorical"


def judge(
    state: State, known: PlanMetric, metric: Metric, windows: list[Window], mass: float, acted: dict[str, None]
) -> None:
    """Weigh the waiting interval against stable's windows; `mass` may begin here, `acted` gets the rules that did."""
    metric.canary += metric.waiting.n
    metric.stable += metric.beside.n
    if metric.kind == CATEGORICAL:
        _judge_distribution(known, metric, windows, mass)
        return
    if len(windows) > 1 or len(metric.processes) > 1 or not _weigh_at_once(known, metric, mass):
        _weigh_all(known, metric, windows, mass, acted)
    canary, beside = metric.waiting, metric.beside
    for place, process in enumerate(metric.processes):
        bad = canary.bad[place]
        process.canary += bad
        process.stable += beside.bad[place]
        process.estimate.add((canary.n, bad), (beside.n, beside.bad[place]))
        if state.intervals:
            _trace(process, (canary.n, bad), windows, place)


def windows(plan: AnalysisPlan, metric: Metric, name: str, following: Interval | None) -> list[Window]:
    """Stable's windows to compare with: beside, and where pods count also before and after; empty where unknown."""
    if plan.counted_at == "router":
        return [metric.beside]
    if metric.kind != CATEGORICAL:
        return [metric.beside, metric.before, _after(metric, name, following, frozenset())]
    # The witness of the interval before was another one.
    return [metric.beside, _after(metric, name, following, metric.witness.classes())]


def _after(metric: Metric, name: str, following: Interval | None, events: frozenset[int]) -> Window:
    counts = following.metrics.get(name) if following is not None else None
    if counts is None or not counting.fits(metric, counts):
        return NO_REQUESTS
    return counting.total(counting.stable_cells(metric, counts, events).values())


def _weigh_at_once(known: PlanMetric, metric: Metric, mass: float) -> bool:
    """The evidence of a single test at a single alignment, in one go; False where that cannot be."""
    process, canary, beside = metric.processes[0], metric.waiting, metric.beside
    if process.phi > 1.0 or process.floor > 1.0 or canary.lenient:
        return False
    arms = (canary.n, canary.bad[0]), (beside.n, beside.bad[0])
    try:
        process.bad, process.ok = evidence.both(process.bad, process.ok, *arms, _margins(known, metric), mass)
    except OverflowError:
        return False
    return True


def _weigh_all(known: PlanMetric, metric: Metric, windows: list[Window], mass: float, acted: dict[str, None]) -> None:
    """The evidence of all tests of a metric, which share what depends on the requests alone."""
    canary, n = metric.waiting, metric.waiting.n
    worse_than, better_than = _margins(known, metric)
    there = [window for window in windows if window.n > 0]
    worse = [evidence.factors(n, window.n, _margin(worse_than), WORSE) for window in there]
    better = [evidence.factors(n, window.n, _margin(better_than), BETTER) for window in there]
    earlier = metric.stable - metric.beside.n
    for place, process in enumerate(metric.processes):
        bad, phi = canary.bad[place], process.phi
        lenient = canary.lenient[place] if canary.lenient else bad
        factors = worse
        if process.floor > 1.0:
            acted["noise-floor"] = None
            margin = dispersion.widened(worse_than, process.floor, process.stable / earlier if earlier > 0 else 0.0)
            factors = [evidence.factors(n, window.n, margin, WORSE) for window in there]
        if phi > 1.0:
            acted["dispersion"] = None
        process.bad = evidence.against(process.bad, _least(factors, bad, there, place, phi, acted), mass)
        process.ok = evidence.product(process.ok, _least(better, lenient, there, place, phi, acted))


def _margins(known: PlanMetric, metric: Metric) -> tuple[PlanMargin, PlanMargin]:
    """What is still alike, and what is proven: for native histograms those made for them."""
    if metric.kind == "native":
        return known.native_rollback or known.rollback, known.native_promotion or known.promotion
    return known.rollback, known.promotion


def _least(
    factors: list[Factors], bad: float, windows: list[Window], place: int, phi: float, acted: dict[str, None]
) -> list[float]:
    """The least of the e-values against each of the stable windows, weakened by the dispersion, as logarithms.

    Pods are scraped at different instants, so during a shared outage the arms' windows cover different
    moments. The minimum over the stable windows shifted by −1, 0 and +1 tick is an e-value when one of
    them is the right one.
    """
    beside = least = evidence.values(factors[0], bad, windows[0].bad[place])
    if len(windows) > 1:
        others = [
            evidence.values(given, bad, window.bad[place])
            for given, window in zip(factors[1:], windows[1:], strict=True)
        ]
        least = list(map(min, beside, *others))
        if least != beside:
            acted["alignment"] = None
    return [value / phi for value in least] if phi != 1.0 else least


def _trace(process: Process, canary: tuple[float, float], windows: list[Window], place: int) -> None:
    """Keep what the interval of the ratio needs, for each alignment."""
    curves, beside = process.estimate.curves, windows[0]
    if not curves:
        curves = process.estimate.curves = [Curve() for _ in windows]
    for curve, window in zip(curves, windows, strict=False):
        used = window if window.n > 0 else beside
        curve.add(canary, (used.n, used.bad[place]), process.phi)


def _judge_distribution(known: PlanMetric, metric: Metric, windows: list[Window], mass: float) -> None:
    process, seen = metric.processes[0], metric.witness
    events = seen.classes()
    if not events:
        process.bad = evidence.against(process.bad, evidence.ONES, mass)
    else:
        canary = Counts(metric.waiting.n, metric.waiting.bad[0])
        guess = seen.guess(events)
        logs = [witness.log_e(canary, Counts(w.n, w.bad[0]), guess, known.tolerance) for w in windows if w.n > 0]
        step = min(logs) / process.phi
        process.bad = evidence.against(process.bad, [step] * len(process.bad), mass)
        process.canary += canary.k
        process.stable += metric.beside.bad[0]


@lru_cache(maxsize=256)
def _margin_of(ratio: float, absolute: float) -> Margin:
    return Margin(ratio, absolute)


def _margin(margin: PlanMargin) -> Margin:
    return _margin_of(margin.ratio, margin.absolute)
