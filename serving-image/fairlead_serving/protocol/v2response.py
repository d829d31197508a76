"""The Open Inference Protocol (V2) over REST: inference responses as JSON, or with raw bytes behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fairlead_serving.errors import InvalidRequestError
from fairlead_serving.protocol.rawdata import encode_raw
from fairlead_serving.protocol.schemas import ENCODER, OutputMessage, ResponseMessage
from fairlead_serving.protocol.v2 import RawOutputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fairlead_serving.outputs import OutputsForm, Part
    from fairlead_serving.protocol.v2 import InferRequest
    from fairlead_serving.tensors import Tensor

_MOST_TEXTS: Final = 256


class ResponseWriter:
    """Writes inference responses of one model and version.

    Answers of one model are alike but for their numbers, so that the text around these is made once.
    """

    def __init__(self, model: str, version: str) -> None:
        """Start with no text."""
        self._begin = b'{"model_name":%b,"model_version":%b,"outputs":[' % (
            ENCODER.encode(model),
            ENCODER.encode(version),
        )
        self._texts: dict[OutputsForm, bytes] = {}

    def write(self, request_id: str | None, part: Part) -> bytes:
        """Write a response; tensors are flattened in row-major order, NaN and infinities become null.

        Raises InvalidRequestError where an output holds bytes that are no text.
        """
        outputs, start, stop = part.outputs, part.start, part.stop
        form = outputs.form
        text = self._texts.get(form) or self._text(form)
        encode = ENCODER.encode
        filling: list[object] = []
        if stop is None:
            for tensor, values in zip(outputs.tensors, outputs.values, strict=True):
                filling += (*tensor.array.shape[:1], encode(values))
        else:
            rows = stop - start
            for width, values in outputs.columns:
                filling += (rows, encode(values[start * width : stop * width]))
        if outputs.binary:
            for tensor in part.tensors:
                _check_text(tensor)
        filling.append(b"" if request_id is None else b',"id":' + encode(request_id))
        return text % tuple(filling)

    def _text(self, form: OutputsForm) -> bytes:
        """Return what stands around the number of rows and the values of outputs of a form, ready for `%`."""
        pieces = []
        for name, datatype, tail in form:
            sizes = [] if tail is None else [b"%d", *(b"%d" % size for size in tail)]
            named = [ENCODER.encode(name).replace(b"%", b"%%"), ENCODER.encode(datatype), b",".join(sizes)]
            pieces.append(b'{"name":%b,"datatype":%b,"shape":[%b],"data":%%b}' % tuple(named))
        text = self._begin.replace(b"%", b"%%") + b",".join(pieces) + b"]%b}"
        if len(self._texts) >= _MOST_TEXTS:
            self._texts.clear()
        self._texts[form] = text
        return text


def encode_raw_response(
    model: str,
    version: str,
    request: InferRequest,
    outputs: Sequence[Tensor],
    parameters: dict[str, bool] | None = None,
) -> tuple[bytes, int | None]:
    """Write an inference response in which some outputs may be raw bytes behind the JSON.

    Returns it with the size of the JSON, which is None where nothing is behind it. Raises InvalidRequestError where an
    output that should be JSON holds bytes that are no text.
    """
    wanted = request.raw_outputs or RawOutputs({}, otherwise=False)
    tensors, pieces = [], [b""]
    for item in outputs:
        tensor = OutputMessage(item.name, item.datatype, list(item.array.shape))
        if wanted.wants(item.name):
            data = encode_raw(item)
            tensor.parameters = {"binary_data_size": len(data)}
            pieces.append(data)
        else:
            _check_text(item)
            tensor.data = item.array.ravel().tolist()
        tensors.append(tensor)
    pieces[0] = ENCODER.encode(ResponseMessage(model, version, tensors, request.id, parameters))
    return b"".join(pieces), len(pieces[0]) if len(pieces) > 1 else None


def _check_text(tensor: Tensor) -> None:
    """Raise InvalidRequestError where a tensor holds bytes that are no text."""
    if tensor.datatype == "BYTES" and bytes in map(type, tensor.array.ravel().tolist()):
        problem = "holds bytes that are not UTF-8, which JSON cannot carry: ask for it with binary_data, or by gRPC"
        raise InvalidRequestError(at=f"output {tensor.name}", problem=problem)
