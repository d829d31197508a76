"""The quick way for what most V2 requests are: one tensor of numbers, of a form that the model has taken before."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from fairlead_serving.protocol.v2 import InferRequest
from fairlead_serving.rows import Rows

if TYPE_CHECKING:
    from fairlead_serving.rows import FormKey, Forms

_Size = Annotated[int, msgspec.Meta(ge=0)]


class _RowsInput(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str
    shape: tuple[_Size, ...]
    datatype: str
    data: list[float]


class _RowsRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    inputs: tuple[_RowsInput]
    id: str | None = None


class _NestedInput(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str
    shape: tuple[_Size, _Size]
    datatype: str
    data: list[list[float]]


class _NestedRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    inputs: tuple[_NestedInput]
    id: str | None = None


_flat: Final = msgspec.json.Decoder(_RowsRequest)
_nested: Final = msgspec.json.Decoder(_NestedRequest)


def decode_rows(body: bytes, forms: Forms) -> InferRequest | None:
    """Read an inference request of one tensor of numbers, if it is of a known form; else return None.

    It is the quick way for what most requests are, and refuses nothing: what is wrong, `decode_request` tells, or
    the rows themselves when they become a tensor.
    """
    key: FormKey
    try:
        if b"[[" in body:
            nested = _nested.decode(body)
            (item,) = nested.inputs
            key, request_id = (item.name, item.datatype, item.shape), nested.id
            count, width = item.shape
            if len(item.data) != count or any(len(row) != width for row in item.data):
                return None
            values = item.data[0] if count == 1 else list(chain.from_iterable(item.data))
        else:
            flat = _flat.decode(body)
            (only,) = flat.inputs
            key, request_id, values = (only.name, only.datatype, only.shape), flat.id, only.data
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    form = forms.get(key)
    if form is None or len(values) != form.count:
        return None
    return InferRequest([], None, request_id, None, None, Rows(form, values, form.rows))
