"""docs/bench-analysis.md and its plots, from the summaries of all cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.analysis import svg
from tests.bench.analysis.summary import RECALIBRATED, Outcome, Summary

RULES = (
    "flagger",
    "flagger oracle",
    "argo",
    "argo relative",
    "kayenta",
    "peeking .05",
    "peeking .01",
    RECALIBRATED,
    "fairlead",
)
Write = Callable[[Outcome, Summary], str]


def percent(share: float) -> str:
    """A share for people: 0, 0.05 %, 1.2 %, 93 %."""
    value = 100 * share
    if value == 0 or value >= 9.95:
        return f"{value:.0f} %" if value else "0"
    return f"{value:.1f} %" if value >= 1 else f"{value:.2g} %"


def quiet(outcome: Outcome, _summary: Summary) -> str:
    """How often equal arms were rolled back."""
    return percent(outcome.share)


def detected(outcome: Outcome, summary: Summary) -> str:
    """How often a regression was rolled back, and the median of the time until then."""
    if outcome.median is None:
        return "0"
    time = outcome.median * summary.cell.tick
    unit = f"{time / 60:g} min" if summary.cell.tick == 60.0 else f"{time:g} s"
    return f"{percent(outcome.share)}, {unit}"


def table(rows: Sequence[Summary], write: Write, also: tuple[str, Sequence[Summary]] | None = None) -> str:
    """Markdown: one row a cell, one column a rule, Fairlead's in bold; `also`: a last column of Fairlead's."""
    rules = [rule for rule in RULES if any(rule in row.outcomes for row in rows)]
    heads = ["", *rules, *([also[0]] if also else [])]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in rows:
        cells = [row.cell.name]
        for rule in rules:
            own = row.get(rule)
            text = write(own, row) if own else ""
            cells.append(f"**{text}**" if rule == "fairlead" else text)
        if also:
            twin = next((other for other in also[1] if other.cell.name == row.cell.name), None)
            cells.append(write(twin["fairlead"], twin) if twin else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def promotions(rows: Sequence[Summary]) -> str:
    """Markdown: how often a step was passed as proven, when, and how often the rollout was rolled back instead."""
    lines = ["| | proven | median | rolled back |", "|---|---|---|---|"]
    for row in rows:
        ours = row["fairlead"]
        middle = sorted(ours.promoted)[len(ours.promoted) // 2] * row.cell.tick / 60 if ours.promoted else None
        when = f"{middle:g} min" if middle else ""
        lines.append(f"| {row.cell.name} | **{percent(ours.proven)}** | {when} | {percent(ours.share)} |")
    return "\n".join(lines)


def of(found: Sequence[Summary], name: str) -> list[Summary]:
    """The summaries of one table."""
    return [summary for summary in found if summary.cell.table == name]


def sections(found: Sequence[Summary]) -> dict[str, str]:
    """The tables by the names under which the document's text asks for them."""
    errors = ("Fairlead, tolerant", of(found, "errors A/A, tolerant"))
    slow = ("Fairlead, tolerant", of(found, "latency A/A, tolerant"))
    return {
        "errors-aa": table(of(found, "errors A/A"), quiet, errors),
        "errors-found": table(of(found, "errors regressions"), detected),
        "ticks": table([*of(found, "errors at 15 s A/A")], quiet)
        + "\n\n"
        + table(of(found, "errors at 15 s regressions"), detected),
        "latency-aa": table(of(found, "latency A/A"), quiet, slow),
        "latency-found": table(of(found, "latency regressions"), detected),
        "predictions-aa": table(of(found, "predictions A/A"), quiet),
        "predictions-found": table(of(found, "predictions regressions"), detected),
        "stress-aa": table(of(found, "stress A/A"), quiet),
        "stress-found": table(of(found, "stress regressions"), detected),
        "promotion-healthy": promotions(of(found, "promotion, healthy")),
        "promotion-harmful": promotions(of(found, "promotion, harmful")),
    }


def plots(found: Sequence[Summary], folder: Path) -> None:
    """Write the plots."""
    shown = ("fairlead", "kayenta", "flagger", "argo relative", "peeking .05")
    null = [
        (
            f"{word}{row.cell.name.removeprefix('A/A ')}",
            {rule: row[rule].share for rule in shown if rule in row.outcomes},
        )
        for word, name in (("errors ", "errors A/A"), ("latency ", "latency A/A"), ("predictions ", "predictions A/A"))
        for row in of(found, name)
    ]
    lines = ("fairlead", "kayenta", "flagger oracle", "argo relative", RECALIBRATED)
    folder.mkdir(exist_ok=True)
    text = svg.dots("Equal versions rolled back, of all such rollouts", null, 0.01)
    (folder / "false-rollbacks.svg").write_text(text)
    for name in ("errors", "latency"):
        panels = [
            (row.cell.name, {rule: _found_by(row[rule]) for rule in lines if rule in row.outcomes})
            for row in of(found, f"{name} regressions")
        ]
        title = f"Worse versions rolled back, by minute ({name})"
        (folder / f"{name}-found.svg").write_text(svg.curves(title, panels))


def _found_by(outcome: Outcome) -> list[float]:
    return [outcome.by(minute) for minute in range(1, 21)]
