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
    from fairlead_serving.tensors import Array, Tensor

_MOST: Final = 256
_LONGEST: Final = 1024
# Datatypes whose values lie in a message as they lie in an array, typed or raw, with the typed field's number.
_FIXED: Final = {"FP32": 6, "FP64": 7}
# Field numbers of ModelInferRequest and its InferInputTensor, and of ModelInferResponse.
_INPUTS, _CONTENTS, _RAW_INPUTS = 5, 5, 7
_ID, _OUTPUTS, _RAW_OUTPUTS = 3, 5, 6
# Whole numbers up to this take one byte where they are typed; class labels seldom are larger.
_ONE_BYTE: Final = 127
# Of answers that are written at once, before they are asked for.
_MOST_BYTES: Final = 256 * 1024

PREFIX_BYTES: Final = 5
"""Before each message in a body: whether it is compressed, and its length."""


def prefixed(message: bytes, *, gzip: bool = False) -> bytes:
    """Return a message, compressed or not, as the body of a request or an answer."""
    return _prefix(len(message), gzip=gzip) + message


def _prefix(size: int, *, gzip: bool = False) -> bytes:
    return bytes((gzip,)) + size.to_bytes(4, "big")


class _Known(NamedTuple):
    """A body that has been read: what stands before and after its numbers, where, and what it asked for."""

    before: bytes
    after: bytes
    start: int
    end: int
    form: Form
    raw: RawOutputs | None


class _Run:
    """The outputs of one run as they go into answers.

    `fixed` is whether these have the same size for all requests of as many rows. `bodies` are the answers for all the
    run's rows, by how many rows each has.
    """

    __slots__ = ("bodies", "fixed", "outputs", "raw", "rows")

    def __init__(self, outputs: Outputs | None, *, raw: bool) -> None:
        self.outputs = outputs
        self.raw = raw
        self.rows = 0
        self.fixed = False
        self.bodies: dict[int, list[bytes]] = {}
        if outputs is not None and outputs.plain:
            self.rows = len(outputs.tensors[0].array)
            self.fixed = raw or all(map(_has_fixed_size, outputs.tensors, outputs.values))


class _Layout:
    """An answer with so many rows: what stands in it beside the numbers, and where these go."""

    def __init__(self, identity: Identity, outputs: Outputs, rows: int, *, raw: bool) -> None:
        texts, kinds, head = [], [], messages.named(identity.model, identity.version)
        for tensor, (_, _, tail), width in zip(outputs.tensors, outputs.form, outputs.widths, strict=True):
            about = messages.described(tensor.name, tensor.datatype, (rows, *(tail or ())))
            as_is = raw or tensor.datatype in _FIXED
            kind = np.dtype((tensor.array.dtype.newbyteorder("<") if as_is else np.uint8, (rows * width,)))
            kinds.append(kind)
            if raw:
                head += wire.write(_OUTPUTS, about)
                texts.append(wire.prefix(_RAW_OUTPUTS, kind.itemsize))
            else:
                values = wire.prefix(contents.field_of(tensor.datatype), kind.itemsize)
                about += wire.prefix(_CONTENTS, len(values) + kind.itemsize) + values
                texts.append(wire.prefix(_OUTPUTS, len(about) + kind.itemsize) + about)
        texts[0] = head + texts[0]
        size = sum(map(len, texts)) + sum([kind.itemsize for kind in kinds])
        texts[0] = _prefix(size) + texts[0]
        self.size = size + PREFIX_BYTES
        self._texts, self._kinds = texts, kinds
        # Small answers are written as rows of a table, all of a run at once.
        self._template: Array | None = None
        if self.size <= _MOST_BYTES:
            columns = [(f"text{i}", f"V{len(text)}") for i, text in enumerate(texts)]
            numbers = [(f"values{i}", kind) for i, kind in enumerate(kinds)]
            fields = [each for pair in zip(columns, numbers, strict=True) for each in pair]
            self._template = np.zeros(1, np.dtype(fields))
            for (name, _), text in zip(columns, texts, strict=True):
                self._template[name] = np.void(text)

    def write(self, arrays: Sequence[Array], count: int) -> list[bytes]:
        """Return the bodies of so many answers, one if they are large, which take as many rows of the outputs each."""
        if self._template is None:
            return [self._write(arrays)]
        table = self._template.repeat(count)
        for place, array in enumerate(arrays):
            table[f"values{place}"] = array.reshape(count, -1)
        size, data = self.size, table.tobytes()
        return [data[at : at + size] for at in range(0, len(data), size)]

    def _write(self, arrays: Sequence[Array]) -> bytes:
        pieces: list[bytes] = []
        for text, kind, array in zip(self._texts, self._kinds, arrays, strict=True):
            pieces += (text, array.astype(kind.base, copy=False).tobytes())
        return b"".join(pieces)


