"""What the judge is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fairlead.analysis import queries
from fairlead.api.plan import AnalysisPlan
from fairlead.api.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Stage:
    """The share in force: its number, and when it was reached (epoch seconds; None: not yet)."""

    index: int
    started_at: float | None


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """Which rollout to judge, and how far it is. Times are epoch seconds.

    `pods` gives revision and Ready time of each pod that is or was Ready; `state` is '' at first, then what the
    last Judgement returned. The versions are for people; revisions are shown without them.
    `versions` are the canary's and stable's as users wrote them, for the templates of their queries.
    """

    namespace: str
    model: str
    canary: str
    stable: str
    plan: AnalysisPlan
    started_at: float
    stage: Stage
    pods: Mapping[str, tuple[str, float]]
    state: str
    now: float
    canary_version: str = ""
    stable_version: str = ""
    versions: tuple[str, str] = ("", "")
    weights: tuple[int, ...] = ()
    """The shares of all stages, in per cent."""

    @property
    def variables(self) -> dict[str, str]:
        """What the templates of users' queries may name."""
        arms = zip((self.canary, self.stable), self.versions, strict=True)
        return queries.variables(self.namespace, self.model, *arms)


@dataclass(frozen=True, slots=True)
class Point:
    """The verdict at one judged instant."""

    t: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict now, the state to store before acting on it, and when to ask again (epoch seconds)."""

    verdict: Verdict
    state: str
    points: tuple[Point, ...]
    first_request_at: float | None
    next_at: float
    queries: Mapping[str, str] = field(default_factory=dict)
    """What was asked, in PromQL, by what it was asked for."""
    outlook: Mapping[int, str] = field(default_factory=dict)
    """What each share still to come can show at the present traffic, in words, by its per cent."""
