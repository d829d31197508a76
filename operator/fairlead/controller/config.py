"""What the reconciler is configured with."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.api.settings import ServingDefaults


@dataclass(frozen=True, slots=True)
class ControllerConfig:
    """Defaults for serving pods, and the pace of status writes.

    `status_interval`: least time in seconds between two writes that only bring newer numbers;
    transitions are written at once.
    """

    serving: ServingDefaults
    status_interval: float = 15.0
