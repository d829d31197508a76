"""The shared serving image: one server answers the Open Inference Protocol for any model."""

from typing import Final

__version__: Final = "0.1.0"
