"""A LitServe server, with its batching (32 rows, 5 ms) or without."""

import os
import sys
from pathlib import Path
from typing import Any

import joblib
import litserve
import numpy as np

BATCHED = os.environ.get("BATCHED") == "1"


class Sklearn(litserve.LitAPI):
    """A model saved with joblib. Each request has one row."""

    def setup(self, device: str) -> None:  # noqa: ARG002  LitServe gives it
        """Load it."""
        self.model = joblib.load(Path(os.environ["MODEL"]) / "model.joblib")

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        """The rows of one request."""
        return np.array(request["x"], np.float32)

    def predict(self, x: Any) -> Any:
        """Labels; of a batch, an array of them a request."""
        if BATCHED:
            return self.model.predict(np.concatenate(list(x)))
        return self.model.predict(x)

    def unbatch(self, output: Any) -> Any:
        """A label a request."""
        return [[label] for label in output]

    def encode_response(self, output: Any) -> dict[str, Any]:
        """As JSON."""
        return {"y": [float(label) for label in output]}


if __name__ == "__main__":
    api = Sklearn(max_batch_size=32, batch_timeout=0.005) if BATCHED else Sklearn()
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
