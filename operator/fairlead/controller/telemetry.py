"""What the controller tells the outside about itself, whoever listens."""

from __future__ import annotations

from typing import Literal, Protocol

ReconcileResult = Literal["success", "error", "timeout"]


class Telemetry(Protocol):
    """Told of things as they happen. Every method is quick, cannot fail and never blocks."""

    def reconciled(self, result: ReconcileResult, seconds: float) -> None:
        """One pass over one ModelDeployment is over."""

    def queue_depth(self, waiting: int) -> None:
        """So many ModelDeployments wait for a worker now."""

    def phase(self, key: tuple[str, str], phase: str) -> None:
        """The ModelDeployment of this namespace and name is in this phase now."""

    def forget(self, key: tuple[str, str]) -> None:
        """There is no such ModelDeployment any more."""

    def rollout_ended(self, outcome: str) -> None:
        """A rollout came to its end. `outcome` is one of a few constants."""

    def measuring_failed(self, reason: str) -> None:
        """Prometheus could not be asked, or gave no usable answer. `reason` is one of a few constants."""


class NullTelemetry:
    """Nobody listens."""

    def reconciled(self, result: ReconcileResult, seconds: float) -> None:
        """Ignore it."""

    def queue_depth(self, waiting: int) -> None:
        """Ignore it."""

    def phase(self, key: tuple[str, str], phase: str) -> None:
        """Ignore it."""

    def forget(self, key: tuple[str, str]) -> None:
        """Ignore it."""

    def rollout_ended(self, outcome: str) -> None:
        """Ignore it."""

    def measuring_failed(self, reason: str) -> None:
        """Ignore it."""
