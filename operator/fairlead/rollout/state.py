"""What `decide` is given and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fairlead.api.plan import Plan
from fairlead.api.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a pod is not Ready, in the words of the one who knows: kubelet, scheduler or our server."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """The pods of one revision. Times are epoch seconds."""

    wanted: int = 0
    pods: int = 0
    ready: int = 0
    created: float | None = None
    last_crash: float | None = None
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision and the version that people know it by."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"revision {self.name}" if self.version == self.name else f"version {self.version}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """A running rollout as it is journalled in status. Times are epoch seconds.

    `stage_started_at`: when the share of the step was reached; `unready_since`: since when pods are
    missing (the progress deadline's clock); `held_since`: since when evidence is waited for in vain.
    """

    rollout: str
    revision: Revision
    step: int
    started_at: float
    step_started_at: float
    stage_started_at: float | None = None
    unready_since: float | None = None
    held_since: float | None = None


@dataclass(frozen=True, slots=True)
class Commands:
    """What people asked for by annotations that name this rollout."""

    promote_step: int | None = None
    promote_full: bool = False
    abort: bool = False
    pause: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """A revision that was rolled back under a retryToken."""

    retry_token: str
    message: str


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that a decision rests on.

    `replicas` is N, the pods that stable is to have; `leftovers` are revisions that still have pods
    of ours without a role; `fleets` is by revision. `unplannable`: why there is no plan to go by.
    """

    now: float
    target: Revision
    replicas: int
    stable: Revision | None = None
    attempt: Attempt | None = None
    plan: Plan | None = None
    verdict: Verdict | None = None
    fleets: Mapping[str, Fleet] = field(default_factory=dict)
    rejected: Mapping[str, Rejection] = field(default_factory=dict)
    retry_token: str = ""
    commands: Commands = Commands()
    leftovers: frozenset[str] = frozenset()
    unplannable: Trouble | None = None

    def fleet(self, revision: str) -> Fleet:
        """The pods of a revision; none when there are none."""
        return self.fleets.get(revision, Fleet())


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """There is nothing to compare with: bring the first revision up. `done` makes it stable."""

    done: bool


@dataclass(frozen=True, slots=True)
class Settle:
    """No rollout: stable is kept as it is."""


@dataclass(frozen=True, slots=True)
class Start:
    """Begin a rollout of the target."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Stay at the step. `paused`: a person or evidence is waited for. `until`: when to look again."""

    attempt: Attempt
    reason: str
    message: str
    paused: bool = False
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """Go on to the next step."""

    attempt: Attempt
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Promote:
    """The canary becomes stable, in place."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """The canary goes and is remembered as rejected."""

    reason: str
    message: str
    metric: str | None = None


@dataclass(frozen=True, slots=True)
class Supersede:
    """The rollout ends because the spec asks for something else."""

    reason: str
    message: str


Action = Bootstrap | Settle | Start | Hold | Advance | Promote | Rollback | Supersede
