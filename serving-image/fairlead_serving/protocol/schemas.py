"""What msgspec reads and writes on the way of most V2 requests.

These classes stay Python where the rest is compiled: msgspec looks at their annotations when the program runs.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

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


class OutputMessage(msgspec.Struct, omit_defaults=True):
    """An output of an answer."""

    name: str
    datatype: str
    shape: list[int]
    data: list[bool | int | float | str] | None = None
    parameters: dict[str, int] | None = None


class ResponseMessage(msgspec.Struct, omit_defaults=True):
    """An answer."""

    model_name: str
    model_version: str
    outputs: list[OutputMessage]
    id: str | None = None
    parameters: dict[str, bool] | None = None


FLAT_ROWS: Final = msgspec.json.Decoder(_RowsRequest)
NESTED_ROWS: Final = msgspec.json.Decoder(_NestedRequest)
ENCODER: Final = msgspec.json.Encoder()
