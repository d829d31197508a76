"""A model of Triton's Python backend: ONNX Runtime where there is a model.onnx, else scikit-learn."""

from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    """What the backend asks for. All requests of a batch are one run."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model that lies beside this file."""
        folder = Path(args["model_repository"]) / args["model_version"]
        self.run = _onnx(folder / "model.onnx") if (folder / "model.onnx").exists() else _native(folder)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer the requests of a batch."""
        tables = [pb.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        labels = self.run(tables[0] if len(tables) == 1 else np.concatenate(tables)).reshape(-1, 1)
        ends = np.cumsum([len(table) for table in tables])
        parts = np.split(labels, ends[:-1])
        return [pb.InferenceResponse([pb.Tensor("predict", part)]) for part in parts]


def _onnx(file: Path) -> Any:
    import onnxruntime  # noqa: PLC0415  only where it is used

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    label, name = session.get_outputs()[0].name, session.get_inputs()[0].name
    return lambda x: session.run([label], {name: x})[0]


def _native(folder: Path) -> Any:
    import joblib  # noqa: PLC0415  only where it is used

    model = joblib.load(folder / "model.joblib")
    return lambda x: np.asarray(model.predict(x), np.int64)
