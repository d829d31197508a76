"""PyTorch programs written with `torch.export.save`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from fairlead_serving.errors import LoadError
from fairlead_serving.models.signature import match, zeros
from fairlead_serving.tensors import Array, Tensor, TensorSpec, datatype_of, tensor_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_Feed = dict[str, Array]


def load(path: Path) -> PytorchModel:
    """Read a program. This can run any code that its writer put in. Raises LoadError when it is damaged."""
    return PytorchModel(read_program(path), path.name)


def read_program(path: Path) -> Any:
    """Return the exported program in a file. Raises LoadError."""
    torch.set_num_threads(1)
    # It would miss Triton, which is for GPUs, in a line of its own form.
    logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)
    try:
        return torch.export.load(path)
    except MemoryError:
        raise
    except Exception as error:
        # Reading runs what is in the file, so anything can come out.
        text = next(iter(str(error).strip().splitlines()), type(error).__name__)
        message = f"{path.name} cannot be read by PyTorch {torch.__version__}: {text}"
        raise LoadError(message) from error


class PytorchModel:
    """A program that takes tensors and gives a tensor, several, or a dictionary of them.

    Inputs have the names of the program's arguments. Outputs have the dictionary's, else they are `output`, or
    `output_0`, `output_1` and so on.
    """

    format = "pytorch"
    platform = "pytorch_pt2"
    classes: tuple[str, ...] | None = None

    def __init__(self, program: Any, file: str) -> None:
        """Take a program's signature apart. Raises LoadError where it takes or gives other things than tensors."""
        self.parameters: Mapping[str, str] = {"engine": f"pytorch {torch.__version__}"}
        nodes = {node.name: node for node in program.graph.nodes}
        names = program.graph_signature.user_inputs
        self.inputs = tuple(_spec(file, str(name), nodes.get(name)) for name in names)
        given = list(program.graph_signature.user_outputs)
        labels = _labels(program.call_spec.out_spec, len(given))
        self.outputs = tuple(_spec(file, label, nodes.get(name)) for label, name in zip(labels, given, strict=True))
        self._structure = program.call_spec.in_spec
        self._module = program.module()
        self._by_name = {spec.name: spec for spec in self.inputs}
        self._order = {spec.name: place for place, spec in enumerate(self.outputs)}
        self.batches = all(spec.shape[:1] == (-1,) for spec in (*self.inputs, *self.outputs))
        self.binds_by_form = True

    def bind(self, inputs: Sequence[Tensor]) -> _Feed:
        """Match tensors to inputs: by name, or any name where there is one input only."""
        return match(self._by_name, inputs)

    def run(self, feed: _Feed, wanted: Sequence[str]) -> list[Tensor]:
        """Call the program."""
        # Copies, since what came over the network cannot be written to, and PyTorch asks that it can.
        leaves = [torch.tensor(feed[spec.name]) for spec in self.inputs]
        arguments, keywords = tree_unflatten(leaves, self._structure)
        with torch.inference_mode():
            values = tree_flatten(self._module(*arguments, **keywords))[0]
        return [tensor_of(name, _array(values[self._order[name]])) for name in wanted]

    def sample(self) -> _Feed | None:
        """Return one row of zeros; sizes that a request decides are 1."""
        return zeros(self.inputs)


def _labels(structure: Any, count: int) -> list[str]:
    if structure.type is dict and len(structure.context) == count:
        return [str(key) for key in structure.context]
    return ["output"] if count == 1 else [f"output_{place}" for place in range(count)]


def _spec(file: str, name: str, node: Any) -> TensorSpec:
    value = None if node is None else node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        message = f"{file}: {name} is no tensor: export the program with tensors only"
        raise LoadError(message)
    dtype = torch.empty(0, dtype=value.dtype)
    shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
    return TensorSpec(name, datatype_of(_array(dtype).dtype), shape)


def _array(value: Any) -> Array:
    """Return a tensor as an array; numpy has no bfloat16."""
    value = value.float() if value.dtype == torch.bfloat16 else value
    return np.asarray(value.detach().numpy())
