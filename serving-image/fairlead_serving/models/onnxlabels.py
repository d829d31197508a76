"""The class labels that an ONNX classifier carries, read from the file itself.

ONNX Runtime does not show a node's attributes, and the `onnx` package is too heavy to import for them, so this walks
the few protobuf fields on the way: ModelProto.graph (7) → GraphProto.node (1) → NodeProto.attribute (5) →
AttributeProto.name (1), .ints (8), .strings (9). Wire format: protobuf's encoding page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LABELS: Final = {b"classlabels_ints", b"classlabels_int64s", b"classlabels_strings"}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIGN: Final = 1 << 63


def class_labels(path: Path) -> tuple[str, ...]:
    """Return the labels of the last classifier node as text; empty where the file does not tell them."""
    labels: tuple[str, ...] = ()
    try:
        for graph in _messages(memoryview(path.read_bytes()), 7):
            for node in _messages(graph, 1):
                labels = _node_labels(node) or labels
    except (ValueError, IndexError):
        # The session has accepted the file; what this small reader cannot follow costs only zeroes in the metrics.
        return ()
    return labels


def _node_labels(node: memoryview) -> tuple[str, ...]:
    for attribute in _messages(node, 5):
        if any(bytes(name) in _LABELS for name in _messages(attribute, 1)):
            strings = tuple(bytes(item).decode(errors="replace") for item in _messages(attribute, 9))
            found = strings or tuple(str(number) for number in _integers(attribute, 8))
            if found:
                return found
    return ()


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        kind = key & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield key >> 3, value
        elif kind == _BYTES:
            size, position = _varint(data, position)
            yield key >> 3, data[position : position + size]
            position += size
        elif kind in (_FIXED64, _FIXED32):
            position += 8 if kind == _FIXED64 else 4
        else:
            message = f"wire type {kind}"
            raise ValueError(message)


def _messages(data: memoryview, number: int) -> Iterator[memoryview]:
    return (value for field, value in _fields(data) if field == number and isinstance(value, memoryview))


def _integers(data: memoryview, number: int) -> Iterator[int]:
    for field, value in _fields(data):
        if field != number:
            continue
        if isinstance(value, int):
            yield _signed(value)
            continue
        position = 0
        while position < len(value):
            item, position = _varint(value, position)
            yield _signed(item)


def _signed(value: int) -> int:
    return value - 2 * _SIGN if value >= _SIGN else value


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  the continuation bit
            return value, position
        shift += 7
