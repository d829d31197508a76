"""KServe's own server with a model of its Python SDK."""

import os
import sys
import uuid
from pathlib import Path

import joblib
import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class Sklearn(Model):
    """A model saved with joblib."""

    def load(self) -> bool:
        """Load it."""
        self.model = joblib.load(Path(os.environ["MODEL"]) / "model.joblib")
        self.ready = True
        return True

    async def predict(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferResponse:  # noqa: ARG002
        """Answer a request of the Open Inference Protocol."""
        labels = np.asarray(self.model.predict(payload.inputs[0].as_numpy()), np.int64)
        output = InferOutput("predict", list(labels.shape), "INT64")
        output.set_data_from_numpy(labels, binary_data=False)
        return InferResponse(payload.id or str(uuid.uuid4()), self.name, [output])


if __name__ == "__main__":
    http, grpc = map(int, sys.argv[1:])
    sys.argv[1:] = []
    served = Sklearn("m")
    served.load()
    ModelServer(http_port=http, grpc_port=grpc, enable_grpc=True, workers=1).start([served])
