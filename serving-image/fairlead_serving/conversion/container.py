"""What skl2onnx collects nodes in, as a `Graph`."""

from __future__ import annotations

from typing import Any, Final

from onnx import helper

from fairlead_serving.conversion.forest import OPSETS
from fairlead_serving.tensors import Array

# Options that skl2onnx passes to each classifier it knows.
OPTIONS: Final = {"zipmap": [True, False, "columns"], "nocl": [True, False], "raw_scores": [False]}


class Container:
    """skl2onnx's own collection of nodes as a `Graph`."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope = scope
        self._container = container

    def name(self, wanted: str) -> str:
        """Return a name that nothing else has."""
        return str(self._scope.get_unique_variable_name(wanted))

    def node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        self._container.add_node(
            kind,
            inputs,
            output,
            op_domain=domain,
            op_version=OPSETS[domain],
            name=self._scope.get_unique_operator_name(kind),
            **attributes,
        )
        return output

    def constant(self, name: str, values: Array) -> str:
        """Add a constant and return its name."""
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        self._container.add_initializer(name, kind, list(values.shape), values.ravel().tolist())
        return name
