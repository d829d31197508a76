"""How a server wants to be asked, and how it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Rows = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Form:
    """A kind of request and its answer, both JSON."""

    request: Callable[[Rows], Any]
    labels: Callable[[Any], list[float]]

    def body(self, rows: Rows) -> bytes:
        """The body of a request for these rows."""
        return json.dumps(self.request(rows), separators=(",", ":")).encode()

    def read(self, body: bytes) -> list[float]:
        """The labels that an answer gives. Raises ValueError for one that has none."""
        try:
            return [float(label) for label in self.labels(json.loads(body))]
        except (KeyError, IndexError, TypeError) as error:
            message = f"no labels are in {body[:200]!r}"
            raise ValueError(message) from error


def _v2(rows: Rows) -> dict[str, Any]:
    shape = [len(rows), len(rows[0])]
    return {"inputs": [{"name": "x", "shape": shape, "datatype": "FP32", "data": [list(row) for row in rows]}]}


def _flat(rows: Rows) -> dict[str, Any]:
    message = _v2(rows)
    message["inputs"][0]["data"] = [value for row in rows for value in row]
    return message


V2 = Form(_v2, lambda answer: answer["outputs"][0]["data"])
V2_FLAT = Form(_flat, V2.labels)
"""Triton takes both; nested data cost it more."""
PLAIN = Form(lambda rows: {"x": [list(row) for row in rows]}, lambda answer: answer["y"])
BARE = Form(PLAIN.request, lambda answer: answer)
"""As PLAIN, but the answer is the list alone."""
