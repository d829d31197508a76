"""Leaving out what a converted graph computes for nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

if TYPE_CHECKING:
    from collections.abc import Collection


def pruned(content: bytes, outputs: Collection[str]) -> bytes:
    """Return a model with these outputs only, without the nodes and constants that none of them needs.

    ONNX Runtime computes every node of a graph, whichever outputs it is asked for.
    """
    model = onnx.load_from_string(content)
    graph = model.graph
    needed = set(outputs)
    kept = []
    # Nodes are in an order in which each comes after those it takes from.
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    found = {"node": kept[::-1]}
    found["initializer"] = [item for item in graph.initializer if item.name in needed]
    found["output"] = [item for item in graph.output if item.name in outputs]
    for field, items in found.items():
        copies = [type(item).FromString(item.SerializeToString()) for item in items]
        graph.ClearField(field)
        getattr(graph, field).extend(copies)
    result: bytes = model.SerializeToString()
    return result
