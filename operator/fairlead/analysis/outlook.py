"""What each share of the traffic can show, told before it is tried: the minimum detectable effect in words."""

from __future__ import annotations

from fairlead.analysis import dispersion, sentences
from fairlead.analysis.detectable import least_ratio
from fairlead.analysis.evidence import Counts
from fairlead.analysis.readings import detail
from fairlead.analysis.state import Metric, State
from fairlead.api.duration import render
from fairlead.api.plan import AnalysisPlan, PlanMetric
from fairlead.api.verdict import Reading

FEW = 0.01
"""The tail of the latency that is spoken of."""


def outlook(state: State, plan: AnalysisPlan, weight: int) -> str:
    """A sentence on what a share of `weight` per cent can show within `maxStep`; '' while the traffic is unknown."""
    if state.seconds <= 0 or not 0 < weight < 100:  # noqa: PLR2004  per cent
        return ""
    rate = state.carried / state.seconds
    shown = [
        text
        for metric in plan.metrics
        if metric.action == "Rollback" and (text := _shown(state, plan, metric, rate * plan.max_step, weight / 100))
    ]
    if not shown:
        return ""
    traffic = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"  # noqa: PLR2004  two figures
    return f"at {traffic} requests/s a {weight} % canary can show {', '.join(shown)} within {render(plan.max_step)}"


def _shown(state: State, plan: AnalysisPlan, known: PlanMetric, requests: float, share: float) -> str:
    metric = state.metrics.get(known.name)
    if metric is None or not metric.whole or metric.kind not in ("ratio", "histogram"):
        return ""
    sums = [sum(column) for column in zip(*metric.whole.values(), strict=True)]
    if sums[0] <= 0:
        return ""
    place = _place(metric, sums)
    process = metric.processes[place]
    stable = Counts(requests * (1 - share), requests * (1 - share) * sums[place + 1] / sums[0])
    margin = dispersion.widened(known.rollback, process.floor, sums[place + 1] / sums[0])
    bar = 1 / (plan.alpha * known.weight)
    ratio = least_ratio(requests * share, stable, margin, bar, process.spread.phi())
    subject = sentences.subject(Reading(known.name, 0, 0, 0, 0, 1, 1, known.weight, detail(metric, place)))
    now = sentences.percent(stable.k, stable.n)
    if ratio is None:
        return f"no change of the {subject} (now {now})"
    return f"{subject} of {sentences.percent(ratio * max(stable.k, 0.5), stable.n)} or more (now {now})"


def _place(metric: Metric, sums: list[float]) -> int:
    """The edge whose tail is nearest to one in a hundred."""
    return min(range(len(metric.processes)), key=lambda place: abs(sums[place + 1] / sums[0] - FEW))
