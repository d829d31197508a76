"""The charts of the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from markupsafe import Markup

from fairlead.api.modelrollout import ArmCounts, MetricPoint
from fairlead.report import scales, series, words
from fairlead.report.scales import Time
from fairlead.report.series import Window
from fairlead.report.story import Rollout
from fairlead.report.svg import Plot, Size, tag

WIDE = (Size(1040, 236, left=52), Size(340, 216))
"""The same chart for a desk and for a phone: letters that shrink with the picture cannot be read."""
PANEL = Size(340, 204)
MARKS_TOP = 44
ROWS = 2
_LOWEST, _HIGHEST = 1e-3, 1e9
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mark:
    """A decision on the time axis: its number in the list, its time, and what it was."""

    number: int
    time: float
    text: str


def traffic(rollout: Rollout, marks: Sequence[Mark]) -> Markup:
    """The share asked for and the share counted, with the decisions."""
    asked, counted = series.desired(rollout), series.achieved(rollout)
    values = [value for _, value in [*asked, *counted] if value is not None]
    most = words.weight(max(value for _, value in asked))
    description = f"The share asked for rose to {most} within {words.span(rollout.seconds)}."
    drawn = []
    for size in WIDE:
        tall = Size(size.width, size.height, size.left, size.right, MARKS_TOP, size.bottom)
        plot = Plot(tall, _time(rollout, size), scales.linear(values, 10.0))
        plot.axes()
        plot.steps(asked, rollout.seconds, "asked")
        plot.line(counted, "counted", dots=len(counted) <= series.SLOTS)
        _mark(plot, marks)
        plot.hints(
            [(t, f"{_after(t)}: {words.weight(value)} counted") for t, value in _few(counted) if value is not None]
        )
        drawn.append(_wide(plot, "traffic", "Share of the traffic", description, size))
    return Markup("").join(drawn)


def total(rollout: Rollout) -> Markup:
    """The weighted sum of the evidence against its bar."""
    points = series.evidence(rollout)
    values = [value for _, value in points if value is not None]
    description = (
        f"The evidence against the canary was {words.evalue(values[-1])} at last and {words.evalue(max(values))} "
        f"at most; {words.figures(rollout.bar)} rolls back."
    )
    drawn = []
    for size in WIDE:
        plot = Plot(size, _time(rollout, size), scales.log([_clip(v) for v in [*values, rollout.bar]], -1, 2))
        plot.axes()
        plot.bar(rollout.bar, "against")
        plot.line(
            [(t, None if v is None else _clip(v)) for t, v in points], "against", dots=len(points) <= series.SLOTS
        )
        plot.name(rollout.bar, f"1/α = {words.figures(rollout.bar)} rolls back", "against")
        plot.hints([(t, f"{_after(t)}: evidence {words.evalue(v)}") for t, v in _few(points) if v is not None])
        drawn.append(_wide(plot, "total", "Evidence against the canary, all metrics", description, size))
    return Markup("").join(drawn)


def shares(rollout: Rollout, metric: str, name: str) -> Markup | None:
    """Both arms' share of bad requests over time."""
    windows = series.windows(rollout, metric)
    canary = [(window.middle, series.share(window.canary)) for window in windows]
    stable = [(window.middle, series.share(window.stable)) for window in windows]
    values = [value for _, value in [*canary, *stable] if value is not None]
    if not values:
        return None
    plot = Plot(PANEL, _time(rollout, PANEL), scales.linear(values, 0.01, unit=100.0))
    plot.axes()
    plot.line(stable, "stable")
    plot.line(canary, "canary", dots=len(canary) <= series.SLOTS / 2)
    plot.hints([(window.middle, _both(window)) for window in windows])
    description = f"Canary up to {_most(canary)}, stable up to {_most(stable)}."
    return plot.draw(name, f"{metric}: share of bad requests", description)


