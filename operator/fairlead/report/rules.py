"""The rules of the judge that acted, in words."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.report import words
from fairlead.report.story import Rollout

_MEANINGS = {
    "warm-up": "pods that had not been Ready for warmUp were left out",
    "settling": "nothing was judged until connections had moved after a change of the share",
    "counter-reset": "a counter began anew, as after a restart, and its new value was taken",
    "alignment": "of stable's windows one tick before, beside and after, the one with the least evidence counted",
    "dispersion": "bad requests came in clusters, so the evidence was divided by φ",
    "noise-floor": "the margin was widened to how much the pods of stable differ among themselves",
    "split": "the canary's share of the requests was not the planned one",
    "inputs": "the two versions did not get the same requests",
    "placebo": "the pods of stable differed as much from each other as the canary from them",
    "veto": "a metric vetoed the promotion",
    "connections": "the canary had too few connections for a verdict",
    "no-data": "the canary had no requests to judge by",
    "min-step": "all was proven, but the step had not lasted minStep yet",
    "max-step": "maxStep was over, so the policy decided",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, what it did, and when."""

    name: str
    meaning: str
    when: str


def acted(rollout: Rollout) -> list[Rule]:
    """The rules that changed or delayed a verdict, in the order in which they first did."""
    times: dict[str, list[float]] = {}
    for point in rollout.status.history:
        for rule in point.acted or ():
            times.setdefault(rule, []).append(rollout.since(point.at) or 0.0)
    looks = len(rollout.status.history)
    return [Rule(rule, _MEANINGS.get(rule, ""), _when(found, looks)) for rule, found in times.items()]


def _when(times: list[float], looks: int) -> str:
    if len(times) == 1:
        return f"at +{words.span(times[0])}"
    often = "at every look" if len(times) == looks else f"at {len(times)} of {looks} looks"
    return f"{often}, +{words.span(times[0])} to +{words.span(times[-1])}"
