"""The port every model format implements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fairlead_serving.tensors import Tensor, TensorSpec


class Model(Protocol):
    """A loaded model.

    `bind` and `run` are apart so that blame is clear: what `bind` refuses is the client's fault, what `run` raises is
    the model's. They are also the seam at which requests can be joined into a batch.
    """

    @property
    def format(self) -> str:
        """The artifact's format, such as `onnx`."""

    @property
    def platform(self) -> str:
        """What V2 metadata calls the platform, `<project>_<format>`."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the model takes."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What the model gives, in the order of an answer."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The class labels as text; empty where a classifier does not tell them, None for other models."""

    @property
    def parameters(self) -> Mapping[str, str]:
        """What else metadata tells of the model, such as the engine that serves it."""

    @property
    def binds_by_form(self) -> bool:
        """Whether what `bind` says of a request with one tensor hangs on its name, datatype and shape alone."""

    @property
    def batches(self) -> bool:
        """Whether the rows of several requests may be computed as one."""

    def bind(self, inputs: Sequence[Tensor]) -> Any:
        """Check a request's tensors and return what `run` takes. Raises InvalidRequestError."""

    def run(self, feed: Any, wanted: Sequence[str]) -> list[Tensor]:
        """Compute the wanted outputs, in that order. Anything it raises is the model's own failure."""

    def sample(self) -> Any | None:
        """Return a feed of one row to warm up and to time the model, or None where none can be made up."""
