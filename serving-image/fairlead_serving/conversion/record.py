"""What a conversion at publish time leaves: the model with its rules inside, golden requests, and a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from fairlead_serving import golden
from fairlead_serving.models.converted import Published

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from fairlead_serving.conversion.report import Report
    from fairlead_serving.models.base import Model
    from fairlead_serving.tensors import Tensor

REPORT: Final = "conversion.json"
_REQUESTS: Final = 12
_ROWS: Final = 4
_ATOL, _RTOL = 1e-5, 1e-4


def write_model(source: Path, target: Path, report: Report) -> None:
    """Write an ONNX file with what a server has to know beside the graph, in the file's own metadata."""
    import onnx  # noqa: PLC0415  the server does not have it

    model = onnx.load(source)
    onnx.helper.set_model_props(
        model,
        {
            **{item.key: item.value for item in model.metadata_props},
            **Published(report.rules, told(report)).properties(),
        },
    )
    onnx.save(model, target)


def told(report: Report) -> dict[str, str]:
    """Return what the model's metadata tell of its conversion."""
    found = {}
    if report.format != "onnx" or report.agreement:
        found["converted_from"] = report.native
    if report.parity:
        found["parity"] = f"{report.parity.rows} rows, largest difference {report.parity.difference:.1g}"
    if report.agreement:
        found["parity"] = f"{report.agreement.rows} rows, largest difference {report.agreement.difference:.1g}"
    if report.optimised:
        found["optimised"] = str(report.optimised)
    return found


def lines(report: Report) -> list[str]:
    """Return what came of a conversion, for a person."""
    found = [f"{name.replace('_', ' ')}: {text}" for name, text in told(report).items()]
    return [*found, f"not optimised: {report.not_optimised}"] if report.not_optimised else found


def summary(report: Report) -> dict[str, Any]:
    """Return what came of a conversion, for programs."""
    parts = {
        "converted_from": report.native,
        "parity": report.parity,
        "agreement": None if report.agreement is None else report.agreement._asdict(),
        "optimised": report.optimised,
        "not_optimised": report.not_optimised,
    }
    return {name: part for name, part in parts.items() if part}


def write_golden(path: Path, model: Model, tries: Iterable[Sequence[Any]], folder: Path, report: Report) -> int:
    """Write requests with the original model's answers, after those that it came with; return how many are new."""
    written = []
    atol, rtol = _ATOL, _RTOL
    if report.optimised:
        # What the gate has let through is what may be expected.
        atol = max(_ATOL, 2 * report.optimised.difference)
    names = [spec.name for spec in model.outputs]
    for feed in (feed for feeds in tries for feed in feeds):
        line = _line(model, _some(model, feed), names, (atol, rtol))
        if line is not None:
            written.append(line)
        if len(written) == _REQUESTS:
            break
    own = folder / golden.FILE
    before = own.read_bytes().rstrip(b"\n") + b"\n" if own.is_file() else b""
    path.write_bytes(before + b"".join(line + b"\n" for line in written))
    return len(written)


def _line(model: Model, feed: Any, names: Sequence[str], tolerance: tuple[float, float]) -> bytes | None:
    inputs = feed if isinstance(feed, dict) else {model.inputs[0].name: feed}
    datatypes = {spec.name: spec.datatype for spec in model.inputs}
    if any(values.dtype.kind == "f" and not np.isfinite(values).all() for values in inputs.values()):
        return None
    try:
        answer: list[Tensor] = model.run(feed, names)
    except Exception:  # noqa: BLE001  rows that were made up may be outside what the model knows
        return None
    request = {
        "inputs": [
            {"name": name, "shape": values.shape, "datatype": datatypes[name], "data": values.ravel().tolist()}
            for name, values in inputs.items()
        ]
    }
    outputs = [{"name": item.name, "shape": item.array.shape, "data": item.array.ravel().tolist()} for item in answer]
    row = {"request": request, "response": {"outputs": outputs}, "atol": tolerance[0], "rtol": tolerance[1]}
    return msgspec.json.encode(row)


def _some(model: Model, feed: Any) -> Any:
    if not model.batches:
        return feed
    if isinstance(feed, dict):
        return {name: values[:_ROWS] for name, values in feed.items()}
    return feed[:_ROWS]
