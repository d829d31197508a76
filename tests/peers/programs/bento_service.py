"""A BentoML service, with its batching or without."""

import os
from pathlib import Path

import bentoml
import joblib
import numpy as np

BATCHED = os.environ.get("BATCHED") == "1"


@bentoml.service(workers=1)
class Sklearn:
    """A model saved with joblib."""

    def __init__(self) -> None:
        self.model = joblib.load(Path(os.environ["MODEL"]) / "model.joblib")

    if BATCHED:

        @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=1000)
        def predict(self, x: np.ndarray) -> np.ndarray:
            """Predict rows of several requests."""
            return np.asarray(self.model.predict(x))

    else:

        @bentoml.api
        def predict(self, x: np.ndarray) -> np.ndarray:
            """Predict rows of one request."""
            return np.asarray(self.model.predict(x))
