"""A model for fairlead-serve that gives back what it is given, of every data type; `seconds` makes it wait."""

import time
from pathlib import Path
from typing import Any

TYPES = (
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "BF16", "FP32", "FP64", "BYTES"),
)


class Model:
    """Answers `in_FP32` with `out_FP32`, and so on."""

    outputs = {f"out_{name}": (name, [-1, -1]) for name in TYPES}  # noqa: RUF012  as users write it

    def load(self, folder: Path) -> None:
        """There is nothing to load."""

    def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Give it back."""
        seconds = inputs.pop("seconds", None)
        if seconds is not None:
            time.sleep(float(seconds[0]))
        return {"out_" + name.removeprefix("in_"): array for name, array in inputs.items()}