def ratio(rollout: Rollout, metric: str, name: str) -> Markup | None:
    """Canary's share over stable's, with its anytime-valid interval."""
    readings = [(t, reading) for t, _, reading in series.readings(rollout, metric)]
    # A ratio of 0 has no place on a logarithmic scale, nor has an end that is 0 or infinite: the band goes to the edge.
    lines = [(t, r.ratio or None) for t, r in readings]
    bands = [
        (t, _clip(r.interval_low or _LOWEST), _clip(r.interval_high or _HIGHEST))
        for t, r in readings
        if r.interval_low or r.interval_high
    ]
    # The ends that count are the later ones: an interval begins as wide as can be.
    later = [end for _, r in readings[len(readings) // 2 :] for end in (r.interval_low, r.interval_high)]
    known = [value for value in [*(value for _, value in lines), *later] if value]
    if not known:
        return None
    plot = Plot(PANEL, _time(rollout, PANEL), scales.around_one(known))
    plot.axes()
    plot.band(bands, "interval")
    plot.bar(1.0, "even")
    plot.line(lines, "canary", dots=len(lines) <= series.SLOTS / 2)
    plot.hints([(t, f"{_after(t)}: {_ratio(r.ratio, r.interval_low, r.interval_high)}") for t, r in _few(readings)])
    last = readings[-1][1]
    description = f"At last {_ratio(last.ratio, last.interval_low, last.interval_high)}."
    return plot.draw(name, f"{metric}: canary over stable", description)


def evidence(rollout: Rollout, metric: str, name: str, *, both: bool = True) -> Markup | None:
    """The evidence against the canary and, if `both`, for it, each with its bar."""
    readings = [(t, reading) for t, _, reading in series.readings(rollout, metric)]
    if not readings:
        return None
    against = [(t, _clip(reading.evidence)) for t, reading in readings]
    favour = list(_by_stage(rollout, metric)) if both else []
    values = [*(v for _, v in against), *(v for _, v in favour if v is not None), rollout.bar, rollout.bar_ok]
    plot = Plot(PANEL, _time(rollout, PANEL), scales.log(values, -1, 2))
    plot.axes()
    plot.bar(rollout.bar, "against")
    if both:
        plot.bar(rollout.bar_ok, "favour")
        plot.line(favour, "favour")
    plot.line(against, "against", dots=len(against) <= series.SLOTS / 2)
    plot.name(rollout.bar, f"1/α = {words.figures(rollout.bar)}", "against")
    if both:
        plot.name(rollout.bar_ok, f"1/β = {words.figures(rollout.bar_ok)}", "favour", below=True)
    plot.hints([(t, f"{_after(t)}: {_proofs(reading, both=both)}") for t, reading in _few(readings)])
    description = f"At last {_proofs(readings[-1][1], both=both)}."
    return plot.draw(name, f"{metric}: evidence", description)


def _by_stage(rollout: Rollout, metric: str) -> Iterator[tuple[float, float | None]]:
    """The evidence for the canary, which begins anew with each stage."""
    before: int | None = None
    for time, point, reading in series.readings(rollout, metric):
        stage = rollout.step(point.step).stage
        if before not in {None, stage}:
            yield time, None
        yield time, _clip(reading.evidence_ok)
        before = stage


def _mark(plot: Plot, marks: Sequence[Mark]) -> None:
    """Numbers above the chart. Where there is no room in any row only the hairline is left."""
    taken = [-100.0] * ROWS
    for mark in marks:
        x = plot.across(mark.time)
        line = tag("line", class_="mark", x1=x, x2=x, y1=MARKS_TOP - 2, y2=plot.bottom)
        row = next((row for row in range(ROWS) if x - taken[row] >= 19), None)  # noqa: PLR2004 - the circle's width
        if row is None:
            plot.parts.append(tag("g", tag("title", mark.text), line, class_="marked"))
            continue
        taken[row] = x
        y = 31 - 20 * row
        circle = tag("circle", class_="mark", cx=x, cy=y, r=8.5)
        number = tag("text", mark.number, class_="mark", x=x, y=y + 3.5, text_anchor="middle")
        plot.parts.append(tag("g", tag("title", mark.text), line, circle, number, class_="marked"))


def _wide(plot: Plot, name: str, title: str, description: str, size: Size) -> Markup:
    form = "wide" if size is WIDE[0] else "narrow"
    return plot.draw(f"{name}-{form}", title, description, form)


def _time(rollout: Rollout, size: Size) -> Time:
    return Time(max(rollout.seconds, 1.0), most=max(3, size.width // 95))


def _few(points: Sequence[tuple[float, T]]) -> Iterator[tuple[float, T]]:
    """Not more moments than a pointer can find."""
    every = max(1, -(-len(points) // series.SLOTS))
    yield from points[::-1][::every][::-1]


def _after(seconds: float) -> str:
    return f"+{words.span(seconds)}"


def _proofs(reading: MetricPoint, *, both: bool) -> str:
    against = f"{words.evalue(reading.evidence)} against the canary"
    return f"{against}, {words.evalue(reading.evidence_ok)} for it" if both else against


def _both(window: Window) -> str:
    return f"{_after(window.begin)} to {_after(window.end)}\ncanary {_arm(window.canary)}\nstable {_arm(window.stable)}"


def _arm(counts: ArmCounts) -> str:
    return f"{words.percent(series.share(counts))} ({words.count(counts.bad)} of {words.count(counts.total)})"


def _ratio(value: float | None, low: float | None, high: float | None) -> str:
    shown = "no ratio yet" if value is None else f"{words.figures(value)} times stable's share"
    return f"{shown}, interval {words.interval(low, high)}"


def _most(points: Sequence[tuple[float, float | None]]) -> str:
    return words.percent(max((value for _, value in points if value is not None), default=None))


def _clip(value: float) -> float:
    return min(_HIGHEST, max(_LOWEST, value))
