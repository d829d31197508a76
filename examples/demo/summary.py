"""The end of the demo: what was seen, and whether each promise was kept."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from examples.demo.promise import Act, Check, status_of
from examples.demo.watch import epoch
from fairlead.report.page import render

REPORTS = Path("build/demo")


def lines(acts: Iterable[Act], rollouts: Iterable[dict[str, Any] | None], checks: Iterable[Check]) -> list[str]:
    """The summary as plain text of at most 80 columns where messages allow it."""
    return [
        "",
        f"{'what happened':<34}{'seconds':>9}{'requests':>12}{'failed':>10}",
        *(f"{act.title:<34}{act.seconds:>9.0f}{act.load.sent:>12,}{act.load.failed:>10,}" for act in acts),
        "",
        *(line for rollout in rollouts if rollout for line in _rollout(rollout)),
        *(f"{'kept  ' if check.kept else 'BROKEN'}  {check.text}" for check in checks),
    ]


def _rollout(rollout: dict[str, Any]) -> list[str]:
    status = status_of(rollout)
    began = epoch(status.get("startedAt")) or 0.0
    told = [f"version {rollout['spec']['version']}: {rollout['metadata']['name']}"]
    for decision in status.get("decisions", []):
        after = (epoch(decision["at"]) or began) - began
        told.append(f"  {after:>4.0f} s  {decision['action']} ({decision['reason']}): {decision['message']}")
    return [*told, ""]


def reports(rollouts: Iterable[dict[str, Any] | None], folder: Path = REPORTS) -> list[Path]:
    """Write each rollout's report, as `fairlead report` does, and say where."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for rollout in rollouts:
        if rollout:
            written.append(folder / f"{rollout['metadata']['name']}.html")
            written[-1].write_text(render(rollout), encoding="utf-8")
    return written
