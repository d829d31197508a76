"""Why a model stays with its native engine."""

from __future__ import annotations

from fairlead_serving.errors import ServingError


class UnconvertibleError(ServingError):
    """A model cannot be served as ONNX; the text completes "served natively: "."""
