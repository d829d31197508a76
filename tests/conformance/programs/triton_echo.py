"""Gives back what it is given, for Triton's Python backend; `seconds` makes it wait."""

import os
import sys
import time
from typing import Any

# The Python inside the backend does not look there by itself.
sys.path[:0] = os.environ["PYTHONPATH"].split(":")

import triton_python_backend_utils as pb  # noqa: E402  as above


class TritonPythonModel:
    """What the backend asks for."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request."""
        return [self._one(request.inputs()) for request in requests]

    def _one(self, inputs: list[Any]) -> Any:
        outputs = []
        for given in inputs:
            if given.name() == "seconds":
                time.sleep(float(given.as_numpy()[0]))
            elif given.name() == "in_BF16":
                outputs.append(pb.Tensor.from_dlpack("out_BF16", given.to_dlpack()))
            else:
                outputs.append(pb.Tensor("out_" + given.name().removeprefix("in_"), given.as_numpy()))
        return pb.InferenceResponse(outputs)
