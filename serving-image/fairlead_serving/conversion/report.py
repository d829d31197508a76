"""What a conversion tells the server."""

from __future__ import annotations

from typing import Final

import msgspec

from fairlead_serving.conversion.agreement import Agreement
from fairlead_serving.models.converted import Rules

MODEL: Final = "model.onnx"
REPORT: Final = "report.json"


class Parity(msgspec.Struct):
    """What was compared: rows, the largest absolute difference of a number, the seconds of one row by each engine."""

    rows: int
    difference: float
    native_seconds: float
    onnx_seconds: float


class Optimised(msgspec.Struct):
    """What an optimisation did: sizes in bytes, seconds of a run of some rows, before and after; and what it cost."""

    mode: str
    file: str
    bytes_before: int
    bytes_after: int
    timed_rows: int
    seconds_before: float
    seconds_after: float
    compared_rows: int
    labels: float
    difference: float

    def __str__(self) -> str:
        """Tell it in a line."""
        rows = f"{self.timed_rows} rows" if self.timed_rows > 1 else "a row"
        return (
            f"{self.mode}: {self.bytes_after / 1000:,.1f} kB instead of {self.bytes_before / 1000:,.1f} kB, "
            f"{rows} in {self.seconds_after * 1e6:,.0f} µs instead of {self.seconds_before * 1e6:,.0f} µs, "
            f"{self.labels:.2%} of labels the same and numbers off by {self.difference:.2g} at most "
            f"on {self.compared_rows:,} rows"
        )


class Report(msgspec.Struct):
    """What came of a conversion: rules and parity, or the reason why there are none.

    `error` is why the model cannot be loaded at all, by whatever engine; `warnings` are to be logged by the server.
    `optimised` tells of the file that is to serve instead, `not_optimised` why there is none where one was asked for.
    """

    format: str = ""
    platform: str = ""
    native: str = ""
    error: str = ""
    warnings: list[str] = msgspec.field(default_factory=list)
    reason: str = ""
    rules: Rules | None = None
    parity: Parity | None = None
    agreement: Agreement | None = None
    optimised: Optimised | None = None
    not_optimised: str = ""
