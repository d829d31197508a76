"""What the report says about each metric."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from fairlead.api.modelrollout import ArmCounts, MetricRecord
from fairlead.report import charts, series, words
from fairlead.report.story import Rollout

_COUNTED = {
    "histogram": ("Requests", "Slow"),
    "categorical": ("Requests", "In the telling classes"),
    "query": ("Answers", "Failed"),
}
_SHARES = {
    "histogram": "Share of slow requests",
    "categorical": "Share in the telling classes",
    "query": "Share of failed answers",
}
_OTHERWISE = {"Hold": "differs: holds", "Veto": "worse: vetoes promotion", "nothing": "worse, in a dry run"}
_ABOUT = {"Hold": "holds on proof", "Veto": "vetoes promotion on proof", "nothing": "dry run: without consequences"}
_OPEN = ("quiet", "○", "not proven either way")

Legend = tuple[tuple[str, str], ...]
"""The class and the name of each line."""
State = tuple[str, str, str]
"""A class, a sign and words."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One side's row in the table."""

    name: str
    kind: str
    total: str
    bad: str
    share: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart, its title and its legend."""

    title: str
    legend: Legend
    chart: Markup


@dataclass(frozen=True, slots=True)
class Card:
    """One metric. `counted` is what there was and what of it was bad; `numbers` are names, values and notes."""

    anchor: str
    name: str
    state: State
    about: str = ""
    counted: tuple[str, str] = ("Requests", "Bad")
    arms: tuple[Arm, ...] = ()
    against: str = ""
    favour: str = ""
    numbers: tuple[tuple[str, str, str], ...] = ()
    figures: tuple[Figure, ...] = ()


def all_of(rollout: Rollout) -> list[Card]:
    """The metrics with numbers, then those of the plan that have none."""
    known = {record.name for record in rollout.status.metrics}
    planned = rollout.plan.analysis.metrics if rollout.plan.analysis.enabled else ()
    silent = [metric.name for metric in planned if metric.name not in known]
    cards = [_card(rollout, record, f"m{place}") for place, record in enumerate(rollout.status.metrics)]
    return cards + [Card("", name, ("quiet", "○", "no numbers")) for name in silent]


def _card(rollout: Rollout, record: MetricRecord, anchor: str) -> Card:
    kind = series.kind_of(rollout, record.name)
    asked = kind == "query"
    about = (record.detail, _ABOUT.get(_proofs(rollout, record)))
    arms = (("Canary", "canary", record.canary), ("Stable", "stable", record.stable))
    return Card(
        anchor=anchor,
        name=record.name,
        state=_answered(rollout, record) if asked else _state(rollout, record),
        about="; ".join(part for part in about if part),
        counted=_COUNTED.get(kind, ("Requests", "Bad")),
        arms=tuple(_arm(*arm) for arm in arms[: 1 if asked else 2]),
        against="" if asked else words.evalue(record.evidence),
        favour="" if asked or kind == "categorical" else words.evalue(record.evidence_ok),
        numbers=tuple(_numbers(rollout, record, kind)),
        figures=tuple(_figures(rollout, record.name, kind, anchor)),
    )


def _arm(name: str, kind: str, counts: ArmCounts) -> Arm:
    return Arm(name, kind, words.count(counts.total), words.count(counts.bad), words.percent(series.share(counts)))


def _state(rollout: Rollout, record: MetricRecord) -> State:
    if record.name == rollout.status.culprit:
        return "bad", "✕", "decided the rollback"
    if record.canary.total <= 0:
        return "quiet", "○", "no canary requests judged"
    proofs = _proofs(rollout, record)
    if record.evidence >= rollout.bar:
        return ("bad", "✕", "worse than allowed") if proofs == "Rollback" else ("wait", "❙❙", _OTHERWISE[proofs])
    if series.kind_of(rollout, record.name) == "categorical":
        return "quiet", "○", "no difference proven"
    return ("good", "✓", "proven not worse") if record.evidence_ok >= rollout.bar_ok else _OPEN


def _answered(rollout: Rollout, record: MetricRecord) -> State:
    """How a user's own threshold stands."""
    planned = rollout.metric(record.name)
    tolerated = planned.query.failure_limit if planned and planned.query else 0
    if record.name == rollout.status.culprit:
        return "bad", "✕", "decided the rollback"
    if record.canary.bad > tolerated:
        return "bad", "✕", "beyond its threshold"
    return ("good", "✓", "within its threshold") if record.canary.total else ("quiet", "○", "no answer yet")


def _proofs(rollout: Rollout, record: MetricRecord) -> str:
    """What proof against the canary leads to."""
    planned = rollout.metric(record.name)
    if planned is not None and planned.dry_run:
        return "nothing"
    action = record.action or (planned.action if planned else "")
    return action if action in _OTHERWISE else "Rollback"


def _numbers(rollout: Rollout, record: MetricRecord, kind: str) -> list[tuple[str, str, str]]:
    span = words.interval(record.interval_low, record.interval_high)
    ratio = "–" if record.ratio is None else words.figures(record.ratio)
    compared = ("Canary / stable", ratio, f"interval {span}" if span != "–" else "")
    if kind == "query":
        return [compared] if record.ratio is not None else []
    alpha = f"weight {words.figures(record.weight)}, {words.figures(rollout.bar)} rolls back"
    if _proofs(rollout, record) != "Rollback":
        alpha = f"{words.figures(rollout.bar)} is proof"
    found = [
        ("Evidence against", words.evalue(record.evidence), alpha),
        ("Dispersion φ", words.figures(record.phi or 1.0), "1: independent requests"),
    ]
    if kind != "categorical":
        favour = ("Evidence for", words.evalue(record.evidence_ok), f"{words.figures(rollout.bar_ok)} is proof")
        found = [compared, found[0], favour, found[1]]
    rules = ", ".join(_acted(rollout, record))
    return [*found, ("Rules that acted", rules, "")] if rules else found


def _acted(rollout: Rollout, record: MetricRecord) -> list[str]:
    found = [rule for _, _, reading in series.readings(rollout, record.name) for rule in reading.acted or ()]
    return list(dict.fromkeys([*found, *(record.acted or ())]))


def _figures(rollout: Rollout, metric: str, kind: str, anchor: str) -> list[Figure]:
    arms = (("canary", "canary"), ("stable", "stable"))
    shares = charts.shares(rollout, metric, f"{anchor}-shares")
    title = _SHARES.get(kind, "Share of bad requests")
    drawn: list[tuple[str, Legend, Markup | None]] = [(title, arms[:1] if kind == "query" else arms, shares)]
    if kind != "categorical":
        interval = f"{words.weight(100 * (1 - rollout.plan.analysis.alpha))} interval"
        legend = (("canary", "ratio"), ("interval", interval), ("even", "alike"))
        ratio = charts.ratio(rollout, metric, f"{anchor}-ratio")
        drawn.append(("Canary over stable", legend[::2] if kind == "query" else legend, ratio))
    if kind != "query":
        proofs = (("against", "against"), ("favour", "for the canary"))
        both = kind != "categorical"
        evidence = charts.evidence(rollout, metric, f"{anchor}-evidence", both=both)
        drawn.append(("Evidence", proofs if both else proofs[:1], evidence))
    return [Figure(title, legend, chart) for title, legend, chart in drawn if chart is not None]
