"""Golden requests: what a model must answer before it may serve, kept beside it in `golden.jsonl`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from fairlead_serving.errors import LoadError, RequestError
from fairlead_serving.protocol.tensordata import Encoded, decode_data
from fairlead_serving.protocol.v2 import decode_request
from fairlead_serving.tensors import element_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fairlead_serving.models.base import Model
    from fairlead_serving.protocol.v2 import InferRequest
    from fairlead_serving.tensors import Array, Tensor

FILE: Final = "golden.jsonl"
_SHOWN: Final = 80
_read: Final = functools.partial(decode_data, encoded=True)


class _Output(msgspec.Struct):
    name: str
    data: list[Any]
    shape: list[int] | None = None


class _Response(msgspec.Struct):
    outputs: list[_Output]


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    """One line: a request and its answer, as V2 has them.

    A number may be off by `atol + rtol * |expected|`; labels, text and other integers must be the same. Bytes that are
    no text are `{"b64": "…"}`.
    """

    request: msgspec.Raw
    response: _Response
    rtol: float = 1e-5
    atol: float = 1e-6


def check(model: Model, path: Path) -> int:
    """Answer all golden requests and return how many there were.

    Raises LoadError with the row, the expected and the actual value of the first difference.
    """
    count = 0
    for number, row, request in _rows(path):
        problem = _problem(model, row, request)
        if problem:
            message = f"{FILE} line {number}: {problem}"
            raise LoadError(message)
        count += 1
    return count


def inputs(path: Path) -> Iterator[list[Tensor]]:
    """Yield the requests' inputs alone: they are samples of what the model will be asked. Raises LoadError."""
    for _, _, request in _rows(path):
        yield request.inputs


def _rows(path: Path) -> Iterator[tuple[int, _Row, InferRequest]]:
    decoder = msgspec.json.Decoder(_Row)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = decoder.decode(line)
                    for output in row.response.outputs:
                        output.data = [_plain(value) for value in _flat(output.data)]
                    yield number, row, decode_request(bytes(row.request), read=_read)
                except (msgspec.MsgspecError, RequestError) as error:
                    message = f"{FILE} line {number}: {error}"
                    raise LoadError(message) from error
    except OSError as error:
        message = f"{FILE} cannot be read: {error.strerror}"
        raise LoadError(message) from error


def _problem(model: Model, row: _Row, request: InferRequest) -> str | None:
    """Answer one request and say what is wrong with the answer, or None."""
    known = [spec.name for spec in model.outputs]
    wanted = [output.name for output in row.response.outputs]
    for name in wanted:
        if known and name not in known:
            return f"{name!r} is not an output of the model ({', '.join(known)})"
    try:
        answer = {tensor.name: tensor for tensor in model.run(model.bind(request.inputs), wanted if known else ())}
    except RequestError as error:
        return f"the model refuses the request: {error}"
    except Exception as error:  # noqa: BLE001  a model can raise anything
        return f"the model failed: {type(error).__name__}: {error}"
    problems = (_difference(output, answer.get(output.name), row) for output in row.response.outputs)
    return next(filter(None, problems), None)


def _difference(expected: _Output, actual: Tensor | None, row: _Row) -> str | None:
    """Say where an output differs from what it should be, or None."""
    if actual is None:
        return f"output {expected.name} is missing"
    shape = list(actual.array.shape)
    if expected.shape is not None and expected.shape != shape:
        return f"output {expected.name}: expected shape {expected.shape}, got {shape}"
    want, have = expected.data, actual.array.ravel()
    if len(want) != len(have):
        return f"output {expected.name}: expected {len(want)} values, got {len(have)}"
    wrong = _first_wrong(want, have, row)
    if wrong is None:
        return None
    index = ", ".join(str(part) for part in np.unravel_index(wrong, actual.array.shape))
    shown = _shown(have[wrong].item() if isinstance(have[wrong], np.generic) else have[wrong])
    slack = f", tolerance {row.atol:g} + {row.rtol:g} × |expected|" if have.dtype.kind == "f" else ""
    return f"output {expected.name}[{index}]: expected {_shown(want[wrong])}, got {shown}{slack}"


def _first_wrong(want: list[Any], have: Array, row: _Row) -> int | None:
    for position, (expected, value) in enumerate(zip(want, have.tolist(), strict=True)):
        if have.dtype.kind != "f":
            same = expected == value
        elif expected is None:
            # JSON has no NaN and no infinities: in answers they are null.
            same = not np.isfinite(value)
        else:
            same = isinstance(expected, int | float) and abs(value - expected) <= row.atol + row.rtol * abs(expected)
        if not same:
            return position
    return None


def _flat(data: list[Any]) -> list[Any]:
    """Return nested data as one list, row by row."""
    while any(isinstance(item, list) for item in data):
        data = [inner for item in data for inner in (item if isinstance(item, list) else [item])]
    return data


def _plain(value: Any) -> Any:
    """Return a value as a tensor has it. Raises msgspec.ValidationError for an object that is no bytes."""
    return element_of(msgspec.convert(value, Encoded).b64) if isinstance(value, dict) else value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
