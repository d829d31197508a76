"""The one reconcile path: observe → judge → decide → record → write the intent → apply."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog
from pydantic import ValidationError

from fairlead.analysis.analyst import Analyst
from fairlead.controller.config import ControllerConfig
from fairlead.controller.onepass import Pass, Shared
from fairlead.controller.telemetry import NullTelemetry, Telemetry
from fairlead.controller.throttle import StatusThrottle
from fairlead.kube.client import Cluster
from fairlead.kube.errors import Conflict
from fairlead.kube.kinds import MODEL_DEPLOYMENT

log = structlog.get_logger(__name__)
Key = tuple[str, str]

SOON = 0.2


class Reconciler:
    """Brings one ModelDeployment at a time closer to its spec. Holds nothing that a restart may not lose."""

    def __init__(
        self,
        cluster: Cluster,
        analyst: Analyst,
        config: ControllerConfig,
        telemetry: Telemetry | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.shared = Shared(
            cluster, analyst, config, telemetry or NullTelemetry(), StatusThrottle(config.status_interval), clock
        )

    async def reconcile(self, key: Key) -> float | None:
        """One pass over (namespace, name); returns the seconds after which to look again, None for never.

        Raises ApiError when the API server cannot be asked; the queue then tries again later.
        """
        owner = await self.shared.cluster.get(MODEL_DEPLOYMENT, *key)
        if owner is None or "deletionTimestamp" in owner["metadata"]:
            self.shared.forget(key)
            return None
        try:
            return await Pass(self.shared, owner).run()
        except Conflict:
            # Somebody wrote in between: what was decided rests on the past, so look again.
            return SOON
        except ValidationError as error:
            self._unreadable(owner, error)
            return None

    def _unreadable(self, owner: dict[str, Any], error: ValidationError) -> None:
        """Only an older or hand-made CRD lets such a spec in; there is nothing to wait for but a new spec."""
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        log.error("cannot read the resource", key=_key(owner), field=where, error=problem["msg"])
        self.shared.telemetry.phase(_key(owner), "Degraded")


def _key(owner: dict[str, Any]) -> Key:
    return owner["metadata"]["namespace"], owner["metadata"]["name"]
