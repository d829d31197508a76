"""What a conversion tells the server."""

from __future__ import annotations

from typing import Final

import msgspec

from fairlead_serving.models.converted import Rules

MODEL: Final = "model.onnx"
REPORT: Final = "report.json"


class Parity(msgspec.Struct):
    """What was compared: rows, the largest absolute difference of a number, the seconds of one row by each engine."""

    rows: int
    difference: float
    native_seconds: float
    onnx_seconds: float


class Report(msgspec.Struct):
    """What came of a conversion: rules and parity, or the reason why there are none.

    `error` is why the model cannot be loaded at all, by whatever engine; `warnings` are to be logged by the server.
    """

    format: str = ""
    platform: str = ""
    native: str = ""
    error: str = ""
    warnings: list[str] = msgspec.field(default_factory=list)
    reason: str = ""
    rules: Rules | None = None
    parity: Parity | None = None
