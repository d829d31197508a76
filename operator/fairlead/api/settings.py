"""What the operator's installation decides for all models."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServingDefaults:
    """Defaults of the serving pods. A change reaches new revisions only: a running one keeps its template."""

    image: str
    pull_policy: str = "IfNotPresent"
    drain_seconds: int = 10
    max_connection_age_seconds: int = 20
