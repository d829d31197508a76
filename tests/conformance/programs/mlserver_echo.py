"""A runtime of MLServer that gives back what it is given; `seconds` makes it wait."""

import asyncio

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Echo(MLModel):
    """Answers `in_FP32` with `out_FP32`, and so on."""

    async def load(self) -> bool:
        """There is nothing to load."""
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Give it back."""
        outputs = []
        for given in payload.inputs:
            if given.name == "seconds":
                await asyncio.sleep(float(given.data[0]))
                continue
            name = "out_" + given.name.removeprefix("in_")
            outputs.append(ResponseOutput(name=name, shape=given.shape, datatype=given.datatype, data=given.data))
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