class InferCodec:
    """Reads ModelInferRequest and writes ModelInferResponse for one dataplane."""

    def __init__(self, dataplane: Dataplane) -> None:
        """Start knowing no message."""
        self._dataplane = dataplane
        self._known: dict[int, _Known] = {}
        self._layouts: dict[tuple[OutputsForm, int, bool], _Layout] = {}
        # The run whose answers were written last, most often the one of the next answer.
        self._last = _Run(None, raw=False)

    def recall(self, body: bytes) -> InferRequest | None:
        """Read a request's body, prefix and all, that differs in nothing but its numbers from one before it."""
        known = self._known.get(len(body))
        if known is not None:
            before, after, start, end, form, raw = known
            if body.startswith(before) and body.endswith(after):
                # All sizes stand in what is the same, so that what lies between is as many numbers as before.
                return InferRequest([], None, None, None, raw, Rows(form, body[start:end], form.rows))
        return None

    def decode(self, message: bytes) -> InferRequest:
        """Read a request. Raises InvalidRequestError, and NotFoundError for another model or version than ours."""
        model, request = messages.decode_infer(message)
        check_model(model, self._dataplane.identity)
        self._learn(message, request)
        return request

    def encode(self, request: InferRequest, part: Part) -> bytes:
        """Return the body of an answer: raw if the request was, or if a type has no other way; else typed values."""
        outputs, start, raw = part.outputs, part.start, request.raw_outputs is not None
        run = self._last
        if run.outputs is not outputs or run.raw != raw:
            run = self._last = _Run(outputs, raw=raw)
        if not run.fixed:
            name, version, _ = self._dataplane.identity
            return prefixed(messages.encode_infer(name, version, request, part.tensors))
        rows = run.rows if part.stop is None else part.stop - start
        bodies = run.bodies.get(rows)
        if bodies is None:
            bodies = run.bodies[rows] = self._bodies(outputs, rows, run.rows // rows, raw=raw)
        if bodies and not start % rows:
            body = bodies[start // rows]
        else:
            arrays = [tensor.array[start : start + rows] for tensor in outputs.tensors]
            body = self._layout(outputs, rows, raw=raw).write(arrays, 1)[0]
        return prefixed(body[PREFIX_BYTES:] + wire.write_text(_ID, request.id)) if request.id else body

    def _learn(self, message: bytes, request: InferRequest) -> None:
        """Remember a message with nothing but one tensor, of a form that the model has taken before."""
        if len(request.inputs) != 1 or request.id or request.outputs or request.parameters:
            return
        name, datatype, array = request.inputs[0]
        form = self._dataplane.forms.get((name, datatype, array.shape))
        if form is None or datatype not in _FIXED:
            return
        place = _numbers(message, datatype)
        if place is None or len(message) - (place[1] - place[0]) > _LONGEST:
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        form = Form(name, datatype, form.shape, ("bytes", form.key))
        body = prefixed(message)
        start, end = place[0] + PREFIX_BYTES, place[1] + PREFIX_BYTES
        self._known[len(body)] = _Known(body[:start], body[end:], start, end, form, request.raw_outputs)

    def _bodies(self, outputs: Outputs, rows: int, count: int, *, raw: bool) -> list[bytes]:
        """Write all answers with so many rows of a run at once; none where they are too much to lie about."""
        layout = self._layout(outputs, rows, raw=raw)
        if count * layout.size > _MOST_BYTES:
            return []
        return layout.write([tensor.array[: count * rows] for tensor in outputs.tensors], count)

    def _layout(self, outputs: Outputs, rows: int, *, raw: bool) -> _Layout:
        key = (outputs.form, rows, raw)
        layout = self._layouts.get(key)
        if layout is None:
            if len(self._layouts) >= _MOST:
                self._layouts.clear()
            layout = self._layouts[key] = _Layout(self._dataplane.identity, outputs, rows, raw=raw)
        return layout


def _has_fixed_size(tensor: Tensor, values: Sequence[int | float]) -> bool:
    """Tell whether each typed value of an output takes as many bytes."""
    if tensor.datatype in _FIXED:
        return True
    return tensor.array.dtype.kind != "f" and 0 <= min(values) <= max(values) <= _ONE_BYTE


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
