"""A Ray Serve deployment on a Ray of its own."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import ray
from ray import serve


@serve.deployment(num_replicas=1, max_ongoing_requests=200)
class Sklearn:
    """A model saved with joblib."""

    def __init__(self) -> None:
        self.model = joblib.load(Path(os.environ["MODEL"]) / "model.joblib")

    async def __call__(self, request: Any) -> dict[str, Any]:
        """Predict."""
        x = (await request.json())["x"]
        return {"y": [float(label) for label in self.model.predict(np.array(x, np.float32))]}


if __name__ == "__main__":
    port, folder = sys.argv[1:]
    ray.init(num_cpus=2, include_dashboard=False, _temp_dir=folder, logging_level="warning")
    serve.start(http_options={"host": "127.0.0.1", "port": int(port)})
    serve.run(Sklearn.bind(), route_prefix="/predict")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ray.shutdown()
