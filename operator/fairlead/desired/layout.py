"""Which revisions have pods, and how many: what a decision means for the cluster."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.desired.names import Manifest


@dataclass(frozen=True, slots=True)
class Slot:
    """One revision, its stored pod template, its number of pods, and the digest that its first pod loaded."""

    revision: str
    template: Manifest
    replicas: int
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """Stable (or the first revision on its way) and the canary beside it, if any."""

    stable: Slot
    canary: Slot | None = None

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The revisions that have pods, stable first."""
        return (self.stable, self.canary) if self.canary else (self.stable,)
