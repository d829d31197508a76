"""A softmax regression over four columns, for Triton's Python backend."""

import json
import os
import sys
from pathlib import Path
from typing import Any

# The Python inside the backend does not look there by itself.
sys.path[:0] = os.environ["PYTHONPATH"].split(":")

import numpy as np  # noqa: E402  as above
import triton_python_backend_utils as pb  # noqa: E402  as above


class TritonPythonModel:
    """What the backend asks for."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the coefficients that lie beside this file."""
        folder = Path(args["model_repository"]) / args["model_version"]
        weights = json.loads((folder / "weights.json").read_text())
        self.matrix, self.bias = np.array(weights["matrix"]), np.array(weights["bias"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request."""
        return [self._one(pb.get_input_tensor_by_name(request, "x").as_numpy()) for request in requests]

    def _one(self, rows: Any) -> Any:
        scores = rows @ self.matrix + self.bias
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        label = pb.Tensor("label", scores.argmax(axis=1).astype(np.int64))
        return pb.InferenceResponse([label, pb.Tensor("probabilities", powers / powers.sum(axis=1, keepdims=True))])
