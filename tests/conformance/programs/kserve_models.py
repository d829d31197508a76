"""The two models of the checks in KServe's Python server."""

import asyncio
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer


class Table(Model):
    """A softmax regression over four columns."""

    def load(self) -> bool:
        """Read its coefficients."""
        weights = json.loads(Path(sys.argv[3]).read_text())
        self.matrix, self.bias = np.array(weights["matrix"]), np.array(weights["bias"])
        self.ready = True
        return True

    def get_input_types(self) -> list[dict[str, Any]]:
        """What it takes."""
        return [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """What it gives."""
        return [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP64", "shape": [-1, 3]},
        ]

    def predict(self, payload: InferRequest | dict[str, Any], headers: Any = None) -> InferResponse | dict[str, Any]:  # noqa: ARG002
        """Answer both protocols."""
        if isinstance(payload, dict):
            return {"predictions": self._scores(payload["instances"]).argmax(axis=1).tolist()}
        scores = self._scores(payload.inputs[0].as_numpy())
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        values = {"label": scores.argmax(axis=1), "probabilities": powers / powers.sum(axis=1, keepdims=True)}
        return _response(self.name, payload, {name: (kind, values[name]) for name, kind in _KINDS.items()})

    def _scores(self, rows: Any) -> Any:
        return np.asarray(rows, float) @ self.matrix + self.bias


_KINDS = {"label": "INT64", "probabilities": "FP64"}


class Echo(Model):
    """Answers `in_FP32` with `out_FP32`, and so on; `seconds` makes it wait."""

    def load(self) -> bool:
        """There is nothing to load."""
        self.ready = True
        return True

    async def predict(self, payload: InferRequest, headers: Any = None) -> InferResponse:  # noqa: ARG002
        """Give it back."""
        outputs = {}
        for given in payload.inputs:
            if given.name == "seconds":
                await asyncio.sleep(float(given.as_numpy()[0]))
            else:
                outputs["out_" + given.name.removeprefix("in_")] = (given.datatype, given.as_numpy())
        return _response(self.name, payload, outputs)


def _response(name: str, payload: InferRequest, values: dict[str, tuple[str, Any]]) -> InferResponse:
    """Return what was asked for, in the form it was asked for."""
    outputs = []
    for output, (datatype, array) in values.items():
        outputs.append(InferOutput(output, list(array.shape), datatype))
        outputs[-1].set_data_from_numpy(array, binary_data=payload.use_binary_outputs)
    return InferResponse(
        payload.id or str(uuid.uuid4()),  # as its own get_predict_response does
        name,
        outputs,
        use_binary_outputs=payload.use_binary_outputs,
        requested_outputs=payload.request_outputs,
    )


if __name__ == "__main__":
    http, grpc = map(int, sys.argv[1:3])
    models = [Table("table"), Echo("echo")]
    for each in models:
        each.load()
    sys.argv[1:] = []
    ModelServer(http_port=http, grpc_port=grpc, enable_grpc=True, workers=1).start(models)
