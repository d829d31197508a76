"""ModelInfer between messages and the core, with a short way for messages that differ in their numbers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from fairlead_serving.errors import NotFoundError, readable
from fairlead_serving.grpc import contents, messages, wire
from fairlead_serving.protocol.v2 import InferRequest
from fairlead_serving.rows import Form, Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fairlead_serving.dataplane import Dataplane, Identity
    from fairlead_serving.grpc.messages import ModelRequest
    from fairlead_serving.outputs import Outputs, OutputsForm, Part
    from fairlead_serving.protocol.v2 import RawOutputs
    from fairlead_serving.tensors import Tensor

_MOST: Final = 256
_LONGEST: Final = 1024
# Datatypes whose values lie in a message as they lie in an array, typed or raw, with the typed field's number.
_FIXED: Final = {"FP32": 6, "FP64": 7}
# Field numbers of ModelInferRequest and its InferInputTensor, and of ModelInferResponse.
_INPUTS, _CONTENTS, _RAW_INPUTS = 5, 5, 7
_ID, _OUTPUTS, _RAW_OUTPUTS = 3, 5, 6
# Whole numbers up to this take one byte where they are typed; class labels seldom are larger.
_ONE_BYTE: Final = 127


class _Known(NamedTuple):
    """A message that has been read: what stands before and after its numbers, and what it asked for."""

    before: bytes
    after: bytes
    form: Form
    raw: RawOutputs | None


class _Column(NamedTuple):
    """All values of an output as they go into messages; `itemsize` is the bytes of each."""

    bytes: bytes
    itemsize: int


class InferCodec:
    """Reads ModelInferRequest and writes ModelInferResponse for one dataplane."""

    def __init__(self, dataplane: Dataplane) -> None:
        """Start knowing no message."""
        self._dataplane = dataplane
        self._known: dict[int, _Known] = {}
        self._texts: dict[tuple[OutputsForm, int, bool], list[bytes]] = {}
        # The run whose answers were written last, most often the one of the next answer.
        self._last: tuple[Outputs | None, bool, list[_Column] | None] = (None, False, None)

    def decode(self, data: bytes) -> InferRequest:
        """Read a request. Raises InvalidRequestError, and NotFoundError for another model or version than ours."""
        known = self._known.get(len(data))
        if known is not None and data.startswith(known.before) and data.endswith(known.after):
            # All sizes stand in what is the same, so that what lies between is as many numbers as before.
            numbers = data[len(known.before) : len(data) - len(known.after)]
            return InferRequest([], None, None, None, known.raw, Rows(known.form, numbers, known.form.rows))
        model, request = messages.decode_infer(data)
        check_model(model, self._dataplane.identity)
        self._learn(data, request)
        return request

    def encode(self, request: InferRequest, part: Part) -> bytes:
        """Write a response: raw if the request was, or if a type has no other way; else with typed values."""
        outputs, start, raw = part.outputs, part.start, request.raw_outputs is not None
        columns = self._columns_of(outputs, raw=raw)
        if columns is None:
            name, version, _ = self._dataplane.identity
            return messages.encode_infer(name, version, request, part.tensors)
        rows = len(outputs.tensors[0].array) if part.stop is None else part.stop - start
        pieces: list[bytes] = []
        for text, width, data in zip(self._text_of(outputs, rows, raw=raw), outputs.widths, columns, strict=True):
            size = width * data.itemsize
            pieces += (text, data.bytes[start * size : (start + rows) * size])
        if request.id:
            pieces.append(wire.write_text(_ID, request.id))
        return b"".join(pieces)

    def _learn(self, data: bytes, request: InferRequest) -> None:
        """Remember a message with nothing but one tensor, of a form that the model has taken before."""
        if len(request.inputs) != 1 or request.id or request.outputs or request.parameters:
            return
        name, datatype, array = request.inputs[0]
        form = self._dataplane.forms.get((name, datatype, array.shape))
        if form is None or datatype not in _FIXED:
            return
        place = _numbers(data, datatype)
        if place is None or len(data) - (place[1] - place[0]) > _LONGEST:
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        form = Form(name, datatype, form.shape, ("bytes", form.key))
        self._known[len(data)] = _Known(data[: place[0]], data[place[1] :], form, request.raw_outputs)

    def _columns_of(self, outputs: Outputs, *, raw: bool) -> list[_Column] | None:
        """Return all values of each output as they go into messages, or None where they have no fixed size there."""
        known, was_raw, columns = self._last
        if known is outputs and was_raw == raw:
            return columns
        columns = None
        if outputs.plain:
            found = [
                _column(tensor, values, raw=raw) for tensor, values in zip(outputs.tensors, outputs.values, strict=True)
            ]
            columns = [column for column in found if column is not None]
            columns = columns if len(columns) == len(found) else None
        self._last = (outputs, raw, columns)
        return columns

    def _text_of(self, outputs: Outputs, rows: int, *, raw: bool) -> list[bytes]:
        """Return what stands before the values of each output."""
        key = (outputs.form, rows, raw)
        texts = self._texts.get(key)
        if texts is None:
            name, version, _ = self._dataplane.identity
            texts, head = [], messages.named(name, version)
            for tensor, (_, _, tail), width in zip(outputs.tensors, outputs.form, outputs.widths, strict=True):
                about = messages.described(tensor.name, tensor.datatype, (rows, *(tail or ())))
                if raw:
                    head += wire.write(_OUTPUTS, about)
                    texts.append(wire.prefix(_RAW_OUTPUTS, rows * width * tensor.array.itemsize))
                else:
                    size = rows * width * (tensor.array.itemsize if tensor.datatype in _FIXED else 1)
                    values = wire.prefix(contents.field_of(tensor.datatype), size)
                    about += wire.prefix(_CONTENTS, len(values) + size) + values
                    texts.append(wire.prefix(_OUTPUTS, len(about) + size) + about)
            texts[0] = head + texts[0]
            if len(self._texts) >= _MOST:
                self._texts.clear()
            self._texts[key] = texts
        return texts


def _column(tensor: Tensor, values: Sequence[int | float], *, raw: bool) -> _Column | None:
    array = tensor.array
    if raw or tensor.datatype in _FIXED:
        return _Column(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes(), array.itemsize)
    if array.dtype.kind == "f" or not 0 <= min(values) <= max(values) <= _ONE_BYTE:
        return None
    return _Column(bytes(array.astype(np.uint8)), 1)


def check_model(model: ModelRequest, identity: Identity) -> None:
    """Raise NotFoundError for another model or version than ours."""
    if model.name != identity.model:
        message = f"unknown model {readable(model.name)}: this server has {identity.model}"
        raise NotFoundError(message)
    if model.version not in ("", identity.version):
        message = (
            f"unknown version {readable(model.version)} of model {identity.model}: this server has {identity.version}"
        )
        raise NotFoundError(message)


def _numbers(data: bytes, datatype: str) -> tuple[int, int] | None:
    """Return where the numbers of a message's only input lie, None where they are not in one piece."""
    places: list[tuple[int, int]] = []
    for number, kind, start, end in wire.fields(data, 0, len(data)):
        if number == _RAW_INPUTS:
            places.append((start, end))
        elif number == _INPUTS and kind == wire.BYTES:
            for inner, inner_kind, at, until in wire.fields(data, start, end):
                if inner == _CONTENTS and inner_kind == wire.BYTES:
                    found = list(wire.fields(data, at, until))
                    if [each[:2] for each in found] != [(_FIXED[datatype], wire.BYTES)]:
                        return None
                    places.append(found[0][2:])
    return places[0] if len(places) == 1 else None
