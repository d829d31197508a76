"""The busy model as Fairlead takes it."""

from pathlib import Path

import numpy as np
from busy import Busy


class Model:
    """Declares that rows of several requests are not to be joined."""

    inputs = {"x": ("FP32", [-1, 4])}  # noqa: RUF012  so the protocol of Python models has it
    outputs = {"predict": ("INT64", [-1])}  # noqa: RUF012  as above
    batches = False

    def load(self, _folder: Path) -> None:
        """Nothing is in files."""
        self.busy = Busy()

    def predict(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A label a row."""
        return {"predict": self.busy.predict(inputs["x"])}
