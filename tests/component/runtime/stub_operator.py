"""The real runtime around a reconciler that only tells what it is asked: one JSON line a pass."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "operator"))

from fairlead.kube.client import Cluster
from fairlead.kube.kinds import MODEL_DEPLOYMENT
from fairlead.runtime import main
from fairlead.runtime.metrics import Metrics
from fairlead.runtime.settings import Settings


class Teller:
    """Prints each key, and how long a pass takes is an annotation of the ModelDeployment's."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def reconcile(self, key: tuple[str, str]) -> float | None:
        found = await self.cluster.get(MODEL_DEPLOYMENT, *key)
        tell("pass", key, there=found is not None)
        if found is not None:
            await asyncio.sleep(float((found["metadata"].get("annotations") or {}).get("takes", "0")))
            tell("done", key)
        return None


def tell(what: str, key: tuple[str, str], **more: object) -> None:
    print(json.dumps({"what": what, "key": key, **more}), flush=True)  # noqa: T201 - its way to the test


def make(cluster: Cluster, _settings: Settings, _metrics: Metrics) -> Teller:
    return Teller(cluster)


if __name__ == "__main__":
    sys.exit(main.run(Settings(), make))
