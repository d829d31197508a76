"""PURE: conditions, written only through named setters with constant reasons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from fairlead.api.status import Condition

State = Literal["True", "False", "Unknown"]


@dataclass(slots=True)
class Conditions:
    """The conditions of one pass. A transition time changes only with the status of its condition."""

    old: Iterable[Condition]
    generation: int
    now: str
    new: dict[str, Condition] = field(default_factory=dict)

    def ready(self, state: State, reason: str, message: str) -> None:
        """The model answers requests."""
        self._set("Ready", state, reason, message)

    def progressing(self, state: State, reason: str, message: str) -> None:
        """A revision is on its way."""
        self._set("Progressing", state, reason, message)

    def promoted(self, state: State, reason: str, message: str) -> None:
        """The revision of the spec is stable. What a CI job waits for."""
        self._set("Promoted", state, reason, message)

    def model_loaded(self, state: State, reason: str, message: str) -> None:
        """The newest revision's servers have loaded their model."""
        self._set("ModelLoaded", state, reason, message)

    def analysis_healthy(self, state: State, reason: str, message: str) -> None:
        """The canary can be measured."""
        self._set("AnalysisHealthy", state, reason, message)

    def stalled(self, state: State, reason: str, message: str) -> None:
        """Nothing will move until somebody does something (kstatus)."""
        self._set("Stalled", state, reason, message)

    def reconciling(self, state: State, reason: str, message: str) -> None:
        """The operator is still at work (kstatus)."""
        self._set("Reconciling", state, reason, message)

    def all(self) -> list[Condition]:
        """The conditions in the order in which they were set."""
        return list(self.new.values())

    def _set(self, kind: str, state: State, reason: str, message: str) -> None:
        before = next((item for item in self.old if item.type == kind), None)
        same = before is not None and before.status == state
        self.new[kind] = Condition(
            type=kind,
            status=state,
            reason=reason,
            message=message[:2000],
            observed_generation=self.generation,
            last_transition_time=before.last_transition_time if before and same else self.now,
        )
