"""The quick way for what most V2 requests are: one tensor of numbers, of a form that the model has taken before."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from fairlead_serving.protocol.schemas import FLAT_ROWS, NESTED_ROWS
from fairlead_serving.protocol.v2 import InferRequest
from fairlead_serving.rows import Rows

if TYPE_CHECKING:
    from fairlead_serving.rows import FormKey, Forms


def decode_rows(body: bytes, forms: Forms) -> InferRequest | None:
    """Read an inference request of one tensor of numbers, if it is of a known form; else return None.

    It is the quick way for what most requests are, and refuses nothing: what is wrong, `decode_request` tells, or
    the rows themselves when they become a tensor.
    """
    key: FormKey
    try:
        if b"[[" in body:
            nested = NESTED_ROWS.decode(body)
            (item,) = nested.inputs
            key, request_id = (item.name, item.datatype, item.shape), nested.id
            count, width = item.shape
            if len(item.data) != count or any(len(row) != width for row in item.data):
                return None
            values = item.data[0] if count == 1 else list(chain.from_iterable(item.data))
        else:
            flat = FLAT_ROWS.decode(body)
            (only,) = flat.inputs
            key, request_id, values = (only.name, only.datatype, only.shape), flat.id, only.data
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    form = forms.get(key)
    if form is None or len(values) != form.count:
        return None
    return InferRequest([], None, request_id, None, None, Rows(form, values, form.rows))
