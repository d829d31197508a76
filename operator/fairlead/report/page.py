"""The page: everything that the record says, in one file that needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fairlead.report import cards, charts, planned, rules, story, words
from fairlead.report.charts import Mark
from fairlead.report.story import Rollout

_ACTIONS = {
    "Started": ("Started", "busy"),
    "Held": ("Waited", "quiet"),
    "StepAdvanced": ("Went on", "good"),
    "Promoted": ("Promoted", "good"),
    "RolledBack": ("Rolled back", "bad"),
    "Superseded": ("Superseded", "quiet"),
}
_ALL_MARKED = 12
"""With more decisions than these only those are marked that were more than waiting."""


def render(manifest: Mapping[str, Any]) -> str:
    """The report of a ModelRollout, as HTML. Raises UnreadableError when it is none."""
    rollout = story.read(manifest)
    decisions = _decisions(rollout)
    kind, sign = story.LOOKS.get(rollout.status.phase, ("quiet", ""))
    seen = bool(rollout.status.history)
    page = _environment().get_template("page.html.j2")
    return page.render(
        rollout=rollout,
        headline=story.headline(rollout),
        look={"kind": kind, "sign": sign},
        lead=story.lead(rollout),
        facts=story.facts(rollout),
        traffic=charts.traffic(rollout, _marks(rollout, decisions)) if rollout.begun else None,
        evidence=charts.total(rollout) if seen else None,
        cards=cards.all_of(rollout),
        rules=rules.acted(rollout),
        decisions=decisions,
        steps=[words.step_name(step.kind, step.weight, step.duration) for step in rollout.plan.steps],
        settings=planned.settings(rollout.plan),
        margins=planned.margins(rollout.plan),
        queries=planned.queries(rollout),
        moment=words.moment,
    )


def _environment() -> Environment:
    loader = PackageLoader("fairlead.report", ".")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _decisions(rollout: Rollout) -> list[dict[str, Any]]:
    found = []
    for number, decision in enumerate(rollout.status.decisions, start=1):
        label, kind = _ACTIONS.get(decision.action, (decision.action, "quiet"))
        if decision.action == "RolledBack" and decision.reason == "Aborted":
            label = "Aborted"
        step = rollout.step(decision.step)
        found.append(
            {
                "number": number,
                "action": decision.action,
                "label": label,
                "kind": kind,
                "after": rollout.since(decision.at) or 0.0,
                "clock": _clock(rollout, words.epoch(decision.at) or 0.0),
                "time": f"+{words.span(rollout.since(decision.at) or 0.0)}",
                "step": words.step_name(step.kind, step.weight, step.duration),
                "place": f"{min(decision.step, len(rollout.plan.steps) - 1) + 1}/{len(rollout.plan.steps)}",
                "reason": decision.reason,
                "message": decision.message,
            }
        )
    return found


def _clock(rollout: Rollout, when: float) -> str:
    """The time of day, with the day where there is more than one."""
    return words.clock(when) if words.day(rollout.started) == words.day(rollout.ended) else words.moment(when)


def _marks(rollout: Rollout, decisions: list[dict[str, Any]]) -> list[Mark]:
    few = len(decisions) <= _ALL_MARKED
    shown = [item for item in decisions if few or item["action"] != "Held"]
    return [
        Mark(item["number"], min(item["after"], rollout.seconds), f"{item['time']}: {item['label']}: {item['message']}")
        for item in shown
    ]
