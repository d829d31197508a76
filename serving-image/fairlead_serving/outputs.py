"""What a run of the model gave, and each request's rows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairlead_serving.tensors import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    # Name, datatype and shape of each output but for its rows; None for a scalar, which has none.
    OutputsForm = tuple[tuple[str, str, tuple[int, ...] | None], ...]


class Outputs:
    """All outputs of one run. What the answers to several requests need of them is made once, when it is asked for."""

    __slots__ = ("_columns", "_form", "_plain", "_predictions", "_values", "_widths", "binary", "tensors")

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tensors
        # Whether there are bytes that are no text among the values; known when these are.
        self.binary = False
        self._values: list[list[Any]] | None = None
        self._predictions: list[Any] | None = None
        self._widths: list[int] | None = None
        self._columns: list[tuple[int, list[Any]]] | None = None
        self._form: OutputsForm | None = None
        self._plain: bool | None = None

    @property
    def values(self) -> list[list[Any]]:
        """The numbers or texts of each output in row-major order."""
        if self._values is None:
            self._values = [self.predictions, *map(self._listed, self.tensors[1:])]
        return self._values

    @property
    def predictions(self) -> list[Any]:
        """The values of the first output."""
        if self._predictions is None:
            self._predictions = self._listed(self.tensors[0])
        return self._predictions

    def _listed(self, tensor: Tensor) -> list[Any]:
        values: list[Any] = tensor.array.ravel().tolist()
        if tensor.datatype == "BYTES":
            self.binary = self.binary or bytes in map(type, values)
        return values

    @property
    def plain(self) -> bool:
        """Whether all outputs have rows of numbers, equally many."""
        if self._plain is None:
            rows = self.tensors[0].array.shape[:1]
            self._plain = bool(rows) and all(
                array.shape[:1] == rows and array.size and array.dtype.kind in "biuf" and datatype != "BF16"
                for _, datatype, array in self.tensors
            )
        return self._plain

    @property
    def widths(self) -> list[int]:
        """How many values of each output belong to one row."""
        if self._widths is None:
            self._widths = [item.array.size // (len(item.array) or 1) for item in self.tensors]
        return self._widths

    @property
    def columns(self) -> list[tuple[int, list[Any]]]:
        """The width and the values of each output."""
        if self._columns is None:
            self._columns = list(zip(self.widths, self.values, strict=True))
        return self._columns

    @property
    def size(self) -> int:
        """How many values there are in all."""
        return sum([item.array.size for item in self.tensors])

    @property
    def form(self) -> OutputsForm:
        """What the outputs of all runs of one model have in common."""
        if self._form is None:
            self._form = tuple(
                [(name, datatype, array.shape[1:] if array.ndim else None) for name, datatype, array in self.tensors]
            )
        return self._form


class Part:
    """One request's rows of a run's outputs, from `start` up to `stop`; all of them where `stop` is None."""

    __slots__ = ("outputs", "start", "stop")

    def __init__(self, outputs: Outputs, start: int = 0, stop: int | None = None) -> None:
        self.outputs = outputs
        self.start = start
        self.stop = stop

    @property
    def tensors(self) -> Sequence[Tensor]:
        """The rows as tensors."""
        if self.stop is None:
            return self.outputs.tensors
        return [Tensor(name, datatype, array[self.start : self.stop]) for name, datatype, array in self.outputs.tensors]

    @property
    def size(self) -> int:
        """How many values there are."""
        if self.stop is None:
            return self.outputs.size
        return sum(self.outputs.widths) * (self.stop - self.start)


def split(tensors: Sequence[Tensor], sizes: Sequence[int]) -> list[Part] | None:
    """Return each request's rows, or None where the outputs do not have as many rows in all."""
    outputs = Outputs(tensors)
    if len(sizes) == 1:
        return [Part(outputs)]
    rows = sum(sizes)
    for item in tensors:
        if not item.array.ndim or len(item.array) != rows:
            return None
    parts, start = [], 0
    for size in sizes:
        parts.append(Part(outputs, start, start + size))
        start += size
    return parts
